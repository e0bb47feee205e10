"""amrecover, whatever the extractor does."""

import os
from typing import Iterator

import pytest

from harness.dataset import FileSystem
from harness.installation import SCRATCH

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="no loop devices here, which dump(8) needs")


@pytest.fixture
def filesystem() -> Iterator[FileSystem]:
    """A separate file system that dump(8) can read, with a small file, and then a large one."""
    made = FileSystem(SCRATCH / "data" / os.urandom(4).hex(), 200)
    (made.directory / "first").write_bytes(b"the first of them")
    (made.directory / "large").write_bytes(os.urandom(1 << 20) * 64)
    made.settle()
    yield made
    made.close()


def test_a_restore_that_needs_no_more_leaves_early(server, filesystem):
    """restore(8) ends with the last file that is wanted; dump(8) writes files in the order of their inodes."""
    running = server()
    running.add_disk("disk", filesystem.directory, "DUMP")
    run = running.amdump()
    assert run.done("disk"), run.log.read_text()
    target = SCRATCH / "recovered"
    done = running.recover("disk", target, "first")
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    assert (target / "first").read_bytes() == b"the first of them"
