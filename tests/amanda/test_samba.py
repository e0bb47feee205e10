"""Dumps of a share by the real smbclient, from a real Samba server."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.archive import differences, extract
from harness.faults import send_signal
from harness.installation import SCRATCH
from harness.peer import Dump, dump_request
from harness.processes import running
from harness.samba import Samba

END_MARK = bytes(1024)


@pytest.fixture
def samba() -> Iterator[Callable[[Path], Samba]]:
    """Makes servers for a directory; they end at the test's end."""
    made: list[Samba] = []

    def make(share: Path) -> Samba:
        made.append(Samba(share))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def share(data: Path) -> Path:
    """A directory with unusual names, sizes and times."""
    (data / "folder/below").mkdir(parents=True)
    (data / "empty folder").mkdir()
    for name, size in ("empty", 0), ("block", 512), ("folder/ä name", 513), ("folder/below/" + "long" * 40, 70000):
        (data / name).write_bytes(os.urandom(size))
    for name in "block", "folder/ä name", "folder":
        os.utime(data / name, (1234567890, 1234567890))
    return data


def listing(archive: bytes | bytearray) -> list[bytes]:
    """What upstream's index pipeline prints for an archive, as lines."""
    done = subprocess.run(["tar", "-tf", "-"], input=archive, stdout=subprocess.PIPE, env={"LC_ALL": "C"}, check=True)
    return [line.removeprefix(b".") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
def test_a_share_restores_to_its_source(peer, samba, share, index):
    dump = peer().dump(dump_request(samba(share).device, index=index))
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.data.endswith(END_MARK)
    # smbclient can return to a folder after others, so that GNU tar would need an option for folders' times. It keeps nothing of the top.
    extract(dump.data, SCRATCH / "restored", "bsdtar")
    assert differences(share, SCRATCH / "restored", "bsdtar") == []
    assert bytes(dump.index).splitlines() == (listing(dump.data) if index else [])


def begin(peer, device: str) -> tuple[object, dict[int, str], Dump]:
    """Begin a dump, and read part of it: the rest fills all pipes and buffers, and waits."""
    dump, server = Dump(), peer()
    streams = server.begin_dump(dump_request(device))
    server.continue_dump(dump, streams, size=1 << 20)
    return server, streams, dump


def test_a_client_that_is_killed_fails(peer, samba, large):
    server, streams, dump = begin(peer, samba(large).device)
    clients = running({"smbclient"})
    assert clients
    for pid in clients:
        send_signal(pid, signal.SIGKILL)
    server.continue_dump(dump, streams)
    assert dump.size < 128 << 20 and dump.failed and dump.errors, dump.messages


# smbclient fills what it cannot read with zeros, reports a size, and closes the archive.
@pytest.mark.parametrize("folder", [".", "folder"], ids=["top", "folder"])
def test_a_server_that_ends_fails(peer, samba, large, folder):
    (large / folder).mkdir(exist_ok=True)
    (large / "file").rename(large / folder / "file")
    (large / folder / "z").write_bytes(os.urandom(1 << 20))
    one = samba(large)
    server, streams, dump = begin(peer, one.device)
    one.end()
    server.continue_dump(dump, streams)
    assert dump.failed and dump.errors, dump.messages


# smbclient goes on after the folder, and ends with status 0.
def test_a_file_that_cannot_be_read_fails(peer, samba, share):
    with (share / "folder/below" / ("long" * 40)).open("r+b") as locked:
        fcntl.lockf(locked, fcntl.LOCK_EX)
        dump = peer().dump(dump_request(samba(share).device))
    assert dump.failed and "NT_STATUS_FILE_LOCK_CONFLICT" in dump.errors[0], dump.messages


def test_a_wrong_password_fails(peer, samba, share):
    one = samba(share)
    one.write_password("wrong")
    dump = peer().dump(dump_request(one.device))
    assert dump.failed and dump.errors, dump.messages
