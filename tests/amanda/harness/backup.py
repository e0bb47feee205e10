"""A whole backup: two disk list entries dumped at once, at level 0 and, after changes, at level 1; fetched, recovered, restored."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import dataset
from .archive import describe
from .evidence import Evidence
from .installation import SCRATCH, Installation
from .packaged import debian
from .processes import running, wait_until
from .server import Run, Server
from .watch import Seen, Watch

DISKS = "many", "big"
LEVELS = 0, 1
IMAGES = SCRATCH / "images"

_CHOICES = {
    "auth": ("bsd", "bsdudp", "bsdtcp", "local", "ssh", "ssl", "krb5"), "program": ("GNUTAR", "amgtar", "ambsdtar", "DUMP"),
    "compress": ("none", "client"), "encrypt": ("none", "client", "kerberos"), "server": ("private", "debian")}

# Works like amcrypt: standard input to standard output, -d decrypts.
CRYPT = "#!/bin/sh\nexec openssl enc -aes-256-ctr -pbkdf2 -pass pass:loopback \"$@\"\n"


def _copy_time(source: Path, target: Path) -> None:
    """Copy the times of source to target."""
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


@dataclass(frozen=True)
class Kind:
    """How a backup is made, and how large it is.

    auth: how the server reaches the client; program: what reads the data, an application or DUMP (dump(8) of separate file
    systems); compress: none or client; encrypt: none, client, or kerberos (everything between amandad and dumper); server:
    private or debian; files: how many small ones; megabytes: how much data in big ones.
    """

    auth: str = "bsdtcp"
    program: str = "GNUTAR"
    compress: str = "none"
    encrypt: str = "none"
    server: str = "private"
    files: int = 300
    megabytes: int = 8

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            assert getattr(self, name) in choices, f"{name.upper()} is '{getattr(self, name)}'; it must be one of {', '.join(choices)}"

    @property
    def filtered(self) -> bool:
        """Whether the client's filters change the dump."""
        return "client" in (self.compress, self.encrypt)

    @classmethod
    def from_environment(cls) -> "Kind":
        """From the environment variables named like the fields."""
        chosen = {name: type(field.default)(os.environ[name.upper()]) for name, field in cls.__dataclass_fields__.items()
                  if os.environ.get(name.upper())}
        return cls(**chosen)


@dataclass
class Backup:
    """The results. Descriptions of trees are those of archive.describe."""

    amanda: Installation
    kind: Kind
    sources: dict[tuple[str, int], dict] = field(default_factory=dict, repr=False)
    runs: dict[int, Run] = field(default_factory=dict)
    processes: dict[int, list[Seen]] = field(default_factory=dict, repr=False)
    recovered: dict = field(default_factory=dict, repr=False)
    restored: dict[str, dict] = field(default_factory=dict, repr=False)

    @staticmethod
    def image(disk: str, level: int) -> Path:
        """The dump as the backup program wrote it."""
        return IMAGES / f"{disk}.{level}"

    def dump(self, disk: str, level: int) -> Evidence:
        """The evidence of one of its dumps."""
        return Evidence(self.amanda, self.runs[level], disk, level, self.image(disk, level))


