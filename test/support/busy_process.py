"""Works in a directory beside others that do the same: `busy_process.py DIRECTORY NAME SECONDS SEED`.

Keeps a file of its own, which must always be as it was left; appends lines to a file that all share; renames, links
and removes names that all share. Prints how many lines it appended.
"""
import os
import random
import sys
import time

directory, name, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
choice = random.Random(seed)
os.chdir(directory)
shared = ["shared-%d" % i for i in range(20)]
lines = os.open("lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
own, appended, end = b"", 0, time.monotonic() + seconds


def attempt(act, *arguments):
    """What another process did first is no error."""
    try:
        act(*arguments)
    except (FileNotFoundError, FileExistsError):
        pass


def make(path):
    with open(path, "xb") as file:
        file.write(path.encode())


while time.monotonic() < end:
    step = choice.randrange(6)
    if step == 0:
        own = os.urandom(choice.randrange(1, 20000))
        with open("own-" + name + ".new", "wb") as file:
            file.write(own)
        os.rename("own-" + name + ".new", "own-" + name)
    elif step == 1 and own:
        with open("own-" + name, "rb") as file:
            found = file.read()
        assert found == own, "%s is not as it was left" % name
    elif step == 2:
        line = ("%s %d\n" % (name, appended)).encode()
        assert os.write(lines, line) == len(line)
        appended += 1
    elif step == 3:
        attempt(make, choice.choice(shared))
    elif step == 4:
        attempt(os.rename, choice.choice(shared), choice.choice(shared))
    else:
        attempt(os.unlink, choice.choice(shared))
print(appended)
