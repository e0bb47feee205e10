"""A link on which every packet is late (benches/delayed-link.c): this machine's end, and another network namespace's."""

import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path

# What each end calls the other.
HERE, THERE = "10.99.0.1", "10.99.0.2"
_CLONE_NEWNET = 0x40000000


class DelayedLink:
    """The link, until it is closed; only root can make it."""

    def __init__(self, program: Path, milliseconds: int) -> None:
        """Every packet takes so long in either direction."""
        self.process = subprocess.Popen([program, str(milliseconds)], stdout=subprocess.PIPE)
        assert self.process.stdout and self.process.stdout.readline(), "there is no link"

    def listener(self) -> socket.socket:
        """A socket that listens at the other end. A thread's network namespace is its own, and its sockets are in it for good."""
        made: list[socket.socket] = []

        def listen() -> None:
            with open(f"/proc/{self.process.pid}/ns/net", "rb") as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET) == 0
            made.append(socket.create_server((THERE, 0)))

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        return made[0]

    def close(self) -> None:
        """End it, and with it all connections."""
        self.process.kill()
        self.process.wait()
