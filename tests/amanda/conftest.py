"""Fixtures. Run the tests through scripts/test-amanda.sh, which makes the sandbox."""

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

# Lets failures show what differs.
pytest.register_assert_rewrite("harness.gate", "harness.whole_backup")

from harness import dataset
from harness.faults import send_signal
from harness.gate import Gate
from harness.installation import SCRATCH, Installation
from harness.peer import DatagramPeer, Peer
from harness.processes import others, running, shared_memory, wait_until
from harness.server import Server


@pytest.fixture(scope="session")
def installed() -> Installation:
    """The installed Amanda, once per run."""
    installation = Installation()
    installation.lay_over()
    return installation


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep the logs of a failed test, and say where."""
    report = (yield).get_result()
    amanda = item.funcargs.get("amanda")
    if report.failed and amanda:
        report.sections.append(("logs", str(amanda.keep_logs(re.sub(r"[^\w-]+", "-", item.name)))))
    elif report.failed and hasattr(item.cls, "logs"):
        report.sections.append(("logs", str(item.cls.logs)))


@pytest.fixture
def amanda(installed: Installation) -> Iterator[Installation]:
    """The installed Amanda, reset. At the test's end no process of the client may be left."""
    installed.reset()
    yield installed
    left = {} if wait_until(lambda: not running(), 30) else running()
    for pid in left:
        # The next test must begin without them.
        send_signal(pid, signal.SIGKILL)
    assert not left, f"still running: {left}"


@pytest.fixture
def nothing_left(amanda: Installation) -> Iterator[None]:
    """At the test's end, once peers and servers are closed, no process and no shared memory may be left."""
    yield
    wait_until(lambda: not others() and not shared_memory())
    processes, memory = others(), shared_memory()
    for pid in processes:
        # The next test must begin without them.
        send_signal(pid, signal.SIGKILL)
    for name in memory:
        Path("/dev/shm", name).unlink(missing_ok=True)
    assert not processes and not memory, f"still running: {processes}; left in shared memory: {memory}"


def _directory_of(content: bytes) -> Path:
    """A directory to dump, with one file."""
    directory = SCRATCH / "data" / os.urandom(4).hex()
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(content)
    return directory


@pytest.fixture
def data() -> Path:
    """A directory to dump, with one file of 8 MiB of random bytes."""
    return _directory_of(os.urandom(8 << 20))


@pytest.fixture
def large() -> Iterator[Path]:
    """A directory to be dumped, of more than the sockets and pipes between its dump and the peer hold: 128 MiB, with no hole."""
    directory = _directory_of(os.urandom(1 << 20) * 128)
    yield directory
    shutil.rmtree(directory)


def _makes(kind: Callable[..., Any], amanda: Installation) -> Iterator[Callable[..., Any]]:
    """Makes objects of this kind, and closes them at the test's end."""
    made: list[Any] = []

    def make(**options: object) -> Any:
        made.append(kind(amanda, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def peer(amanda: Installation) -> Iterator[Callable[..., Peer]]:
    """Makes peers (see Peer); they are closed at the test's end."""
    yield from _makes(Peer, amanda)


@pytest.fixture
def datagram_peer(amanda: Installation) -> Iterator[Callable[..., DatagramPeer]]:
    """The same for DatagramPeer."""
    yield from _makes(DatagramPeer, amanda)


@pytest.fixture
def server(amanda: Installation) -> Iterator[Callable[..., Server]]:
    """Makes servers (see Server), one at a time; they are closed at the test's end."""
    made: list[Server] = []

    def make(**options: object) -> Server:
        for one in made:
            one.close()
        made.append(Server(amanda, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def gate(installed: Installation) -> Gate:
    """The gate at which every tar waits (see Gate)."""
    return Gate()


@pytest.fixture
def folder() -> Iterator[Callable[..., Path]]:
    """Makes directories to dump, each with the given number of small files and all kinds of names, or the given MiB in big files."""
    made: list[Path] = []

    def make(files: int = 0, megabytes: int = 0) -> Path:
        made.append(SCRATCH / "data" / os.urandom(4).hex())
        if files:
            dataset.make_many(made[-1], files)
        if megabytes:
            dataset.make_big(made[-1], megabytes)
        return made[-1]

    yield make
    for directory in made:
        shutil.rmtree(directory)
