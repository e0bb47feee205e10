"""Unread bytes in pipes and connections."""

import fcntl
import struct
import termios
import time


def waiting_bytes(descriptor: int) -> int:
    """The number of unread bytes."""
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]


def nothing_more_fits(descriptor: int) -> bool:
    """Whether the writer appears to be waiting."""
    before = waiting_bytes(descriptor)
    time.sleep(0.1)
    return before > 0 and waiting_bytes(descriptor) == before