class Maker:
    """Makes a backup step by step; calls `say` for each."""

    def __init__(self, amanda: Installation, kind: Kind, say: Callable[[str], object] = print) -> None:
        self.amanda, self.kind, self.say = amanda, kind, say
        self.data = SCRATCH / "data"
        self.filesystems: list[dataset.FileSystem] = []
        self.server: Server | None = None
        self.made = Backup(amanda, kind)
        for folder in self.data, IMAGES:
            folder.mkdir(exist_ok=True)

    def make(self) -> Backup:
        """Make the whole backup."""
        self.say(f"Making {self.kind.files} small files and {self.kind.megabytes} MiB of big ones")
        self._make_data()
        self._start_server()
        self._dump(0)
        # amrecover asks amandad for the index, that is the private Amanda's server.
        if self.kind.server == "private":
            self.say("Recovering level 0 over the network")
            self.made.recovered = self._recover("big")
        self.say("Changing the data")
        dataset.change_many(self.data / "many", renamed_is_new=self.kind.program != "ambsdtar")
        dataset.change_big(self.data / "big")
        self._dump(1)
        self.say("Restoring both levels")
        self.made.restored = {disk: self._restore(disk) for disk in DISKS}
        # Its processes' last messages are needed.
        self.server.close()
        wait_until(lambda: not running())
        return self.made

    def close(self) -> None:
        """End the server and unmount the file systems."""
        if self.server:
            self.server.close()
        while self.filesystems:
            self.filesystems.pop().close()

    def _make_data(self) -> None:
        is_dump = self.kind.program == "DUMP"
        if is_dump:
            self.filesystems.append(dataset.FileSystem(self.data / "many", 100 + self.kind.files // 20))
            self.filesystems.append(dataset.FileSystem(self.data / "big", 200 + self.kind.megabytes * 2))
        # restore(8) cuts a name of 255 bytes short.
        dataset.make_many(self.data / "many", self.kind.files, longest_name=254 if is_dump else 255)
        dataset.make_big(self.data / "big", self.kind.megabytes)
        # With these, upstream's ambsdtar and the bsdtar that it feeds and reads wait for each other forever.
        if self.kind.program == "ambsdtar" and self.amanda.patched:
            dataset.make_long_listing(self.data / "many")

    def _start_server(self) -> None:
        kind, settings, client_settings = self.kind, "", ""
        if kind.encrypt == "client":
            crypt = SCRATCH / "crypt"
            crypt.write_text(CRYPT)
            crypt.chmod(0o755)
            settings = f'    encrypt client\n    client-encrypt "{crypt}"\n    client-decrypt-option "-d"\n'
        elif kind.encrypt == "kerberos":
            # amandad logs what it seals only at this debug level.
            settings, client_settings = "    kencrypt yes\n", "debug-auth 1"
        self.server = Server(self.amanda, auth=kind.auth, data_timeout=120, client_settings=client_settings,
                             programs=debian() if kind.server == "debian" else None)
        for disk in DISKS:
            self.server.add_disk(disk, self.data / disk, kind.program, "client fast" if kind.compress == "client" else "none", settings)

    def _dump(self, level: int) -> None:
        """Dump both disks at a level, and fetch their images."""
        self.say(f"Dumping at level {level}")
        for filesystem in self.filesystems:
            filesystem.settle()
        for disk in DISKS:
            self.made.sources[disk, level] = describe(self.data / disk)
        self.server.force(level)
        with Watch() as watch:
            run = self.server.amdump(seconds=3600)
        told = "\n".join(re.findall(r"^(?:FAIL|STRANGE|FATAL|ERROR|\?|  ).*", run.log.read_text(errors="replace"), re.MULTILINE))
        assert run.status == 0, f"amdump at level {level} ended with status {run.status}: {told}"
        self.made.runs[level], self.made.processes[level] = run, watch.seen
        for disk in DISKS:
            self.server.fetch_to(self.made.image(disk, level), disk, run, level)

    def _recover(self, disk: str) -> dict:
        """Recover everything of a disk with amrecover, over the network from the server's index and tapes."""
        target = SCRATCH / "recovered" / disk
        shutil.rmtree(target, ignore_errors=True)
        done = self.server.recover(disk, target, "*")
        assert done.returncode == 0, f"amrecover ended with {done.returncode}: {done.stdout.decode(errors='replace')[-2000:]}"
        # amrecover was asked for the contents of the top folder, not for the folder itself.
        shutil.copystat(self.data / disk, target)
        return describe(target)

    def _restore(self, disk: str) -> dict:
        """Restore level 0, then level 1 over it, which also removes what had gone."""
        target = SCRATCH / "restored" / disk
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for level in LEVELS:
            self._extract(self.made.image(disk, level), target)
        if self.kind.program == "ambsdtar":
            self._complete(target, self.data / disk)
        if self.kind.program == "DUMP":
            # restore(8) keeps its state between levels in the top folder.
            (target / "restoresymtable").unlink()
            _copy_time(self.data / disk, target)
        return describe(target)

    def _extract(self, image: Path, target: Path) -> None:
        """Restore a dump as the backup program's manual says; ambsdtar runs bsdtar in the C locale."""
        words = {"ambsdtar": ["bsdtar", "--numeric-owner", "-xpSf", image], "DUMP": ["restore", "-rf", image]}.get(
            self.kind.program, ["tar", "--numeric-owner", "-xpGf", image])
        done = subprocess.run(words, cwd=target, capture_output=True, env={**os.environ, "LC_ALL": "C"})
        told = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {told[-2000:]}"

    @staticmethod
    def _complete(target: Path, source: Path) -> None:
        """Do what bsdtar leaves undone.

        Its dumps do not record what has gone since the previous one, and it sets the time of an existing folder before it
        writes into it.
        """
        wanted = describe(source)
        for name in sorted(describe(target), reverse=True):
            if name not in wanted:
                path = target / name
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for folder, _, _ in os.walk(source):
            _copy_time(Path(folder), target / os.path.relpath(folder, source))
