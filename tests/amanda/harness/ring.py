"""The server's end of a ring of shared memory (common-src/shm-ring.h), which a server on the same machine names in a request."""

import ctypes
import mmap
import os
from pathlib import Path

from .processes import wait_until

NAME_LENGTH = 50
BLOCK = 32768
_libc = ctypes.CDLL(None, use_errno=True)
_libc.sem_open.restype = ctypes.c_void_p
_libc.sem_post.argtypes = _libc.sem_trywait.argtypes = [ctypes.c_void_p]


class Control(ctypes.Structure):
    """shm_ring_control_t"""

    _fields_ = [
        ("write_offset", ctypes.c_uint64), ("written", ctypes.c_uint64), ("eof_flag", ctypes.c_int),
        ("padding1", ctypes.c_char * 44),
        ("read_offset", ctypes.c_uint64), ("readx", ctypes.c_uint64), ("padding2", ctypes.c_char * 48),
        ("cancelled", ctypes.c_int), ("need_sem_ready", ctypes.c_int), ("ring_size", ctypes.c_uint64),
        ("pids", ctypes.c_int * 10),
        ("sem_write", ctypes.c_char * NAME_LENGTH), ("sem_read", ctypes.c_char * NAME_LENGTH),
        ("sem_ready", ctypes.c_char * NAME_LENGTH), ("sem_start", ctypes.c_char * NAME_LENGTH),
        ("data", ctypes.c_char * NAME_LENGTH), ("consumer_block_size", ctypes.c_size_t), ("producer_block_size", ctypes.c_size_t),
        ("consumer_ring_size", ctypes.c_uint64), ("producer_ring_size", ctypes.c_uint64)]


class Ring:
    """A ring that nobody reads."""

    def __init__(self, owner: int) -> None:
        self.name = "/amrelay-ring"
        for path in Path("/dev/shm").glob("*amrelay-ring*"):
            path.unlink()
        self.semaphores = {}
        with open(f"/dev/shm{self.name}", "wb+") as file:
            file.truncate(ctypes.sizeof(Control))
            self.control = Control.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Control)))
        Path(f"/dev/shm{self.name}-data").touch()
        self.control.data = f"{self.name}-data".encode()
        self.control.pids[0] = os.getpid()
        for kind in "write", "read", "ready", "start":
            name = f"{self.name}-{kind}".encode()
            self.semaphores[kind] = _libc.sem_open(name, os.O_CREAT, 0o600, 0)
            setattr(self.control, f"sem_{kind}", name)
        for path in Path("/dev/shm").glob("*amrelay-ring*"):
            os.chown(path, owner, -1)
        self.control.consumer_ring_size, self.control.consumer_block_size = 4 * BLOCK, BLOCK
        _libc.sem_post(self.semaphores["write"])

    def wait_for_producer(self) -> None:
        """Wait until the client has joined and begun to write."""
        for _ in range(2):
            assert wait_until(lambda: _libc.sem_trywait(self.semaphores["read"]) == 0), "the client does not write to the ring"

    def cancel(self) -> None:
        """Cancel the ring, as a server that wants no more."""
        self.control.cancelled = 1
        for semaphore in self.semaphores.values():
            _libc.sem_post(semaphore)
