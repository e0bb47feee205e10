"""Descriptors and pids of a connection or a service stay valid as long as they are used, and no longer."""

from pathlib import Path

from harness.peer import ACK, NAK, REQ, Peer, dump_request, request, streams_of
from harness.pipes import nothing_more_fits
from harness.processes import children, descriptors, name_of, wait_until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def test_a_tls_connection_keeps_its_descriptors_until_all_is_written(amanda, peer, large):
    """The server reads slowly: what amandad still writes must not go to another file with that descriptor number."""
    amanda.configure_client(amanda.make_certificates())
    server = peer(auth="ssl")
    streams = server.begin_dump(dump_request(str(large), auth="SSL"))
    while streams.get(server.receive()[0]) != "DATA":
        pass
    assert wait_until(lambda: nothing_more_fits(server.socket.fileno()), 20)
    # The refusals wait behind the data: more than fits, but less than ends a connection. The first is looked
    # up. At bytes that are no token amandad ends the connection and the service.
    server.send_packet(REQ, request("noop", user="nobody"), handle=77)
    assert wait_until(lambda: amanda.debug_matches("amandad", "accept error: user nobody"))
    for handle in range(78, 78 + 2000):
        server.send_packet(REQ, request("noop", user="nobody"), handle=handle)
    server.socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert wait_until(lambda: not children(server.process.pid), 20)
    assert server.process.poll() is None
    held = descriptors(server.process.pid)
    assert held.get(0, "none").startswith("socket:") and held.get(1) == held[0], held
    refused = False
    while token := server.receive(20):
        refused = refused or (token[0] == 77 and token[1][:1] == bytes([NAK]))
    assert refused
    assert server.exit_status(10) == 0


def run_noop(server: Peer) -> int:
    """Ask for noop up to its reply, without acknowledging it: the pid of its process."""
    server.send_packet(REQ, request("noop", "OPTIONS features=ff;hostname=localhost;"), handle=1)
    found: list[int] = []
    assert wait_until(lambda: found.extend(pid for pid in children(server.process.pid) if name_of(pid) == "noop") or found,
                      seconds=10, interval=0)
    server.reply()
    return found[0]


def test_the_number_of_a_reaped_process_is_nobodys(amanda, peer, large):
    """The next service's process has the same pid: it is neither waited for nor terminated instead of the first."""
    server = peer()
    # From now on it is known who may ask for a dump: no process is begun to find out.
    server.dump(dump_request(str(large), level=1), keep=False)
    number = run_noop(server)
    LAST_PID.write_text(str(number - 1))
    server.send_packet(REQ, dump_request(str(large)), handle=2)
    streams = streams_of(server.reply())
    assert name_of(number) == "sendbackup"
    # The end of noop's handle.
    server.send_packet(ACK, handle=1)
    while (token := server.receive()) != (1, b""):
        assert token, "the connection has ended"
    server.send_packet(ACK, handle=2)
    assert not server.finish_dump(streams, keep=False).failed
    # amandad says this before it terminates a process that goes on for four seconds.
    assert amanda.debug_matches("amandad", f"process {number} has not ended") == []
