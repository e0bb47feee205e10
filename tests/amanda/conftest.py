"""Fixtures. Run through scripts/test-amanda.sh, which makes the sandbox and says what is needed."""

import os
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.installation import SCRATCH, Installation
from harness.peer import DatagramPeer, Peer
from harness.processes import running, wait_until


@pytest.fixture(scope="session")
def installed() -> Installation:
    """The installed Amanda, once a run."""
    installation = Installation()
    installation.lay_over()
    return installation


@pytest.fixture
def amanda(installed: Installation) -> Iterator[Installation]:
    """The installed Amanda, as new. At the test's end no process of the client may be left."""
    installed.reset()
    yield installed
    assert wait_until(lambda: not running(), 30), f"still running: {running()}"


@pytest.fixture
def data() -> Path:
    """A directory to be dumped, which holds one file of 8 MiB of random bytes."""
    directory = SCRATCH / "data" / os.urandom(4).hex()
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(os.urandom(8 << 20))
    return directory


@pytest.fixture
def peer(amanda: Installation) -> Iterator[Callable[..., Peer]]:
    """Makes peers (see Peer); they are closed at the test's end."""
    made: list[Peer] = []

    def make(**options: object) -> Peer:
        made.append(Peer(amanda, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def datagram_peer(amanda: Installation) -> Iterator[Callable[..., DatagramPeer]]:
    """The same for DatagramPeer."""
    made: list[DatagramPeer] = []

    def make(**options: object) -> DatagramPeer:
        made.append(DatagramPeer(amanda, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
