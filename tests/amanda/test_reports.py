"""The log of a real server about failed dumps, and what they leave behind."""

import os
import re
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import Dump, dump_request
from harness.pipes import nothing_more_fits
from harness.processes import wait_until
from harness.stand_in import StandIn

pytestmark = pytest.mark.usefixtures("nothing_left")

# The descriptors that amandad gives to sendbackup (amandad.h).
DATA, MESSAGES, INDEX, STATE = 150, 152, 154, 156


@pytest.fixture(scope="module")
def tar(installed: Installation) -> StandIn:
    """What goes wrong when it is told to."""
    return StandIn(installed.real("tar"))


# Upstream's server words it so; it does not detect garbage, as its index pipeline ends with sed, whose status is 0.
@pytest.mark.parametrize("kind,line", [
    ("none", "SUCCESS dumper localhost many "),
    ("killed", "FAIL dumper localhost many .*tar got signal 9"),
    ("fails", "FAIL dumper localhost many .*tar returned 2"),
    ("garbage", "FAIL dumper localhost many .*the archive is damaged")])
def test_what_the_log_says_of_a_tar(server, tar, data, kind, line):
    running_server = server()
    running_server.add_disk("many", data)
    tar.goes_wrong(kind, 3_000_000)
    try:
        run = running_server.amdump()
    finally:
        tar.behave()
    assert re.search(f"^{line}", run.log.read_text(), re.M), run.log.read_text()


@pytest.fixture
def many_names(data: Path) -> Path:
    """A directory to dump, with an index larger than the pipes and sockets between sendbackup and its server hold."""
    (data / "names").mkdir()
    for number in range(20_000):
        (data / "names" / f"a name of more than forty bytes, by which an index grows {number:06}").touch()
    return data


def assert_whole_but_for_its_index(dump: Dump, source: Path) -> None:
    """Check that the messages report an incomplete index, and that the dump restores to its source."""
    assert not dump.failed and re.search(r"^\? index", dump.messages, re.M), dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(source, SCRATCH / "restored") == []


def test_a_dump_whose_index_nobody_reads_is_whole_and_says_so(datagram_peer, many_names):
    server = datagram_peer(auth="bsd")
    streams, connection = server.begin_dump(dump_request(str(many_names), auth="BSD"))
    index = next(port for port, name in streams.items() if name == "INDEX")
    connection.sockets.pop(index).close()
    del streams[index]
    dump = Dump()
    connection.continue_dump(dump, streams)
    assert_whole_but_for_its_index(dump, many_names)


@pytest.fixture
def sendbackup(amanda) -> Iterator[Callable[[str], tuple[subprocess.Popen, dict[int, int]]]]:
    """Starts sendbackup as amandad does for a request: the process, and the reading ends of its streams."""
    ends: dict[int, int] = {}

    def start(body: str) -> tuple[subprocess.Popen, dict[int, int]]:
        for number in DATA, MESSAGES, INDEX, STATE:
            ends[number], writing = os.pipe()
            os.dup2(writing, number)
            os.close(writing)
        # The lines about security and the service are only for amandad.
        request = SCRATCH / "request"
        request.write_text(body.split("\n", 2)[2])
        with request.open() as asked:
            process = subprocess.Popen([amanda.libexec / "sendbackup", "amandad", "bsdtcp"], stdin=asked, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, pass_fds=list(ends), preexec_fn=amanda.demote)
        for number in ends:
            os.close(number)
        return process, ends

    yield start
    for end in ends.values():
        os.close(end)


def test_a_dump_whose_index_reader_leaves_when_its_pipe_is_full_is_whole_and_says_so(sendbackup, many_names):
    process, ends = sendbackup(dump_request(str(many_names)))
    image = SCRATCH / "image"
    with image.open("wb") as file, subprocess.Popen(["cat"], stdin=ends[DATA], stdout=file):
        assert wait_until(lambda: all(nothing_more_fits(ends[INDEX]) for _ in range(10))), "the index does not fill its pipe"
        os.close(ends.pop(INDEX))
        process.wait(60)
    dump = Dump()
    dump.take("DATA", image.read_bytes(), keep=True)
    with os.fdopen(ends.pop(MESSAGES), "rb") as told:
        dump.take("MESG", told.read(), keep=True)
    assert_whole_but_for_its_index(dump, many_names)
