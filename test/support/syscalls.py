"""File operations that Node.js cannot do, for tests: one per line of stdin as a JSON list, one JSON answer per line.

An answer is {"result": value} or {"error": "ENOENT"}. Paths are UTF-8.
"""
import ctypes
import errno
import json
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16


def check(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def rename(old, new, flags):
    check(libc.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags))


def allocate(path, mode, offset, length):
    with open(path, "r+b", buffering=0) as file:
        check(libc.fallocate(file.fileno(), mode, ctypes.c_long(offset), ctypes.c_long(length)))


def copy_range(source, target, length, source_offset, target_offset):
    with open(source, "rb", buffering=0) as a, open(target, "r+b", buffering=0) as b:
        return os.copy_file_range(a.fileno(), b.fileno(), length, source_offset, target_offset)


def make_unnamed(directory, content, name):
    """O_TMPFILE, then a name for it."""
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o644)
    try:
        os.write(fd, content.encode())
        source = ("/proc/self/fd/%d" % fd).encode()
        check(libc.linkat(AT_FDCWD, source, AT_FDCWD, name.encode(), AT_SYMLINK_FOLLOW))
    finally:
        os.close(fd)


def map_and_store(path, offset, text):
    """A store through a shared mapping, flushed."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[offset : offset + len(text)] = text.encode()
        mapped.flush()


def append(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def seek(path, offset, whence):
    with open(path, "rb", buffering=0) as file:
        return os.lseek(file.fileno(), offset, whence)


operations = {
    "rename": rename,
    "allocate": allocate,
    "copyRange": copy_range,
    "makeUnnamed": make_unnamed,
    "mapAndStore": map_and_store,
    "append": append,
    "seek": seek,
}

for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = {"result": operations[name](*arguments)}
    except OSError as error:
        answer = {"error": errno.errorcode.get(error.errno, str(error.errno))}
    print(json.dumps(answer), flush=True)
