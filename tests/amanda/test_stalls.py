"""Dumps of a real server of which one stands still: it holds back itself alone, whatever it waits for."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness.faults import send_signal
from harness.gate import PATIENCE, Gate, GatedDumps
from harness.installation import SCRATCH
from harness.peer import REP, REQ, dump_request
from harness.processes import descriptors, running, shared_memory, state_of, wait_until
from harness.server import SERVER, Server

MIB = 1 << 20


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Where every tar waits."""
    return Gate()


@pytest.fixture
def folder() -> Callable[..., Path]:
    """Makes directories to be dumped: of one file of so many MiB, or of so many small ones."""

    def make(name: str, mebibytes: int = 0, files: int = 0) -> Path:
        directory = SCRATCH / "data" / f"{name}-{os.urandom(4).hex()}"
        (directory / "folder").mkdir(parents=True)
        if mebibytes:
            (directory / "big").write_bytes(os.urandom(MIB) * mebibytes)
        for number in range(files):
            (directory / "folder" / f"a file of some length {number}").write_bytes(os.urandom(number % 3000))
        return directory

    return make


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_a_stopped_dumper_holds_back_its_own_dump_alone(server, gate, folder, auth):
    running_server = server(auth=auth)
    # The first is more than the pipes and sockets between tar and dumper can hold.
    for name, sizes in {"one": (64, 0), "two": (0, 2000), "three": (64, 0)}.items():
        running_server.add_disk(name, folder(name, *sizes))
    dumps = GatedDumps(running_server, gate, size=1_000_000)
    stopped, tar = dumps.dumper("one"), dumps.tar("one")
    dumps.stop(stopped)
    gate.open()
    assert wait_until(lambda: dumps.done("two", "three"), PATIENCE)
    assert state_of(stopped) == "T" and not dumps.done("one")
    # Nobody takes what it reads.
    assert state_of(tar) not in ("", "Z")
    send_signal(stopped, signal.SIGCONT)
    dumps.finish()


def test_a_dump_that_is_read_only_when_all_is_sent_arrives(server, gate, folder):
    running_server = server(auth="bsdudp")
    # It fits into the sockets' buffers.
    running_server.add_disk("one", folder("one", files=60))
    dumps = GatedDumps(running_server, gate)
    stopped = dumps.dumper("one")
    dumps.stop(stopped)
    gate.open()
    assert wait_until(lambda: dumps.said("no service is left; staying until") or not state_of(dumps.amandad), PATIENCE)
    assert state_of(dumps.amandad), "amandad has ended before the server has read everything"
    send_signal(stopped, signal.SIGCONT)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.finish()


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_dumps_that_hang_and_that_their_dumpers_leave_hold_back_no_other(server, gate, folder, auth):
    running_server = server(auth=auth)
    for name in "one", "two", "three":
        running_server.add_disk(name, folder(name, files=500))
    dumps = GatedDumps(running_server, gate)
    tar, terminated, given_up = dumps.tar("one"), dumps.service("one"), dumps.service("three")
    dumps.stop(tar)
    dumps.stop(given_up)
    closed = r"process_writenetfd [0-9]+: (0|-1)$"
    before = dumps.said(closed)
    for pid in [dumps.dumper(name) for name in ("one", "three")]:
        send_signal(pid, signal.SIGKILL)
    # DATA and INDEX of the first have closed at least: amandad ends that service.
    assert wait_until(lambda: dumps.said(closed) > before + 1, PATIENCE)
    gate.open()
    assert wait_until(lambda: dumps.done("two"), PATIENCE)
    given_up_line = f"[Pp]rocess {given_up} (does not end: given up|failed to exit)"
    assert not dumps.said(given_up_line), "amandad gave it up first"
    assert wait_until(lambda: dumps.said(f"process {terminated} has ended after all"), PATIENCE)
    assert dumps.said(f"process {terminated} does not end: SIGTERM") == 1
    # It was its last service.
    assert wait_until(lambda: dumps.said(given_up_line), PATIENCE)
    assert wait_until(lambda: state_of(dumps.amandad) in ("", "Z"), PATIENCE)
    assert state_of(given_up) == "T"
    for pid in tar, given_up:
        send_signal(pid, signal.SIGCONT)
    assert wait_until(lambda: not running(), PATIENCE), running()
    # Without its dumper upstream's driver may wait for ever for the others; what the second dump is, is known.
    run = running_server.finish_amdump(dumps.amdump)
    assert run.done("two"), run.log.read_text()
    dumps.check("two", run)
    for memory in Path("/dev/shm").iterdir():
        memory.unlink()


