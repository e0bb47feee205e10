"""Dumps and restores of a real server, one of which stalls: it holds up only itself, and loses nothing."""

import re
import signal
from pathlib import Path
from typing import Callable

import pytest

from harness.archive import differences
from harness.evidence import client_debug_files, error_lines
from harness.faults import send_signal
from harness.gate import PATIENCE, GatedDumps, begin_gated_restore
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
    # An amandad that ends with its last service resets the connection as soon as the server ends a stream of its own.
    assert wait_until(lambda: dumps.said("no service is left; staying until") or state_of(dumps.amandad) in ("", "Z"), PATIENCE)
    assert state_of(dumps.amandad) not in ("", "Z"), "amandad has ended before the server has read everything"
    send_signal(dumper, signal.SIGCONT)
    assert wait_until(lambda: not running(), PATIENCE), running()
    dumps.finish()
    assert_no_error_is_told(amanda)


def bytes_read() -> dict[int, int]:
    """How much each amandad that runs has read so far."""
    return {pid: int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1]) for pid in running({"amandad"})}


def rests() -> Callable[[], bool]:
    """What says when it is called whether no amandad has come, gone, or read anything since it was called before."""
    before: list[dict[int, int]] = [{}]

    def nothing_was_read() -> bool:
        before.append(bytes_read())
        return before[-2] == before[-1]

    return nothing_was_read


def test_a_restore_that_is_extracted_late_loses_nothing(amanda, server, gate, folder):
    """It is on the client, of more than the pipes, the sockets and amandad can hold."""
    megabytes = 64
    one_server, source = server(auth="bsdtcp"), folder(megabytes=megabytes)
    target = SCRATCH / "extracted"
    restore, _ = begin_gated_restore(one_server, gate, source, target)
    assert wait_until(rests(), PATIENCE, interval=1), "amandad does not come to rest"
    # The tar that does not read holds back the server.
    assert 0 < sum(bytes_read().values()) < megabytes << 20 and restore.poll() is None
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
