"""What waits in pipes and connections to be read."""

import fcntl
import struct
import termios
import time


def waiting_bytes(descriptor: int) -> int:
    """How many bytes have come and are not read."""
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]


def nothing_more_fits(descriptor: int) -> bool:
    """Whether the writer waits, for all we can tell."""
    before = waiting_bytes(descriptor)
    time.sleep(0.1)
    return before > 0 and waiting_bytes(descriptor) == before
