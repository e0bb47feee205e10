"""Peers that are not allowed in: none stays, and none costs amandad anything."""

import socket
import struct
import time
from pathlib import Path
from typing import Callable

import pytest

from harness import keytab
from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import ACK, NAK, REQ, Dump, Peer, dump_request, request
from harness.processes import resident

# This many refused requests of a peer may make amandad grow by this much, in KiB.
REQUESTS, GROWTH = 200000, 4 << 10
# Seconds until strangers are gone, and a moment for their exit.
GONE = 60 + 5
REFUSED = bytes([REQ]) + request("noop", user="nobody").encode() + b"\0"


def refused_requests(first: int, count: int) -> bytes:
    """Tokens with refused requests, each under its own handle."""
    return b"".join(struct.pack(">II", len(REFUSED), first + number) + REFUSED for number in range(count))


class Stranger:
    """A peer that sends something at once, and then single bytes if it trickles; it never reads."""

    def __init__(self, peer: Peer, first: bytes, trickles: bool = False, ends: bool = False) -> None:
        self.peer, self.trickles, self.left = peer, trickles, first
        self.ends = ends
        self.most = 0
        peer.socket.setblocking(False)

    def stays(self) -> bool:
        """Whether its amandad still runs; if so, sends on."""
        if self.peer.process.poll() is not None:
            return False
        try:
            self.most = max(self.most, resident(self.peer.process.pid))
            self.left = self.left[self.peer.socket.send(self.left or b"x"):] if self.left or self.trickles else b""
            if self.ends and not self.left:
                self.peer.socket.shutdown(socket.SHUT_WR)
        except (OSError, StopIteration):
            pass
        return True


def strangers(amanda: Installation, peer: Callable[..., Peer]) -> dict[str, Stranger]:
    """One of each kind."""
    amanda.configure_client(amanda.make_certificates())
    keytab.make(Path("/etc/krb5.keytab"), "host", "localhost")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    large = struct.pack(">II", 4 << 20, 5)
    flood = refused_requests(20000, REQUESTS)

    def tcp() -> Peer:
        one = peer(privileged=False)
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return one

    return {
        "says nothing": Stranger(tcp(), b""),
        "begins the head of a token": Stranger(tcp(), b"\0\0\0"),
        "speaks another protocol": Stranger(tcp(), b"GET / HT"),
        "begins a large token": Stranger(tcp(), large),
        "trickles a large token": Stranger(tcp(), large, trickles=True),
        "sends what no stream can have": Stranger(tcp(), struct.pack(">II", len(REFUSED), 0) + REFUSED),
        "asks and never reads": Stranger(tcp(), flood),
        "asks, never reads and ends": Stranger(tcp(), flood, ends=True),
        "asks under few handles": Stranger(tcp(), refused_requests(1, 9) * 2000),
        "sends packets of no service": Stranger(tcp(), struct.pack(">II", 2, 7) + bytes([ACK, 0])),
        "ssl: says nothing": Stranger(peer(auth="ssl", handshake=False), b""),
        "ssl: begins a handshake": Stranger(peer(auth="ssl", handshake=False), hello),
        "ssl: trickles a handshake": Stranger(peer(auth="ssl", handshake=False), hello, trickles=True),
        "krb5: says nothing": Stranger(peer(auth="krb5"), b""),
        "krb5: trickles a token": Stranger(peer(auth="krb5"), large, trickles=True),
    }


def test_no_stranger_stays(amanda, peer):
    kinds = strangers(amanda, peer)
    began, gone = time.monotonic(), {}
    while len(gone) < len(kinds) and time.monotonic() - began < GONE:
        for name, stranger in kinds.items():
            if name not in gone and not stranger.stays():
                gone[name] = round(time.monotonic() - began, 1)
        time.sleep(0.2)
    assert kinds.keys() - gone.keys() == set()
    idle = kinds["says nothing"].most
    assert {name: stranger.most - idle for name, stranger in kinds.items() if stranger.most - idle > GROWTH} == {}
    assert {name: stranger.peer.process.returncode for name, stranger in kinds.items()
            if stranger.peer.process.returncode not in (0, 1)} == {}


def test_one_refusal_ends_a_connection_over_which_nothing_runs(peer):
    stranger = peer(privileged=False)
    stranger.send_packet(REQ, request("noop", user="nobody"), handle=20000)
    handle, packet = stranger.receive()
    assert (handle, packet[0]) == (20000, NAK)
    assert stranger.receive() == (20000, b"")
    assert stranger.receive(5) is None
    assert stranger.exit_status(5) == 0


def read_refusals(server: Peer, count: int, streams: dict[int, str], dump: Dump) -> None:
    """Read until `count` requests have been refused; records what comes of a dump meanwhile."""
    while count:
        handle, payload = server.receive()
        if handle in streams:
            dump.take(streams[handle], payload, keep=True)
        elif payload[:1] == bytes([NAK]):
            count -= 1


def test_refused_requests_leave_nothing_behind(peer, data):
    """A dump keeps the connection: refused requests leave nothing behind, and do not harm the dump."""
    server = peer()
    streams = server.begin_dump(dump_request(str(data)))
    dump, batch, before = Dump(), 2000, 0
    for number in range(REQUESTS // batch):
        server.socket.sendall(refused_requests(20000 + number * batch, batch))
        read_refusals(server, batch, streams, dump)
        # The first allocate memory that the others reuse.
        before = before or resident(server.process.pid)
    assert resident(server.process.pid) - before < GROWTH
    for handle, name in streams.items():
        if name in dump.ended:
            server.send_token(handle, b"")
    rest = server.finish_dump({handle: name for handle, name in streams.items() if name not in dump.ended})
    assert not rest.ended
    assert not dump.failed, dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(data, SCRATCH / "restored") == []
    server.socket.close()
    assert server.exit_status(10) == 0


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_refused_datagrams_leave_nothing_behind(datagram_peer, auth):
    server, count = datagram_peer(auth=auth), REQUESTS // 8
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(10)
        before = 0
        for number in range(count):
            stranger.sendto(server.packet(REQ, request("noop"), f"000-{number:08d}"), server.address)
            assert b" NAK " in stranger.recv(65536)
            if number == 1000:
                before = resident(server.process.pid)
    assert resident(server.process.pid) - before < GROWTH * count // REQUESTS
