"""The faults of a storm that deserve a test each: `make storm` tries them at more moments."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import hostile
from harness.archive import differences, extract
from harness.faults import hole, pipe_memory_used_up, send_signal, stop_for, storm_of_signals, use_up_descriptors
from harness.installation import SCRATCH, Installation
from harness.peer import ACK, REQ, dump_request, request
from harness.processes import descendants, descriptors, running, wait_until
from harness.session import DATAGRAM, FRAMED, Reading, Session

EVERY_AUTH = pytest.mark.parametrize("auth", FRAMED + DATAGRAM)


@pytest.fixture
def session(amanda: Installation) -> Iterator[Callable[[str], Session]]:
    """Makes sessions over a driver; they are closed at the test's end."""
    made: list[Session] = []
    amanda.configure_client(amanda.make_certificates())

    def make(auth: str = "bsdtcp") -> Session:
        made.append(Session(amanda, auth))
        return made[-1]

    yield make
    for one in made:
        one.close()


def begin(session: Session, directory: Path, name: str, size: int = 16 << 20) -> Reading:
    """Begin a dump of a new directory, and read part of it: the rest fills all pipes and buffers, and waits."""
    source = directory / name
    source.mkdir()
    (source / "file").write_bytes(os.urandom(size))
    before = session.received
    reading = session.begin(str(source), dump_request(str(source), auth=session.auth.upper()))
    deadline = time.monotonic() + 30
    while session.received == before:
        assert not reading.over and time.monotonic() < deadline, reading.dump.messages
        session.step(1)
    return reading


def assert_whole(reading: Reading) -> None:
    """Check that a dump is done and equals its source."""
    assert reading.done, reading.dump.messages
    assert not reading.dump.strange, reading.dump.messages
    extract(reading.dump.data, SCRATCH / "restored")
    assert differences(Path(reading.directory), SCRATCH / "restored") == []


def assert_nothing_left() -> None:
    """Check that no process of a dump is left, and no shared memory."""
    assert wait_until(lambda: not running(), 10), f"still running: {running()}"
    assert os.listdir("/dev/shm") == []


@EVERY_AUTH
def test_nothing_is_left_of_a_dump_whose_amandad_is_killed(session, data, auth):
    one = session(auth)
    reading = begin(one, data, "one")
    one.process.kill()
    one.process.wait()
    assert one.finish(10) and not reading.done
    assert_nothing_left()


@EVERY_AUTH
def test_a_dump_whose_sendbackup_is_killed_has_failed_and_nothing_is_left(session, data, auth):
    one = session(auth)
    reading = begin(one, data, "one")
    assert send_signal(reading.sendbackup, signal.SIGKILL)
    assert one.finish(10) and not reading.done
    one.drop()
    assert_nothing_left()


@pytest.fixture
def dying_sendbackup(amanda: Installation) -> Iterator[None]:
    """A sendbackup that ends after it has named its streams, before its header."""
    true = amanda.libexec / "sendbackup"
    kept = true.rename(true.with_name("sendbackup.kept"))
    true.write_text("#!/bin/sh\ncat >/dev/null\necho 'CONNECT DATA 150 MESG 151 INDEX 152 STATE 153'\necho 'OPTIONS ;'\necho\nexit 1\n")
    true.chmod(0o755)
    yield
    kept.replace(true)


@EVERY_AUTH
def test_a_sendbackup_that_ends_before_its_header_ends_its_dump(session, dying_sendbackup, data, auth):
    one = session(auth)
    reading = one.begin(str(data), dump_request(str(data), auth=auth.upper()))
    assert one.finish(10) and not reading.done
    one.drop()
    assert_nothing_left()


@EVERY_AUTH
def test_three_dumps_of_which_one_is_terminated(session, data, auth):
    one = session(auth)
    readings = [begin(one, data, name) for name in ("one", "two", "three")]
    assert send_signal(readings[1].sendbackup, signal.SIGTERM)
    assert one.finish(30)
    assert not readings[1].done
    assert_whole(readings[0])
    assert_whole(readings[2])


