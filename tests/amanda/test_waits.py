"""amandad waits through its events: a dump goes on meanwhile."""

import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.installation import SCRATCH, Installation
from harness.peer import ACK, REP, REQ, Dump, Peer, dump_request, request
from harness.processes import wait_until

# More than the sockets and pipes between amandad and its peer hold.
ON_ITS_WAY = 32 << 20
NOOP = request("noop", "OPTIONS features=" + "f" * 40 + ";")


@pytest.fixture
def noop(amanda: Installation) -> Iterator[Callable[[str], None]]:
    """Replaces noop by a shell script."""
    program = amanda.libexec / "noop"
    kept = program.with_name("noop.kept")
    program.rename(kept)

    def become(script: str) -> None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    yield become
    kept.rename(program)


def receive_until_reply(server: Peer, dump: Dump, streams: dict[int, str], handle: int) -> str:
    """Read a dump until a request gets its reply; returns the reply."""
    while True:
        token = server.receive(30)
        assert token, "the connection has ended"
        if token[0] in streams:
            dump.take(streams[token[0]], token[1], False)
        elif token[0] == handle and token[1][:1] == bytes([REP]):
            return token[1][1:].rstrip(b"\0").decode()


def test_a_service_that_lingers_after_its_reply_stops_no_dump(peer, large, noop):
    marker = Path("/tmp/amanda/closed")
    noop(f"echo OPTIONS; exec >&- 2>&-; echo >{marker}; exec sleep 60")
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    dump = Dump()
    server.continue_dump(dump, streams, size=1, keep=False)
    server.send_packet(REQ, NOOP, handle=2)
    assert wait_until(marker.exists)
    size = dump.size
    assert receive_until_reply(server, dump, streams, 2).startswith("OPTIONS")
    assert dump.size - size > ON_ITS_WAY


def test_how_a_service_ends_after_its_reply_is_part_of_the_reply(peer, noop):
    noop("echo OPTIONS; exec >&- 2>&-; sleep 0.5; exit 3")
    server = peer()
    server.send_packet(REQ, NOOP)
    assert "exited with code 3" in server.reply()
    server.send_packet(ACK)


@pytest.fixture
def lost_datagrams() -> tuple[dict[str, str], Path]:
    """The environment of an amandad that can send no datagram while a file exists, and that file."""
    source, library, control = Path(__file__).parent / "harness/lost_datagrams.c", SCRATCH / "lost_datagrams.so", SCRATCH / "lost"
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    control.unlink(missing_ok=True)
    return {"LD_PRELOAD": str(library), "LOST_DATAGRAMS": str(control)}, control


def test_a_datagram_that_cannot_be_sent_stops_no_dump(datagram_peer, large, lost_datagrams):
    environment, control = lost_datagrams
    server = datagram_peer(environment=environment)
    streams, connection = server.begin_dump(dump_request(str(large), auth="BSDUDP"))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1, keep=False)
    control.touch()
    server.send_packet(REQ, NOOP, handle="000-00000002")
    connection.continue_dump(dump, streams, size=dump.size + ON_ITS_WAY, keep=False, seconds=20)
    control.unlink()
    # It is lost as any datagram can be: the server asks again.
    server.send_packet(REQ, NOOP, handle="000-00000002")
    server.reply(handle="000-00000002")
    server.send_packet(ACK, handle="000-00000002")
    connection.continue_dump(dump, streams, keep=False)
    assert not dump.failed, dump.messages
