"""Something in the place of a program that writes a backup, or filters one: it goes wrong when it is told to."""

import os
import shutil
import subprocess
from pathlib import Path

from .installation import SCRATCH, Installation

_SOURCE = Path(__file__).resolve().parent.parent / "stand_ins"
FOLDER = SCRATCH / "stand-ins"


def _lay_over(directory: Path) -> None:
    """Put a writable layer in memory over a directory."""
    upper, work = SCRATCH / f"upper-{directory.name}", SCRATCH / f"work-{directory.name}"
    for layer in upper, work:
        layer.mkdir(mode=0o755)
    options = f"lowerdir={directory},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", directory], check=True)


def copy_program(name: str, path: Path, folder: Path = _SOURCE) -> None:
    """Copy a program, by default from stand_ins/, for everybody to run: a checkout may be readable only by its owner."""
    shutil.copy(folder / name, path)
    path.chmod(0o755)


def put_in_place(program: str | Path, stand_in: Path, real: Path) -> None:
    """Mount a stand-in over a program, which stays available as `real`."""
    real.touch()
    subprocess.run(["mount", "--bind", program, real], check=True)
    subprocess.run(["mount", "--bind", stand_in, program], check=True)


def install(name: str, folder: Path = _SOURCE) -> None:
    """Install a program of stand_ins/ or another folder, over the machine's if it has one."""
    if not (SCRATCH / "upper-bin").exists():
        _lay_over(Path("/usr/bin"))
    path = Path("/usr/bin") / name
    path.unlink(missing_ok=True)
    copy_program(name, path, folder)


class StandIn:
    """The archiver of stand_ins/ in the place of a program, for as long as a test wants. How it goes wrong:

    exits: hands on so many bytes, and ends with status 0; lingers: the same, but closes its output and stays a while; fails: the
    same as exits with status 2; killed: the same by a signal. A filter leaves the rest of its input then.
    late: hands on all, and ends with status 2; silent: hands on all, and says nothing; without end mark: an archive's last blocks
    are missing; garbage: so many bytes that are no archive's.
    pauses: hands on all, after so many bytes a second later; grandchild: all, and leaves a process that holds its streams; none:
    as the true program.
    """

    def __init__(self, path: str) -> None:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        self.path, self.name = path, os.path.basename(path)
        self.copy, self.real = FOLDER / f"{self.name}.stand-in", FOLDER / f"{self.name}.real"
        self.behave()
        copy_program("archiver", self.copy)
        put_in_place(path, self.copy, self.real)

    def goes_wrong(self, fault: str, size: int = 4 << 20, directory: str = "") -> None:
        """From now on, after so many bytes, in backups of the directory or in all."""
        new = FOLDER / "fault.new"
        new.write_text(f"{fault}\n{size}\n{directory}")
        os.replace(new, FOLDER / f"{self.name}.fault")

    def behave(self) -> None:
        """Do as the true program from now on."""
        self.goes_wrong("none")

    def remove(self) -> None:
        """Put the real program back."""
        for path in self.path, self.real:
            subprocess.run(["umount", path], check=True)


def install_application(amanda: Installation, name: str, backup: str) -> Path:
    """Install a shell script as an application; `backup` is what it does for a backup, with Amanda's streams."""
    path = amanda.libexec / "application" / name
    path.write_text("#!/bin/bash\ncase $1 in\nsupport)\n"
                    "  for ability in CONFIG HOST DISK INDEX-LINE MESSAGE-LINE RECORD; do echo $ability YES; done\n"
                    "  echo MAX-LEVEL 9\n  echo DATA-PATH AMANDA\n  ;;\nbackup)\n" + backup + "\n  ;;\nesac\n")
    path.chmod(0o755)
    return path
