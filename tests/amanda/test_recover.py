"""Restores: amrecover, whenever the extractor begins and ends; to the client, whatever ends before its time."""

import os
import signal
from pathlib import Path
from typing import Iterator

import pytest

from harness.dataset import FileSystem
from harness.faults import send_signal
from harness.gate import PATIENCE, begin_gated_restore
from harness.installation import SCRATCH, Installation
from harness.processes import name_of, parent_of
from harness.stand_in import copy_program


@pytest.fixture
def target() -> Path:
    """A folder to recover into, not made yet."""
    return SCRATCH / "recovered" / os.urandom(4).hex()


@pytest.fixture
def filesystem() -> Iterator[FileSystem]:
    """A separate file system that dump(8) can read, with a small file, and then a large one."""
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("no loop devices here, which dump(8) needs")
    made = FileSystem(SCRATCH / "data" / os.urandom(4).hex(), 200)
    (made.directory / "first").write_bytes(b"the first of them")
    (made.directory / "large").write_bytes(os.urandom(1 << 20) * 64)
    made.settle()
    yield made
    made.close()


def test_a_restore_that_needs_no_more_leaves_early(server, filesystem, target):
    """restore(8) ends with the last file that is wanted; dump(8) writes files in the order of their inodes."""
    running = server()
    running.add_disk("disk", filesystem.directory, "DUMP")
    run = running.amdump()
    assert run.done("disk"), run.log.read_text()
    done = running.recover("disk", target, "first")
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    assert (target / "first").read_bytes() == b"the first of them"


@pytest.fixture
def late_data(amanda: Installation) -> Iterator[None]:
    """An amidxtaped that offers the data a second late."""
    true, module = amanda.libexec / "amidxtaped", amanda.libexec / "LateData.pm"
    kept = true.rename(true.with_name("amidxtaped.kept"))
    copy_program(module.name, module)
    true.write_text(f'#!/bin/sh\nexec perl -I{module.parent} -MLateData {kept} "$@"\n')
    true.chmod(0o755)
    yield
    module.unlink()
    kept.replace(true)


def test_an_application_that_names_the_parts_it_wants_before_data_are_offered(server, late_data, data, target):
    running = server()
    running.add_disk("disk", data, "amgtar")
    run = running.amdump()
    assert run.done("disk"), run.log.read_text()
    done = running.recover("disk", target, "file")
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    assert (target / "file").read_bytes() == (data / "file").read_bytes()


@pytest.mark.parametrize("victim", ["tar", "amgtar"])
def test_a_restore_whose_extraction_on_the_client_is_killed_has_failed(server, gate, folder, target, victim):
    restore, process = begin_gated_restore(server(), gate, folder(megabytes=8), target)
    if victim == "amgtar":
        process = parent_of(process)
        assert name_of(process) == "amgtar"
    assert send_signal(process, signal.SIGKILL)
    gate.open()
    told = restore.communicate(timeout=PATIENCE)[0].decode(errors="replace")
    assert restore.returncode != 0, told
