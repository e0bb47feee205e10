"""A connection is lost at any stage of a dump: amandad ends, with everything it started."""

import signal
import socket
import struct

import pytest

from harness.installation import Installation
from harness.peer import ACK, REP, REQ, Dump, Peer, dump_request, streams_of
from harness.processes import running, wait_until

# What amandad's debug file must not contain.
FATAL = r"critical \(fatal\)|event_\w+: |assert|no such event"


def before_the_reply(peer: Peer, directory: str) -> None:
    """Ask for a dump, and read the acknowledgment."""
    peer.send_packet(REQ, dump_request(directory))
    peer.reply(ACK)


def before_the_acknowledgment(peer: Peer, directory: str) -> None:
    """Read the reply, and do not acknowledge it."""
    peer.send_packet(REQ, dump_request(directory))
    peer.reply(REP)


def at_the_acknowledgment(peer: Peer, directory: str) -> None:
    """Acknowledge the reply, and read nothing more."""
    peer.begin_dump(dump_request(directory))


def amid_the_data(peer: Peer, directory: str) -> None:
    """Read some of the data."""
    streams = peer.begin_dump(dump_request(directory))
    size = 0
    while size < 1 << 20:
        handle, payload = peer.receive()
        size += len(payload) if streams.get(handle) == "DATA" else 0


STAGES = [before_the_reply, before_the_acknowledgment, at_the_acknowledgment, amid_the_data]


def all_ends(amanda: Installation, peer: Peer, statuses: tuple[int, ...] = (0,)) -> None:
    """Check that amandad ends by itself, without a fatal error, and leaves no process."""
    assert peer.exit_status(20) in statuses
    assert wait_until(lambda: not running(), 20), running()
    assert amanda.debug_files("amandad") and amanda.debug_matches("amandad", FATAL) == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_reset(amanda, peer, large, stage):
    server = peer()
    stage(server, str(large))
    server.reset()
    all_ends(amanda, server)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_close(amanda, peer, large, stage):
    """If data is unread, the connection is reset."""
    server = peer()
    stage(server, str(large))
    server.socket.close()
    all_ends(amanda, server)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_half_close(amanda, peer, large, stage):
    """The server still reads, and gets the end of the connection."""
    server = peer()
    stage(server, str(large))
    server.socket.shutdown(socket.SHUT_WR)
    while server.receive(20):
        pass
    all_ends(amanda, server)


def test_a_close_right_after_the_request(amanda, peer, large):
    server = peer()
    server.send_packet(REQ, dump_request(str(large)))
    server.socket.close()
    all_ends(amanda, server)


def test_a_server_that_ends_only_the_data(amanda, peer, large):
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    numbers = {name: handle for handle, name in streams.items()}
    server.receive()
    server.send_token(numbers["DATA"], b"")
    dump = server.finish_dump(streams)
    assert dump.failed
    server.socket.close()
    all_ends(amanda, server)


@pytest.mark.parametrize("sent", [struct.pack(">II", 0x7FFFFFFF, 1), b"GET / HTTP/1.0\r\n\r\n"], ids=["too long", "text"])
def test_what_is_no_token_amid_the_data(amanda, peer, large, sent):
    server = peer()
    amid_the_data(server, str(large))
    server.socket.sendall(sent)
    while server.receive(20):
        pass
    all_ends(amanda, server)


def test_an_amandad_that_is_killed_amid_the_data(amanda, peer, large):
    server = peer()
    amid_the_data(server, str(large))
    server.process.send_signal(signal.SIGKILL)
    all_ends(amanda, server, statuses=(-signal.SIGKILL,))


@pytest.mark.parametrize("stage", [before_the_reply, before_the_acknowledgment], ids=lambda stage: stage.__name__)
def test_a_refused_repetition_changes_nothing_for_the_service(peer, data, stage):
    server = peer()
    server.send_packet(REQ, dump_request(str(data)))
    answer = server.reply(ACK if stage is before_the_reply else REP)
    server.send_packet(REQ, dump_request(str(data), user="nobody"))
    streams = streams_of(answer or server.reply())
    server.send_packet(ACK)
    assert not server.finish_dump(streams).failed


def test_a_killed_amandad_does_not_end_the_streams_of_a_dump(datagram_peer, large):
    """Under bsd the end of a connection is the end of its stream: a dumper that compares no checksums takes a part for the whole."""
    server = datagram_peer(auth="bsd")
    streams, connection = server.begin_dump(dump_request(str(large), auth="BSD"))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1, keep=False)
    server.process.kill()
    data = next(port for port, name in streams.items() if name == "DATA")
    with pytest.raises(ConnectionResetError):
        while connection.sockets[data].recv(1 << 18):
            pass