@pytest.mark.parametrize("kind", hostile.HOSTILE)
def test_a_hostile_client_ends_its_own_amandad_and_harms_nobody(amanda, session, data, kind):
    one = session()
    reading = begin(one, data, "one")
    before = set(descriptors(one.process.pid))
    (data / "theirs").mkdir()
    (data / "theirs/file").write_bytes(os.urandom(8 << 20))
    attackers = [hostile.attack(amanda, kind, random.Random(number), str(data / "theirs")) for number in range(4)]
    for attacker in attackers:
        assert attacker.exit_status(10) is not None
    assert set(descriptors(one.process.pid)) <= before
    assert one.finish(30)
    assert_whole(reading)
    one.drop()
    assert_nothing_left()


def test_a_connection_that_repeats_its_dump_and_opens_many_handles(session, data):
    one = session()
    reading = begin(one, data, "one")
    before = set(descriptors(one.process.pid))
    connection = one.channels[0]
    for number in range(200):
        body = request("nonsense") if number % 2 else dump_request(reading.directory, auth="BSDTCP")
        kind = ACK if number % 5 == 0 else REQ
        connection.send(100 + number, bytes([kind]) + body.encode() + b"\0")
    assert one.finish(30)
    assert_whole(reading)
    # The dump's own descriptors are gone, and there are no new ones.
    assert wait_until(lambda: set(descriptors(one.process.pid)) <= before, 10)
    one.drop()
    assert one.peer.exit_status(10) == 0


@pytest.mark.parametrize("auth", DATAGRAM)
def test_datagrams_of_a_stranger_beside_a_dump(session, data, auth):
    one = session(auth)
    reading = begin(one, data, "one")
    before = set(descriptors(one.process.pid))
    for number in range(20):
        hostile.datagrams(one.peer.address, random.Random(number))
        one.step(0.01)
    assert one.finish(30)
    assert_whole(reading)
    assert set(descriptors(one.process.pid)) <= before


@EVERY_AUTH
@pytest.mark.parametrize("whose", ["amandad", "sendbackup"])
def test_descriptors_used_up_in_mid_dump(amanda, session, data, auth, whose):
    one = session(auth)
    reading = begin(one, data, "one")
    assert use_up_descriptors(amanda, one.process.pid if whose == "amandad" else reading.sendbackup)
    assert one.finish(30)
    assert_whole(reading)


@EVERY_AUTH
def test_pipe_memory_used_up_before_a_dump_and_in_mid_dump(amanda, session, data, auth):
    one = session(auth)
    readings = [begin(one, data, "one")]
    with pipe_memory_used_up(amanda) as pipes:
        assert pipes < 400
        readings.append(begin(one, data, "two"))
        assert one.finish(30)
    for reading in readings:
        assert_whole(reading)


@EVERY_AUTH
def test_processes_stopped_and_continued_and_a_storm_of_signals(session, data, auth):
    one = session(auth)
    reading = begin(one, data, "one")
    for pid in descendants(one.process.pid):
        stop_for(pid, 0.1)
        one.step(0.1)
    storm_of_signals(lambda: descendants(one.process.pid), random.Random(0))
    assert one.finish(30)
    assert_whole(reading)


@EVERY_AUTH
def test_a_reset_while_the_server_has_paused(session, data, auth):
    one = session(auth)
    begin(one, data, "one")
    begin(one, data, "two")
    one.drop(reset=True)
    assert_nothing_left()


def test_a_hole_of_ten_seconds(session, data):
    every = [session(auth) for auth in ("bsdtcp", "ssl", "bsd")]
    readings = [begin(one, data, one.auth) for one in every]
    hole(10)
    for one, reading in zip(every, readings):
        assert one.finish(60)
        assert_whole(reading)
