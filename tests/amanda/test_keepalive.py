"""Connections are probed before a firewall forgets them: the tests read the settings of amandad's sockets."""

import ctypes
import os
import socket
import subprocess

import pytest

from harness.installation import Installation
from harness.peer import Dump, dump_request, listener
from harness.processes import descriptors, wait_until

# Idle seconds, seconds between probes, probes.
AMANDA = (60, 60, 15)
SYSTEM = (7200, 75, 9)

_libc = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = 438


def sockets_of(pid: int) -> list[socket.socket]:
    """Duplicates of a process's sockets."""
    process = os.pidfd_open(pid)
    numbers = [number for number, name in descriptors(pid).items() if name.startswith("socket:")]
    found = [_libc.syscall(_PIDFD_GETFD, process, number, 0) for number in numbers]
    os.close(process)
    return [socket.socket(fileno=number) for number in found if number >= 0]


def probing(connected: socket.socket) -> tuple[int, int, int] | None:
    """A connection's probe settings; None if it is not probed."""
    if not connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
        return None
    options = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
    idle, interval, count = (connected.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    return idle, interval, count


def connections_of(pid: int) -> dict[tuple, tuple[int, int, int] | None]:
    """The probe settings of each TCP connection of a process, by the peer's address."""
    found = {}
    for one in sockets_of(pid):
        with one:
            if one.type == socket.SOCK_STREAM and one.family in (socket.AF_INET, socket.AF_INET6):
                try:
                    found[one.getpeername()] = probing(one)
                except OSError:
                    pass
    return found


@pytest.mark.parametrize("arguments, expected", [((), AMANDA), (("-keepalive=200",), (200, 200, 15)), (("-keepalive=0",), SYSTEM)])
def test_the_connection_of_bsdtcp_is_probed(peer, arguments, expected):
    server = peer(services=(*arguments, "amdump"))
    assert wait_until(lambda: set(connections_of(server.process.pid).values()) == {expected})


@pytest.mark.parametrize("auth, count", [("bsd", 3), ("bsdudp", 1)])
def test_the_connections_to_ports_are_probed(datagram_peer, large, auth, count):
    server = datagram_peer(auth=auth)
    streams, connection = server.begin_dump(dump_request(str(large), auth=auth.upper()))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1)
    assert list(connections_of(server.process.pid).values()) == [AMANDA] * count
    connection.continue_dump(dump, streams)
    assert not dump.failed, dump.messages


@pytest.mark.parametrize("auth", ["ssl", "krb5"])
def test_a_connection_with_a_handshake_is_probed_before_it(amanda: Installation, auth):
    """Neither handshake succeeds here, but amandad's settings remain on the connection."""
    with listener() as taking, socket.create_connection(taking.getsockname()) as server:
        accepted, _ = taking.accept()
        with accepted:
            process = subprocess.Popen(
                [amanda.libexec / "amandad", f"-auth={auth}", "amdump"], stdin=accepted, stdout=accepted, stderr=subprocess.DEVNULL,
                preexec_fn=None if auth == "krb5" else amanda.demote, env={"PATH": "/usr/bin:/bin"})
            assert wait_until(lambda: probing(accepted) == AMANDA)
            server.close()
            process.kill()
            process.wait()


def test_the_connection_of_a_server_is_probed(amanda: Installation):
    with socket.socket() as taking:
        taking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taking.bind(("127.0.0.1", 10080))
        taking.listen()
        taking.settimeout(30)
        process = subprocess.Popen([amanda.prefix / "sbin/amservice", "localhost", "bsdtcp", "noop"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, preexec_fn=amanda.demote)
        accepted, _ = taking.accept()
        with accepted:
            assert wait_until(lambda: list(connections_of(process.pid).values()) == [AMANDA])
        process.kill()
        process.wait()
