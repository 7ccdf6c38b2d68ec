"""Shuts an ext4 or XFS down: `kill_file_system.py MOUNTPOINT`."""
import fcntl
import os
import struct
import sys

GOING_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
WITHOUT_FLUSHING = 2

fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, GOING_DOWN, struct.pack("I", WITHOUT_FLUSHING))
