"""amandad's loop does not wait for look-ups about a request: for a silent name server, or a hanging home directory.

The name server takes queries and never answers. The home directory's .amandahosts is a pipe: opening it blocks until there is a
writer, as with a file server that has gone. Amanda reads what is written to it as the file's lines, so that a test can end the wait.
"""

import os
import socket
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import ACK, NAK, REP, REQ, DatagramPeer, Dump, Peer, datagram_socket, dump_request, request
from harness.processes import children, descriptors, running, wait_until

# More than the sockets and pipes between amandad and its peer hold: further bytes have been passed on since.
ON_ITS_WAY = 32 << 20
NOOP = request("noop", "OPTIONS features=" + "f" * 40 + ";")


@pytest.fixture
def name_server(amanda: Installation) -> Iterator[socket.socket]:
    """A name server that never answers. All addresses except 127.0.0.1 are looked up there, with timeouts of minutes."""
    nsswitch, resolv = Path("/etc/nsswitch.conf"), Path("/etc/resolv.conf")
    before = nsswitch.read_text()
    nsswitch.write_text(before.replace("hosts: files", "hosts: files dns"))
    resolv.unlink(missing_ok=True)
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    with datagram_socket("127.0.0.1", 53) as server:
        server.settimeout(30)
        yield server
    nsswitch.write_text(before)


@pytest.fixture
def hanging_home(amanda: Installation) -> Iterator[Callable[[], Path]]:
    """Makes the home directory hang when called."""
    hosts = amanda.home / ".amandahosts"

    def hang() -> Path:
        hosts.unlink()
        os.mkfifo(hosts, 0o600)
        amanda.give(hosts)
        return hosts

    yield hang
    hosts.unlink()


def opened(pipe: Path) -> int:
    """The pipe's writing end, once somebody waits for it."""
    found: list[int] = []

    def try_to_open() -> bool:
        try:
            found.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    assert wait_until(try_to_open), "nobody opens .amandahosts"
    return found[0]


def relent(pipe: Path, *lines: str) -> None:
    """Let the home directory go on, with these lines for its reader."""
    writing = opened(pipe)
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)


def helpers(pid: int) -> list[int]:
    """The look-up processes of an amandad."""
    return sorted(running({"amandad"}).keys() & set(children(pid)))


def stranger(address: str = "127.0.0.2", port: int | None = None) -> socket.socket:
    """A socket of somebody whose name only the name server knows."""
    return datagram_socket(address, port)


def token_of(server: Peer, handle: int) -> bytes:
    """The next token of a handle; skips others."""
    while True:
        token = server.receive()
        assert token, "the connection has ended"
        if token[0] == handle and token[1]:
            return token[1]


@pytest.mark.parametrize("auth", ["bsdudp", "bsd"])
def test_a_silent_name_server_stops_no_dump(datagram_peer, name_server, large, auth):
    server = datagram_peer(auth=auth)
    streams, connection = server.begin_dump(dump_request(str(large), auth=auth.upper()))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1)
    with stranger() as unknown:
        unknown.sendto(DatagramPeer.packet(REQ, NOOP), server.address)
        assert name_server.recv(512)
        # Neither the data is held up, nor the end of a stream, which would not come if another process still held its connection.
        connection.continue_dump(dump, streams, size=dump.size + ON_ITS_WAY, seconds=20)
        connection.continue_dump(dump, streams, seconds=20)
        assert not dump.failed, dump.messages
        assert len(helpers(server.process.pid)) == 1
    extract(dump.data, SCRATCH / "restored")
    assert differences(large, SCRATCH / "restored") == []


def test_the_process_that_asks_holds_nothing_of_a_dump(datagram_peer, name_server, large):
    server = datagram_peer(auth="bsd")
    streams, connection = server.begin_dump(dump_request(str(large), auth="BSD"))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1)
    with stranger() as unknown:
        unknown.sendto(DatagramPeer.packet(REQ, NOOP), server.address)
        assert name_server.recv(512)
        [helper] = helpers(server.process.pid)
        shared = set(descriptors(helper).values()) & set(descriptors(server.process.pid).values())
        # They hold the pipe for the verdict, and the one to the process that writes the debug file.
        kinds = sorted(name.split(":")[0] for name in shared if name != "/dev/null")
        assert kinds == ["pipe", "pipe"], shared


