"""Dumps that a real server abandons, or never connects to: they end, leave nothing, and hold up no other."""

import re
import signal
import socket
import subprocess
from typing import Callable

import pytest

from harness.faults import send_signal
from harness.gate import PATIENCE, GatedDumps
from harness.peer import REP, REQ, dump_request
from harness.processes import remove_shared_memory, running, state_of, wait_until
from harness.server import SERVER, Server

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_dumps_that_hang_and_that_their_dumpers_leave_hold_back_no_other(server, gate, folder, auth):
    one_server = server(auth=auth)
    for name in "one", "two", "three":
        one_server.add_disk(name, folder(files=500))
    dumps = GatedDumps(one_server, gate)
    tar, terminated, given_up = dumps.tar("one"), dumps.service("one"), dumps.service("three")
    dumps.stop(tar, given_up)
    closed = r"process_writenetfd [0-9]+: (0|-1)$"
    before = dumps.said(closed)
    for pid in [dumps.dumper(name) for name in ("one", "three")]:
        send_signal(pid, signal.SIGKILL)
    # At least DATA and INDEX of the first have closed: amandad ends that service.
    assert wait_until(lambda: dumps.said(closed) > before + 1, PATIENCE)
    gate.open()
    assert wait_until(lambda: dumps.done("two"), PATIENCE)
    # The second wording is upstream's.
    giving_up = f"[Pp]rocess {given_up} (does not end: given up|failed to exit)"
    assert not dumps.said(giving_up), "amandad gave it up first"
    assert wait_until(lambda: dumps.said(f"process {terminated} has ended after all"), PATIENCE)
    assert dumps.said(f"process {terminated} does not end: SIGTERM") == 1
    assert wait_until(lambda: dumps.said(giving_up), PATIENCE)
    # It was its last service.
    assert wait_until(lambda: state_of(dumps.amandad) in ("", "Z"), PATIENCE)
    assert dumps.stopped(given_up)
    for pid in tar, given_up:
        send_signal(pid, signal.SIGCONT)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.check("two", one_server.finish_amdump(dumps.amdump))
    # They leave what they shared with a killed dumper.
    remove_shared_memory(dumps.chunkers())


@pytest.fixture
def ask_and_stay_away(folder) -> Callable[[Server], int]:
    """Makes amservice ask for a dump, get the ports, acknowledge, and leave; returns the data port."""

    def ask(one_server: Server) -> int:
        # More than the pipes of an unread dump hold.
        request = re.search(r"<dle>.*</dle>", dump_request(str(folder(megabytes=16)), auth=one_server.auth), re.S)[0]
        asking = one_server.command("amservice", "localhost", one_server.auth, "sendbackup", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # It ends with an error, because the streams have no descriptors.
        told = asking.communicate(f"{request}\n".encode(), PATIENCE)[0].decode()
        ports = re.search(r"^CONNECT DATA ([0-9]+)", told, re.M)
        assert ports, told
        return int(ports[1])

    return ask


def connect_from_port_20(port: int) -> None:
    """Port 20 is ftp's, which can bounce connections: amandad serves nobody there."""
    with socket.socket() as bounced:
        bounced.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bounced.bind(("127.0.0.1", 20))
        bounced.connect(("127.0.0.1", port))


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_a_server_that_does_not_connect_holds_back_its_own_dump_alone(server, gate, folder, ask_and_stay_away, auth):
    """Two dumps begin before, one after; there are ports for two that wait for their connections."""
    one_server = server(auth=auth, at_once=2)
    for name, sizes in {"one": {"megabytes": 16}, "two": {"files": 500}, "three": {"megabytes": 16}}.items():
        one_server.add_disk(name, folder(**sizes))
    ports = 2 * (4 if auth == "bsd" else 1)
    with open(one_server.amanda.client_config, "a", encoding="ascii") as client:
        client.write(f"unreserved-tcp-port 11000,{11000 + ports - 1}\n")
    dumps = GatedDumps(one_server, gate, size=1_000_000, count=2)
    acknowledged = dumps.said("received ACK pkt:")
    port = ask_and_stay_away(one_server)
    assert wait_until(lambda: dumps.said("received ACK pkt:") > acknowledged, PATIENCE)
    connect_from_port_20(port)
    assert wait_until(lambda: dumps.said("remote port is 20: ignored"), PATIENCE)
    gate.open()
    assert wait_until(lambda: dumps.done("one", "two", "three"), PATIENCE)
    assert dumps.said("creating new service: sendbackup") == 4
    assert not dumps.said("stream [0-9] accept failed"), "amandad served the others after it had given up"
    # After the timeout all four streams are dropped; with them the dump ends, and amandad, as it was the last.
    assert wait_until(lambda: dumps.said("stream [0-9] accept failed") == 4, PATIENCE)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.finish()


def test_an_application_whose_server_leaves_before_it_acknowledges_ends(peer, folder):
    one = peer()
    # More than the pipes of an unread dump hold.
    one.send_packet(REQ, dump_request(str(folder(megabytes=16)), application="amgtar"))
    assert re.search("^CONNECT DATA [0-9]", one.reply(REP), re.M)
    one.socket.close()
    assert wait_until(lambda: not running(), PATIENCE), running()


def test_the_log_tells_of_a_sendbackup_that_is_terminated(server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(megabytes=16))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    send_signal(dumps.service("one"), signal.SIGTERM)
    # The server tries again; that dump may succeed.
    gate.open()
    log = one_server.finish_amdump(dumps.amdump).log.read_text()
    assert re.search("^FAIL dumper localhost one ", log, re.M), log


def test_a_client_ends_when_every_process_of_its_server_is_killed(server, gate, folder):
    """The client sees its connections close, and has nobody to report to."""
    one_server = server()
    one_server.add_disk("one", folder(megabytes=16))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    killed = running(SERVER)
    assert set(killed.values()) >= {"driver", "dumper", "chunker"}, killed
    for pid in killed:
        send_signal(pid, signal.SIGKILL)
    dumps.amdump.wait(PATIENCE)
    gate.open()
    assert wait_until(lambda: not running(), PATIENCE), running()
    remove_shared_memory(killed)
