"""What dumps of a real server leave behind besides their images: indexes, logs, debug files."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

from .installation import Installation
from .server import Run, stored_index

# The sed script is LEAF_AND_DIRS of Amanda's client-src/sendbackup-dump.c.
_LEAF_AND_DIRS = (r"s/^leaf[ \t]*[0-9]*[ \t]*\.//", "-e", "t", "-e", r"/^dir[ \t]/ {", "-e", r"s/^dir[ \t]*[0-9]*[ \t]*\.//", "-e",
                  "s%$%/%", "-e", "t", "-e", "}", "-e", "d")
# Upstream's index pipeline for each program: the lister, and the sed script after it.
_PIPELINES = {"ambsdtar": (["bsdtar", "tf", "-"], ("s/^.//",)), "DUMP": (["restore", "-tvf", "-"], _LEAF_AND_DIRS)}
_TAR = (["tar", "-tf", "-"], (r"s/^\.//",))

# Whoever waits first reaps amandad's children; applications list the messages they know.
_EXPECTED = re.compile(r"Waitpid for process [0-9]+ failed: No child processes$|(amgtar|ambsdtar): (NORMAL|ERROR) +[^ ]")
# Options of tar and of the compiler with the word in their names.
_NAMES = re.compile(r"--ignore-failed-read|-Wno-error[-=a-z]*")
_ERROR = re.compile(r"error|fatal|critical|failed|panic|assert", re.IGNORECASE)
_CLOSED = re.compile(r"security_stream_close\((0x[0-9a-f]+)\)")
_LATE = re.compile(r"security_stream_seterr\((0x[0-9a-f]+), write error to")


def expected_index(image: Path, program: str) -> list[bytes]:
    """What upstream's index pipeline prints for an image, sorted."""
    lister, script = _PIPELINES.get(program, _TAR)
    environment = {**os.environ, "LC_ALL": "C"}
    # restore(8) lists on both; messages of other programs are not part of the index.
    errors = subprocess.STDOUT if program == "DUMP" else subprocess.DEVNULL
    with image.open("rb") as archive:
        listed = subprocess.run(lister, stdin=archive, stdout=subprocess.PIPE, stderr=errors, env=environment).stdout
    lines = subprocess.run(["sed", "-e", *script], input=listed, stdout=subprocess.PIPE, env=environment, check=True).stdout
    return sorted(lines.splitlines())


@dataclass(frozen=True)
class Checksums:
    """What sendbackup computed, each as the checksum, a colon and its number of bytes."""

    native: str
    client: str

    @staticmethod
    def size(checksum: str) -> int:
        """The number of bytes it covers."""
        return int(checksum.split(":")[1])


@dataclass(frozen=True)
class Evidence:
    """The evidence of the dump of one disk at one level; the image is the dump as the backup program wrote it."""

    amanda: Installation
    run: Run
    disk: str
    level: int
    image: Path

    def index(self) -> list[bytes]:
        """The index as the server keeps it."""
        return stored_index(self.disk, self.run, self.level)

    def sendbackup(self) -> str:
        """The debug file of the sendbackup that made it."""
        (text,) = [text for text in self._texts("sendbackup") if f"disk `{self.disk}'" in text
                   and re.search(rf" level {self.level}$", text, re.MULTILINE)]
        return text

    def amandad(self) -> str:
        """The debug files of the amandads that served it: one may serve several dumps."""
        found = [text for text in self._texts("amandad") if "SERVICE sendbackup" in text and f"<disk>{self.disk}</disk>" in text
                 and f"<level>{self.level}</level>" in text]
        assert found, "no amandad was asked for it"
        return "".join(found)

    def _texts(self, program: str) -> list[str]:
        return [path.read_text(errors="replace") for path in self.amanda.debug_files(program)]

    def checksums(self) -> Checksums:
        """Those in sendbackup's debug file."""
        text = self.sendbackup()
        native, client = (re.findall(rf"sendbackup: {name}-CRC (.*)", text) for name in ("native", "client"))
        assert len(native) == len(client) == 1, f"native: {native}, client: {client}"
        return Checksums(native[0], client[0])

    def log_lines(self) -> list[str]:
        """The lines of dumper and taper about it in the server's log."""
        return [line for line in self.run.log.read_text(errors="replace").splitlines()
                if re.search(rf"(dumper|DONE taper .*) localhost {self.disk} ", line)]

    def missing_log_lines(self) -> list[str]:
        """Patterns that no line of the log matches, of those for dumper's and taper's lines with sendbackup's checksums."""
        checksums = self.checksums()
        both = f"{checksums.native} {checksums.client}"
        dumper = rf"(SUCCESS|STRANGE) dumper localhost {self.disk} ([0-9]+ )?{self.level} {both} "
        taper = rf"DONE taper .* localhost {self.disk} [0-9]+ 1 {self.level} {both} {checksums.client} "
        return [pattern for pattern in (dumper, taper) if not any(re.match(pattern, line) for line in self.log_lines())]

    def teed(self) -> list[int]:
        """The tee's byte counts in sendbackup's debug file, from the lines with the waiting times."""
        return [int(size) for size in re.findall(r": amrelay: sendbackup native tee: (\d+) bytes in .*; waited ", self.sendbackup())]

    def relayed(self) -> list[int]:
        """The same in amandad's, of this sendbackup."""
        (pid,) = re.findall(r"\A.* sendbackup: pid (\d+) ", self.sendbackup())
        return [int(size) for size in re.findall(rf": amrelay: sendbackup {pid} DATA: (\d+) bytes in .*; waited ", self.amandad())]

    def sealed(self) -> int:
        """The number of bytes that amandad says it sealed."""
        return sum(int(size) for size in re.findall(r"k5_encrypt: give (\d+) bytes", self.amandad()))

    def seconds(self) -> float:
        """How long it took: dumper's clock runs from the start of the dump to the last message."""
        return float(re.findall(r"\[sec ([0-9.]+) ", self.log_lines()[0])[0])

    def times(self) -> list[str]:
        """Where its time went, one line for each stream."""
        found = re.findall(r"^.*: ([a-z]*): amrelay: (.* bytes .*)", self.sendbackup() + self.amandad(), re.MULTILINE)
        return [f"{program}: {told}" for program, told in found]


def client_debug_files(amanda: Installation) -> list[Path]:
    """The debug files of the client, except amrecover's, which report every port in use."""
    return [path for folder in ("amandad", "client") for path in (amanda.debug / folder).rglob("*.debug")
            if not path.name.startswith("amrecover.")]


def error_lines(files: Iterable[Path]) -> list[str]:
    """Lines of debug files that report unexpected errors.

    The last, empty frame of a closing stream may find the peer gone.
    """
    found = []
    for file in files:
        closed: set[str] = set()
        for line in file.read_text(errors="replace").splitlines():
            closed.update(_CLOSED.findall(line))
            late = _LATE.search(line)
            if late and late[1] in closed or _EXPECTED.search(line):
                continue
            if _ERROR.search(_NAMES.sub("", line)):
                found.append(f"{file.name}: {line}")
    return found
