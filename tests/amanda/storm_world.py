"""What the rounds of a storm share."""

import contextlib
import os
import random
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from harness.archive import describe, extract
from harness.faults import send_signal
from harness.installation import SCRATCH, Installation
from harness.processes import CLIENT, running, wait_until
from harness.server import SERVER
from harness.stand_in import StandIn

# The programs that make dumps, and those that restore them.
PROGRAMS = {"GNUTAR": "tar", "amgtar": "tar", "ambsdtar": "bsdtar"}
# What goes wrong when it is told to.
STOOD_IN_FOR = ("tar", "bsdtar", "gzip")
# Within so many seconds all must be gone once a server has gone.
GONE = 30


class Wrong(Exception):
    """Something does not hold that must."""


@dataclass
class Source:
    """A directory to dump, and what its restore must be."""

    path: Path
    described: dict[str, tuple]

    @property
    def index(self) -> set[str]:
        """The lines of its index."""
        folders = {folder for folder, _, _ in os.walk(self.path)}
        return {name + "/" if os.path.join(self.path, name.lstrip("/")) in folders and name != "/" else name
                for name in ("/" if key == "." else f"/{key}" for key in self.described)}


def sources(directory: Path) -> list[Source]:
    """Big files, many small ones, a file that compresses well, and next to nothing."""
    chance = random.Random(0)
    paths = []
    for number in range(2):
        big, many, text = (directory / f"{name}{number}" for name in ("big", "many", "text"))
        for path in big, many / "folder", text:
            path.mkdir(parents=True)
        (big / "file").write_bytes(chance.randbytes(24 << 20))
        (text / "file").write_bytes(b"".join(b"line %d of the text\n" % chance.randrange(10**6) for _ in range(800_000)))
        for name in range(1500):
            (many / f"a name of some length {name}").write_bytes(chance.randbytes(chance.randrange(6000)))
            (many / "folder" / f"{name:060}").touch()
        (many / "link").symlink_to("folder")
        paths += [big, many, text]
    (directory / "small").mkdir()
    (directory / "small/file").write_text("small\n")
    return [Source(path, describe(path)) for path in [*paths, directory / "small"]]


@dataclass
class World:
    """The Amanda, what stands in for programs, and the data. The last source is small: for the dump after the storm."""

    amanda: Installation
    stand_ins: dict[str, StandIn]
    sources: list[Source] = field(default_factory=list)

    def begin(self) -> None:
        """Remove the logs and orphans of earlier rounds."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        for path in self.amanda.debug, SCRATCH / "logs", SCRATCH / "server":
            shutil.rmtree(path, ignore_errors=True)
        self.amanda.debug.mkdir()
        self.amanda.give(self.amanda.debug)
        self.amanda.configure_client(self.amanda.make_certificates())

    def behave(self) -> None:
        """Have all stand-ins do as the true programs."""
        for stand_in in self.stand_ins.values():
            stand_in.behave()

    def check_nothing_left(self) -> None:
        """Check that no process of a dump is left, and only the server's own shared memory (an upstream fault)."""
        names = CLIENT | SERVER
        if not wait_until(lambda: not running(names), GONE):
            raise Wrong(f"still running after {GONE} s: {running(names)}")
        servers = {line.split(" pid ")[1].split(":")[0] for log in self.amanda.debug.glob("server/**/*.debug")
                   for line in log.read_text(errors="replace").splitlines()[:1] if " pid " in line}
        left = [name for name in os.listdir("/dev/shm") if name.split("-")[-2] not in servers]
        if left:
            raise Wrong(f"left in shared memory: {left}")
        self.empty_shared_memory()

    @staticmethod
    def empty_shared_memory() -> None:
        """Remove everything in shared memory."""
        for name in os.listdir("/dev/shm"):
            (Path("/dev/shm") / name).unlink()

    def check_restore(self, archive: bytes, source: Source, program: str) -> None:
        """Check that a dump reported as done is whole."""
        try:
            extract(archive, SCRATCH / "restored", program)
        except AssertionError as error:
            raise Wrong(f"called done, but cannot be restored: {error}") from None
        got = describe(SCRATCH / "restored")
        different = sorted(name for name in got.keys() | source.described.keys() if got.get(name) != source.described.get(name))
        if different:
            raise Wrong(f"called done, but {len(different)} names differ, the first of them {different[0]}")

    def tidy(self, names: set[str] = CLIENT | SERVER) -> None:
        """End what is left, so that the next round starts fresh."""
        for pid in running(names):
            send_signal(pid, signal.SIGCONT)
            send_signal(pid, signal.SIGKILL)
        wait_until(lambda: not running(names), GONE)
        self.empty_shared_memory()
