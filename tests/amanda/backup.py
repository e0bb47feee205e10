"""One whole backup of the kind that variables ask for (see Kind); shows its index and its times at the end. For scripts/backup.sh."""

import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from harness.backup import DISKS, IMAGES, LEVELS, Backup, Kind
from harness.evidence import Evidence
from harness.installation import SCRATCH, Installation
from harness.whole_backup import SealedBackup, WholeBackup

_KIND = Kind.from_environment()


def index_lines(evidence: Evidence) -> list[str]:
    """Some lines of an index: those with quoting, or its first ones."""
    lines = [line.decode(errors="replace") for line in evidence.index()]
    shown = [line for line in lines if "\\" in line] or lines
    head = f"The index of level {evidence.level} of {evidence.disk}, {len(lines)} lines, among them:"
    return ["", head, *[f"    {line[:100]}" for line in shown[:8]]]


def table_lines(evidence: Evidence) -> list[str]:
    """One dump's row of the table, and where its time went."""
    size, seconds = evidence.image.stat().st_size, evidence.seconds()
    row = f"{evidence.disk:8} {evidence.level:5} {len(evidence.index()):8} {size:12} {seconds:8.3f} {size / seconds / 1e6:8.1f}"
    return [row, *[f"         {told}" for told in evidence.times()]]


def summary(backup: Backup) -> list[str]:
    """The summary at the end of the run."""
    lines = [line for disk in DISKS for line in index_lines(backup.dump(disk, 0))]
    lines += ["", f"{'DLE':8} {'level':>5} {'entries':>8} {'bytes':>12} {'seconds':>8} {'MB/s':>8}"]
    return lines + [line for level in LEVELS for disk in DISKS for line in table_lines(backup.dump(disk, level))]


@pytest.fixture(scope="session", autouse=True)
def bulk(installed: Installation) -> None:
    """Put large files, which tests keep in memory, and the logs into the folder RUN, on disk."""
    installed.kept = Path(os.environ["RUN"])
    for folder in SCRATCH / "server", SCRATCH / "data", SCRATCH / "restored", SCRATCH / "recovered", IMAGES:
        on_disk = installed.kept / folder.name
        for path in on_disk, folder:
            path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", on_disk, folder], check=True)


class TestBackup(SealedBackup if _KIND.encrypt == "kerberos" else WholeBackup):
    kind = _KIND

    @pytest.fixture(scope="class", autouse=True)
    def show(self, backup: Backup) -> Iterator[None]:
        """Show the summary after the results."""
        yield
        print("\n", *summary(backup), "", sep="\n")