@pytest.fixture
def unwanted(folder) -> Callable[..., str]:
    """Has amservice ask for a dump, be told the ports, acknowledge that, and leave."""

    def ask(running_server: Server, auth: str) -> str:
        # More than the pipes of a dump that nobody reads can hold.
        directory = folder("unwanted", mebibytes=16)
        request = re.search(r"<dle>.*</dle>", dump_request(str(directory), auth=auth), re.S)[0]
        asking = running_server.command("amservice", "localhost", auth, "sendbackup", stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        told = asking.communicate(f"{request}\n".encode(), PATIENCE)[0].decode()
        # It ends with an error: streams without descriptors are one.
        assert re.search(r"^CONNECT DATA [0-9]", told, re.M), told
        return told

    return ask


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_who_does_not_connect_holds_back_his_own_dump_alone(server, gate, folder, unwanted, auth):
    running_server = server(auth=auth)
    for name, sizes in {"one": (16, 0), "two": (0, 500), "three": (16, 0)}.items():
        running_server.add_disk(name, folder(name, *sizes))
    configuration = running_server.configuration / "amanda.conf"
    configuration.write_text(configuration.read_text().replace("inparallel 4", "inparallel 2"))
    # There are ports for two dumps that wait for their connections.
    ports = 2 * (4 if auth == "bsd" else 1)
    with open(running_server.amanda.client_config, "a", encoding="ascii") as client:
        client.write(f"unreserved-tcp-port 11000,{11000 + ports - 1}\n")
    dumps = GatedDumps(running_server, gate, size=1_000_000, count=2)
    acknowledged = dumps.said("received ACK pkt:")
    told = unwanted(running_server, auth)
    assert wait_until(lambda: dumps.said("received ACK pkt:") > acknowledged, PATIENCE)
    # Port 20 is ftp's, which bounces connections: nobody is served from there.
    with socket.socket() as bounced:
        bounced.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bounced.bind(("127.0.0.1", 20))
        bounced.connect(("127.0.0.1", int(re.search(r"^CONNECT DATA ([0-9]+)", told, re.M)[1])))
        assert wait_until(lambda: dumps.said("remote port is 20: ignored"), PATIENCE)
    gate.open()
    assert wait_until(lambda: dumps.done("one", "two", "three"), PATIENCE)
    assert dumps.said("creating new service: sendbackup") == 4
    assert not dumps.said("stream [0-9] accept failed"), "amandad served the others after it had given up"
    assert wait_until(lambda: dumps.said("stream [0-9] accept failed") == 4, PATIENCE)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.finish()


def test_an_application_whose_server_leaves_before_it_acknowledges_ends(peer, gate, folder):
    gate.close()
    gate.open()
    one = peer()
    one.send_packet(REQ, dump_request(str(folder("one", mebibytes=16)), application="amgtar"))
    assert "CONNECT DATA" in one.reply(REP)
    one.socket.close()
    assert wait_until(lambda: not running(), PATIENCE), running()


def test_a_restore_that_is_extracted_late_loses_nothing(server, gate, folder):
    gate.close(1 << 40)
    gate.open()
    running_server = server(auth="bsdtcp")
    source = folder("one", mebibytes=64)
    # Only an application extracts where it is told to.
    running_server.add_disk("one", source, "amgtar")
    run = running_server.amdump()
    assert run.done("one"), run.log.read_text()
    target = SCRATCH / "extracted"
    target.mkdir(mode=0o777)
    running_server.amanda.give(target)
    gate.close()
    restore = running_server.command("amfetchdump", "-a", "--extract-client=localhost", "--target", target, "daily", "localhost",
                                     "one", run.stamp, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert wait_until(lambda: gate.waiting(), PATIENCE)
    assert wait_until(amandad_stands_still, PATIENCE, interval=1), "amandad does not come to rest"
    gate.open()
    told = restore.communicate(timeout=PATIENCE)[0].decode(errors="replace")
    assert restore.returncode == 0, told
    assert (target / "big").read_bytes() == (source / "big").read_bytes()


_read_before: list[int] = []


def amandad_stands_still() -> bool:
    """Whether no amandad has read anything since the last call."""
    found = sum(int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1]) for pid in running({"amandad"}))
    _read_before.append(found)
    return _read_before[-2:] == [found, found]


def test_the_log_tells_of_a_sendbackup_that_is_terminated(server, gate, folder):
    running_server = server()
    running_server.add_disk("many", folder("many", mebibytes=16))
    dumps = GatedDumps(running_server, gate, size=1_000_000)
    send_signal(dumps.service("many"), signal.SIGTERM)
    # The server tries once more.
    gate.open()
    run = running_server.finish_amdump(dumps.amdump)
    assert re.search("^FAIL dumper localhost many ", run.log.read_text(), re.M), run.log.read_text()
    assert wait_until(lambda: not running() and not shared_memory()), (running(), shared_memory())


def test_a_client_ends_when_every_process_of_its_server_is_killed(server, gate, folder):
    running_server = server()
    running_server.add_disk("many", folder("many", mebibytes=16))
    dumps = GatedDumps(running_server, gate, size=1_000_000)
    gone = running(SERVER)
    for pid in gone:
        send_signal(pid, signal.SIGKILL)
    dumps.amdump.wait()
    gate.open()
    assert wait_until(lambda: not running(), PATIENCE), running()
    # What the killed shared among themselves they could not remove: its names tell whose it is.
    left = [name for name in shared_memory() if not any(f"-{pid}-" in name for pid in gone)]
    assert left == []
    for name in shared_memory():
        Path("/dev/shm", name).unlink()


def test_tar_is_given_no_descriptor_of_sendbackups(server, gate, folder):
    running_server = server()
    running_server.add_disk("many", folder("many", files=10))
    dumps = GatedDumps(running_server, gate)
    # It waits in the script that stands for tar, which bash reads from 255.
    given = {name for number, name in descriptors(dumps.tar("many")).items() if number not in (0, 1, 2, 255)}
    assert not given & set(descriptors(dumps.service("many")).values())
    gate.open()
    dumps.finish()
