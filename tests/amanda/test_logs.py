"""amandad's dumps wait neither for the file system of its debug file, nor for the system log, nor for a server of service ports."""

import contextlib
import signal
import socket
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.faults import send_signal
from harness.installation import SCRATCH, Installation
from harness.peer import NAK, REQ, Dump, dump_request, request
from harness.processes import resident, running, wait_until

# More than is kept of the debug file while it cannot be written.
FLOOD = 2 << 20
LOST = r"^amandad: \d+ bytes of this file are lost: its file system did not take them in time$"


def end_client() -> None:
    """End the processes on a file system before unmounting it: after a failed test the client may still be running."""
    for pid in running():
        send_signal(pid, signal.SIGKILL)
    wait_until(lambda: not running())


@pytest.fixture
def freeze(amanda: Installation) -> Iterator[Callable[[bool], None]]:
    """Makes amandad's debug files, on a separate file system, hang; or lets them go on."""
    directory, image = amanda.debug / "amandad", SCRATCH / "debug.img"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)
    amanda.give(directory)
    frozen = False

    def set_frozen(now: bool) -> None:
        nonlocal frozen
        if now != frozen:
            subprocess.run(["fsfreeze", "--freeze" if now else "--unfreeze", directory], check=True)
            frozen = now

    yield set_frozen
    set_frozen(False)
    end_client()
    subprocess.run(["umount", directory], check=True)


def test_a_debug_file_that_hangs_stops_no_dump(amanda, peer, large, freeze):
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    dump = Dump()
    server.continue_dump(dump, streams, size=1, keep=False)
    freeze(True)
    server.continue_dump(dump, streams, keep=False)
    assert not dump.failed, dump.messages
    server.socket.close()
    # The debug file still hangs.
    assert server.exit_status() == 0
    freeze(False)
    assert wait_until(lambda: not running({"amandad-log"}))
    text = amanda.debug_text("amandad")
    assert f" DATA: {dump.size} bytes in " in text
    assert " finish time " in text.splitlines()[-1]
    assert not amanda.debug_matches("amandad", LOST)


def test_what_a_hanging_debug_file_would_have_held_is_bounded_and_counted(amanda, peer, large, freeze):
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    dump = Dump()
    server.continue_dump(dump, streams, size=1, keep=False)
    [tar] = running({"tar"})
    send_signal(tar, signal.SIGSTOP)
    freeze(True)
    # amandad logs each refusal, and the reason, more than three times.
    unknown = request("nothing", user="u" * 900)
    for handle in range(1000, 1000 + FLOOD // 2700):
        server.send_packet(REQ, unknown, handle=handle)
        assert server.next_answer(streams, dump)[1][0] == NAK
    [log] = running({"amandad-log"})
    assert resident(log) < (FLOOD + (4 << 20)) // 1024
    freeze(False)
    send_signal(tar, signal.SIGCONT)
    assert wait_until(lambda: amanda.debug_matches("amandad", LOST))
    server.continue_dump(dump, streams, keep=False)
    assert not dump.failed, dump.messages
    server.socket.close()
    assert server.exit_status() == 0
    assert wait_until(lambda: not running({"amandad-log"}))
    assert f" DATA: {dump.size} bytes in " in amanda.debug_text("amandad")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_said_before_a_signal_is_in_the_debug_file(amanda, peer, data, ending):
    server = peer()
    server.begin_dump(dump_request(str(data)))
    server.process.send_signal(ending)
    server.exit_status()
    assert wait_until(lambda: not running({"amandad-log"}))
    assert amanda.debug_matches("amandad", "sending REP pkt")


@pytest.fixture
def full_log(amanda: Installation) -> Iterator[socket.socket]:
    """The system log: a daemon that reads nothing, and whose queue is full."""
    upper, work = SCRATCH / "dev-upper", SCRATCH / "dev-work"
    for directory in upper, work:
        directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir=/dev,upperdir={upper},workdir={work}", "overlay", "/dev"], check=True)
    path = Path("/dev/log")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        daemon.bind(str(path))
        path.chmod(0o666)
        filler.connect(str(path))
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"full")
        yield daemon
    end_client()
    subprocess.run(["umount", "/dev"], check=True)


def test_a_log_daemon_that_hangs_stops_no_dump(datagram_peer, large, full_log):
    server = datagram_peer()
    streams, connection = server.begin_dump(dump_request(str(large), auth="BSDUDP"))
    dump = Dump()
    connection.continue_dump(dump, streams, size=1, keep=False)
    # amandad warns about a token that belongs to no stream.
    connection.send_token(4711, b"nobody's")
    connection.continue_dump(dump, streams, keep=False)
    assert not dump.failed, dump.messages
    full_log.settimeout(30)
    message = b"full"
    while message == b"full":
        message = full_log.recv(4096)
    assert b"amandad" in message and b"bytes for handle 4711 went unclaimed" in message


def test_no_server_is_asked_for_the_services_of_ports(datagram_peer, large):
    source, library = Path(__file__).parent / "harness/silent_services.c", SCRATCH / "libnss_silent.so.2"
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    nsswitch = Path("/etc/nsswitch.conf")
    before = nsswitch.read_text()
    nsswitch.write_text(before.replace("services: files", "services: silent"))
    try:
        server = datagram_peer(auth="bsd", environment={"LD_LIBRARY_PATH": str(SCRATCH)})
        streams, connection = server.begin_dump(dump_request(str(large), auth="BSD"))
        dump = Dump()
        connection.continue_dump(dump, streams, keep=False)
        assert not dump.failed, dump.messages
    finally:
        nsswitch.write_text(before)
