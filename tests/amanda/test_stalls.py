"""Dumps and restores of a real server, one of which stalls: it holds up only itself, and loses nothing."""

import re
import signal
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness.archive import differences
from harness.evidence import client_debug_files, error_lines
from harness.faults import send_signal
from harness.gate import PATIENCE, GatedDumps
from harness.installation import SCRATCH, Installation
from harness.processes import descriptors, running, state_of, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left")


def assert_no_error_is_told(amanda: Installation) -> None:
    """Check the client's debug files, which are complete when its processes have ended."""
    assert wait_until(lambda: not running(), PATIENCE), running()
    files = client_debug_files(amanda)
    assert files and error_lines(files) == []


@pytest.mark.parametrize("auth", ["bsd", "bsdudp"])
def test_a_stopped_dumper_holds_back_its_own_dump_alone(amanda, server, gate, folder, auth):
    one_server = server(auth=auth)
    # The first is larger than the pipes and sockets between tar and dumper hold.
    for name, sizes in {"one": {"megabytes": 64}, "two": {"files": 2000}, "three": {"megabytes": 64}}.items():
        one_server.add_disk(name, folder(**sizes))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    dumper, tar = dumps.dumper("one"), dumps.tar("one")
    dumps.stop(dumper)
    gate.open()
    assert wait_until(lambda: dumps.done("two", "three"), PATIENCE)
    assert dumps.stopped(dumper) and not dumps.done("one")
    # Nobody takes its output.
    assert state_of(tar) not in ("", "Z")
    send_signal(dumper, signal.SIGCONT)
    dumps.finish()
    assert_no_error_is_told(amanda)


def test_a_dump_that_is_read_only_when_all_of_it_is_sent_arrives(amanda, server, gate, folder):
    one_server = server(auth="bsdudp")
    # The dump fits into the sockets' buffers.
    one_server.add_disk("one", folder(files=60))
    dumps = GatedDumps(one_server, gate)
    dumper = dumps.dumper("one")
    dumps.stop(dumper)
    gate.open()
    # An amandad that ended with its last service would reset the connection as soon as the server ends a stream.
    assert wait_until(lambda: dumps.said("no service is left; staying until") or not state_of(dumps.amandad), PATIENCE)
    assert state_of(dumps.amandad), "amandad has ended before the server has read everything"
    send_signal(dumper, signal.SIGCONT)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.finish()
    assert_no_error_is_told(amanda)


def rests() -> Callable[[], bool]:
    """A function that says whether no amandad has read anything since the last call."""
    before: list[int] = [-1]

    def have_read_nothing() -> bool:
        found = sum(int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1]) for pid in running({"amandad"}))
        before.append(found)
        return before[-2] == found

    return have_read_nothing


def test_a_restore_that_is_extracted_late_loses_nothing(amanda, server, gate, folder):
    """The restore is on the client, and larger than the pipes, the sockets and amandad can hold."""
    one_server, source = server(auth="bsdtcp"), folder(megabytes=64)
    # Only an application extracts into a given folder.
    one_server.add_disk("one", source, "amgtar")
    gate.close()
    gate.open()
    run = one_server.amdump()
    assert run.done("one"), run.log.read_text()
    target = SCRATCH / "extracted"
    target.mkdir()
    gate.close()
    restore = one_server.command("amfetchdump", "-a", "--extract-client=localhost", "--target", target, "daily", "localhost", "one",
                                 run.stamp, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert wait_until(gate.waiting, PATIENCE), "the restore has not begun"
    assert wait_until(rests(), PATIENCE, interval=1), "amandad does not come to rest"
    gate.open()
    told = restore.communicate(timeout=PATIENCE)[0].decode(errors="replace")
    assert restore.returncode == 0, told
    assert differences(source, target) == []
    assert_no_error_is_told(amanda)


def test_tar_is_given_no_descriptor_of_sendbackups(server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(files=10))
    dumps = GatedDumps(one_server, gate)
    # It waits in the script in place of tar, which bash reads from 255.
    given = {name for number, name in descriptors(dumps.tar("one")).items() if number not in (0, 1, 2, 255)}
    assert not given & set(descriptors(dumps.service("one")).values())
    gate.open()
    dumps.finish()