def test_nothing_is_looked_up_for_what_will_not_be_served(datagram_peer, name_server):
    server = datagram_peer(auth="bsdudp")
    with stranger() as unknown, stranger(port=40000) as unprivileged:
        for kind in ACK, NAK, REP:
            unknown.sendto(DatagramPeer.packet(kind), server.address)
        unprivileged.sendto(DatagramPeer.packet(REQ, NOOP), server.address)
        unprivileged.settimeout(20)
        answer = unprivileged.recv(65536)
        assert b" NAK " in answer and b"host 127.0.0.2: port 40000 not secure" in answer
        # A look-up process would wait for the silent name server. (The one that writes the debug file has its name only once it runs.)
        assert wait_until(lambda: not helpers(server.process.pid), 10)
        name_server.setblocking(False)
        with pytest.raises(BlockingIOError):
            name_server.recv(512)
        unknown.setblocking(False)
        with pytest.raises(BlockingIOError):
            unknown.recv(65536)


def test_strangers_get_a_bounded_number_of_processes_and_known_servers_get_through(datagram_peer, name_server):
    server = datagram_peer(auth="bsdudp")
    server.send_packet(REQ, NOOP)
    server.reply()
    # Not acknowledged yet: under bsdudp amandad ends with its last service.
    strangers = [stranger(f"127.0.0.{number}") for number in range(2, 42)]
    for number, one in enumerate(strangers):
        for user in "xy":
            one.sendto(DatagramPeer.packet(REQ, NOOP.replace("root", user), handle=f"000-{number:04}{user}"), server.address)
    assert wait_until(lambda: len(helpers(server.process.pid)) == 8)
    server.send_packet(REQ, NOOP.replace("OPTIONS ", "OPTIONS hostname=other;"), handle="000-00000002")
    server.reply(handle="000-00000002")
    assert len(helpers(server.process.pid)) == 8
    for one in strangers:
        one.close()


def test_a_hanging_home_stops_no_dump(peer, large, hanging_home):
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    dump = Dump()
    server.continue_dump(dump, streams, size=1)
    hosts = hanging_home()
    server.send_packet(REQ, NOOP, handle=2)
    assert wait_until(lambda: helpers(server.process.pid))
    [helper] = helpers(server.process.pid)
    server.continue_dump(dump, streams, size=dump.size + ON_ITS_WAY, seconds=20)
    assert helpers(server.process.pid) == [helper]
    # Now it may go on, and the request with it: amandad acknowledges and answers it among the dump's tokens.
    relent(hosts, "localhost root amdump")
    kinds = []
    while REP not in kinds:
        handle, payload = server.receive(20)
        if handle == 2:
            kinds.append(payload[0])
        elif handle in streams:
            dump.take(streams[handle], payload, True)
    server.send_packet(ACK, handle=2)
    server.continue_dump(dump, streams)
    assert not dump.failed, dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(large, SCRATCH / "restored") == []


def test_a_request_that_is_repeated_is_not_looked_up_again(peer, data, hanging_home):
    server = peer()
    server.send_packet(REQ, dump_request(str(data)))
    server.reply()
    hanging_home()
    server.send_packet(REQ, dump_request(str(data)))
    assert "CONNECT DATA" in server.reply()
    assert not helpers(server.process.pid)


def test_a_verdict_is_remembered_for_the_same_service_only(peer, hanging_home):
    server = peer()
    server.send_packet(REQ, NOOP)
    server.reply()
    server.send_packet(ACK)
    hosts = hanging_home()
    server.send_packet(REQ, NOOP, handle=2)
    assert server.reply()
    server.send_packet(ACK, handle=2)
    server.send_packet(REQ, NOOP.replace("noop", "selfcheck"), handle=3)
    relent(hosts, "localhost root noop")
    packet = token_of(server, 3)
    assert packet[0] == NAK
    assert b"user root from localhost is not allowed to execute the service selfcheck" in packet


