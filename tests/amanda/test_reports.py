"""What the log of a real server says of dumps that go wrong, and what they leave behind."""

import re

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH
from harness.peer import Dump, dump_request
from harness.processes import running, shared_memory, wait_until
from harness.programs import Programs


@pytest.fixture(scope="module")
def programs() -> Programs:
    """A tar that goes wrong when it is told to."""
    return Programs()


# As upstream's server says it; of garbage it knows nothing, as its index pipeline ends with sed, whose status is 0.
@pytest.mark.parametrize("kind,line", [
    (None, "SUCCESS dumper localhost many "),
    ("killed", "FAIL dumper localhost many .*tar got signal 9"),
    ("fails", "FAIL dumper localhost many .*tar returned 2"),
    ("garbage", "FAIL dumper localhost many .*the archive is damaged")])
def test_what_the_log_says_of_a_tar(server, programs, data, kind, line):
    running_server = server()
    running_server.add_disk("many", data)
    if kind:
        programs.tell("tar", kind, 3_000_000)
    try:
        run = running_server.amdump()
    finally:
        programs.forgive()
    assert re.search(f"^{line}", run.log.read_text(), re.M), run.log.read_text()
    assert wait_until(lambda: not running() and not shared_memory()), (running(), shared_memory())


def test_a_dump_whose_index_nobody_reads_is_whole_and_says_so(datagram_peer, data):
    names = data / "names"
    names.mkdir()
    for number in range(20_000):
        (names / f"a name of more than forty bytes, by which an index grows {number:06}").touch()
    server = datagram_peer(auth="bsd")
    streams, connection = server.begin_dump(dump_request(str(data), auth="BSD"))
    index = next(port for port, name in streams.items() if name == "INDEX")
    connection.sockets.pop(index).close()
    del streams[index]
    dump = Dump()
    connection.continue_dump(dump, streams)
    assert not dump.failed and dump.strange, dump.messages
    assert re.search(r"^\? index", dump.messages, re.M), dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(data, SCRATCH / "restored") == []
