"""Does one writer's operations in a mount and notes when each was issued and returned.

    python3 writer.py MOUNTPOINT WRITER OPERATIONS TIMES REST

OPERATIONS has one JSON object a line; TIMES, outside of the mount, gets 16 bytes for each: two numbers of 64 bits,
nanoseconds of the monotonic clock. After every eighth operation it rests for a random time of at most REST milliseconds. Says "ready", begins when a line comes on stdin, ends when stdin closes or all is
done. A second number of the ready line: nanoseconds to add for the time of day.
"""
import array
import ctypes
import json
import mmap
import os
import random
import select
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
RENAME_EXCHANGE = 2
KEEP_SIZE, PUNCH_HOLE = 1, 2
RECORD = 512
RECORDS_PER_WRITER = 16

root, writer, operations_path, times_path, rest_max_ms = sys.argv[1], int(sys.argv[2]), *sys.argv[3:5], int(sys.argv[5])
os.chdir(root)
os.umask(0)
slots = {}
mappings = {}


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def content(order, length):
    base = (writer + 1) << 56 | order << 24
    return array.array("Q", range(base, base + (length + 7) // 8)).tobytes()[:length]


def write_all(fd, data, offset):
    written = os.pwrite(fd, data, offset)
    if written != len(data):
        raise OSError(5, "only %d of %d bytes were written" % (written, len(data)))


def fallocate(fd, mode, offset, length):
    check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def close(slot):
    if slot in mappings:
        mappings.pop(slot).close()
    os.close(slots.pop(slot))


def do_create(o, n):
    slots[o["slot"]] = os.open(o["path"], os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)


def do_open(o, n):
    slots[o["slot"]] = os.open(o["path"], os.O_RDWR)


def do_close(o, n):
    close(o["slot"])


def do_write(o, n):
    length = o["length"]
    write_all(slots[o["slot"]], bytes(length) if o["zero"] else content(n, length), o["offset"])


def do_append(o, n):
    fd = os.open(o["path"], os.O_WRONLY | os.O_APPEND)
    os.write(fd, content(n, o["length"]))
    os.close(fd)


def do_truncate(o, n):
    os.ftruncate(slots[o["slot"]], o["size"])


def do_allocate(o, n):
    fallocate(slots[o["slot"]], 0, o["offset"], o["length"])


def do_punch(o, n):
    fallocate(slots[o["slot"]], KEEP_SIZE | PUNCH_HOLE, o["offset"], o["length"])


def do_copy(o, n):
    source, target, left = slots[o["from"]], slots[o["to"]], o["length"]
    if os.copy_file_range(source, target, left, o["fromOffset"], o["offset"]) != left:
        raise OSError(5, "copied less than asked")


def do_store(o, n):
    slot = o["slot"]
    if slot not in mappings:
        mappings[slot] = mmap.mmap(slots[slot], 0)
    offset = o["offset"]
    mappings[slot][offset : offset + o["length"]] = content(n, o["length"])


def do_msync(o, n):
    mappings[o["slot"]].flush()


def do_fsync(o, n):
    os.fsync(slots[o["slot"]])


def do_mkdir(o, n):
    os.mkdir(o["path"], 0o755)


def do_rmdir(o, n):
    os.rmdir(o["path"])


def do_unlink(o, n):
    os.unlink(o["path"])


def do_rename(o, n):
    os.rename(o["path"], o["to"])


def do_exchange(o, n):
    check(libc.renameat2(AT_FDCWD, o["path"].encode(), AT_FDCWD, o["to"].encode(), RENAME_EXCHANGE))


def do_link(o, n):
    os.link(o["path"], o["to"], follow_symlinks=False)


def do_symlink(o, n):
    os.symlink(o["target"], o["path"])


def do_fifo(o, n):
    os.mkfifo(o["path"], 0o644)


def do_chmod(o, n):
    os.chmod(o["path"], o["mode"])


def do_utimes(o, n):
    mtime = int(o["mtimeNs"])
    os.utime(o["path"], ns=(mtime, mtime))


def do_setxattr(o, n):
    os.setxattr(o["path"], o["name"], o["value"].encode())


def do_removexattr(o, n):
    os.removexattr(o["path"], o["name"])


def do_unnamed(o, n):
    slots[o["slot"]] = os.open(o["path"], os.O_TMPFILE | os.O_RDWR, 0o644)


def do_name(o, n):
    source = ("/proc/self/fd/%d" % slots[o["slot"]]).encode()
    check(libc.linkat(AT_FDCWD, source, AT_FDCWD, o["path"].encode(), AT_SYMLINK_FOLLOW))


def do_record(o, n):
    write_all(records, content(n, RECORD), (writer * RECORDS_PER_WRITER + o["place"]) * RECORD)
    if o["synced"]:
        os.fsync(records)


def do_log(o, n):
    os.write(log, content(n, RECORD))


def do_publish(o, n):
    aside = "shared/aside/w%d" % writer
    fd = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(fd, content(n, RECORD))
    os.fsync(fd)
    os.close(fd)
    os.rename(aside, "shared/current")


with open(operations_path) as file:
    operations = [json.loads(line) for line in file]
steps = [(globals()["do_" + operation["act"]], operation) for operation in operations]
records = os.open("shared/records", os.O_RDWR)
log = os.open("shared/log", os.O_WRONLY | os.O_APPEND)
times = open(times_path, "wb", buffering=0)
offset = time.time_ns() - time.monotonic_ns()
print("ready %d" % offset, flush=True)
stop = select.poll()
stop.register(0, select.POLLIN | select.POLLHUP)
if not sys.stdin.readline():
    sys.exit(0)
noted = bytearray()
for number, (step, operation) in enumerate(steps):
    if number % 8 == 0 and stop.poll(random.randrange(rest_max_ms + 1)):
        break
    issued = time.monotonic_ns()
    try:
        step(operation, number)
    except OSError as error:
        sys.exit("operation %d, %s: %s" % (number, json.dumps(operation), error))
    noted += struct.pack("<QQ", issued, time.monotonic_ns())
    if len(noted) >= 4096:
        times.write(noted)
        noted.clear()
times.write(noted)
for slot in list(slots):
    close(slot)