def test_no_refusal_makes_amandad_forget_who_may(peer, hanging_home):
    server = peer()
    server.send_packet(REQ, NOOP)
    # Not acknowledged: while a service runs, the connection stays.
    server.reply()
    for number in range(70):
        server.send_packet(REQ, NOOP.replace("root", f"nobody{number}"), handle=100 + number)
        assert token_of(server, 100 + number)[0] == NAK
    hanging_home()
    server.send_packet(REQ, NOOP.replace("OPTIONS ", "OPTIONS hostname=other;"), handle=2)
    assert token_of(server, 2)[0] == ACK


def test_a_user_who_may_not_is_told_so(peer):
    server = peer()
    server.send_packet(REQ, NOOP.replace("root", "nobody"))
    _, packet = server.receive()
    assert packet[0] == NAK
    assert b'ERROR user nobody from localhost is not allowed to execute the service noop: Please add the line' in packet


@pytest.fixture
def false_name(amanda: Installation) -> Iterator[None]:
    """The name of 127.0.0.2 is that of another address."""
    hosts = Path("/etc/hosts")
    before = hosts.read_text()
    hosts.write_text(f"{before}127.0.0.3 another false\n127.0.0.2 false\n")
    yield
    hosts.write_text(before)


def test_an_address_whose_name_is_not_its_own_gets_no_answer(datagram_peer, amanda, false_name):
    server = datagram_peer(auth="bsdudp")
    with stranger() as unknown:
        unknown.sendto(DatagramPeer.packet(REQ, NOOP), server.address)
        assert wait_until(lambda: amanda.debug_matches("amandad", r"a request of 127\.0\.0\.2.* is not answered"))
        server.send_packet(REQ, NOOP)
        server.reply()
        unknown.setblocking(False)
        with pytest.raises(BlockingIOError):
            unknown.recv(65536)


def test_a_lookup_that_dies_refuses_its_request(peer, hanging_home):
    server = peer()
    hanging_home()
    server.send_packet(REQ, NOOP)
    assert wait_until(lambda: helpers(server.process.pid))
    os.kill(helpers(server.process.pid)[0], 9)
    _, packet = server.receive()
    assert packet[0] == NAK and b"cannot look up who asks" in packet


def test_a_lookup_has_a_minute(peer, hanging_home):
    server = peer()
    hanging_home()
    server.send_packet(REQ, NOOP)
    _, packet = server.receive(120)
    assert packet[0] == NAK and b"cannot look up who asks" in packet
    assert wait_until(lambda: not helpers(server.process.pid))


def test_too_many_requests_of_one_address_are_refused(peer, hanging_home):
    server = peer()
    hosts = hanging_home()
    for handle in range(1, 18):
        server.send_packet(REQ, NOOP.replace("OPTIONS ", f"OPTIONS hostname=h{handle};"), handle=handle)
    handle, packet = server.receive()
    assert handle == 17 and packet[0] == NAK and b"too many requests" in packet
    assert len(helpers(server.process.pid)) == 1
    relent(hosts, "localhost root amdump")
    answered = set()
    while len(answered) < 16:
        handle, packet = server.receive()
        assert packet[:1] != bytes([NAK]), packet
        if packet[:1] == bytes([REP]):
            answered.add(handle)
            server.send_packet(ACK, handle=handle)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_that_ends_takes_its_lookups_along(peer, hanging_home, how):
    server = peer()
    hanging_home()
    server.send_packet(REQ, NOOP)
    assert wait_until(lambda: helpers(server.process.pid))
    if how == "reset":
        server.reset()
    else:
        server.socket.close()
    assert server.exit_status() == 0


def test_nothing_is_left_when_amandad_is_killed(peer, hanging_home):
    server = peer()
    hanging_home()
    server.send_packet(REQ, NOOP)
    assert wait_until(lambda: helpers(server.process.pid))
    [helper] = helpers(server.process.pid)
    server.process.kill()
    server.process.wait()
    assert wait_until(lambda: helper not in running(), 10)
