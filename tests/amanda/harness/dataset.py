"""The data of whole backups: made for level 0, changed for level 1."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

_HUNDRED = "n" * 100
# Names that an index must quote, or that only some encodings have.
_AWKWARD = [name.encode() for name in (
    "with space", " leading and trailing ", "new\nline", "tab\there", "back\\slash", "ends with \\", '"double"', "'single'", "bell\a",
    "delete\177", "octal\\012 spelled out", "-rf", "--delete", "*?[a-z]", "$(false)", "semi;colon", "päivä", "日本語", "#hash", "~tilde",
    _HUNDRED)] + [b"latin1-\xe9\xff", b"cut-utf8-\xe6\x97"]


def _make_awkward_names(top: Path, longest: int) -> None:
    """Make awkward names, including some that do not fit into a plain tar header; `longest` is the length of the longest one."""
    for name in [*_AWKWARD, b"m" * longest]:
        path = os.path.join(os.fsencode(top), name)
        Path(os.fsdecode(path)).write_bytes(name)
        folder = os.path.join(os.fsencode(top), b"directory " + name)
        if len(name) + len(b"directory ") <= 255:
            os.mkdir(folder)
            Path(os.fsdecode(folder), "inside").write_bytes(name)
    deep = top / f"long{_HUNDRED[4:]}" / _HUNDRED / _HUNDRED
    deep.mkdir(parents=True)
    (deep / "file").write_text("a path of more than 255 bytes\n")
    (deep / "link with a long target").symlink_to(_HUNDRED * 2)
    (deep / "hard link to a long path").hardlink_to(deep / "file")


def _make_special_files(top: Path) -> None:
    for name in "empty directory", "nested", "nested/empty", "closed":
        (top / name).mkdir()
    (top / "empty file").touch()
    os.mkfifo(top / "fifo")
    (top / "symbolic link").symlink_to("with space")
    (top / "dangling symbolic link").symlink_to("../no such\nfile")
    (top / "hard link one").write_text("linked\n")
    for name in "nested/hard link two", "hard link three":
        (top / name).hardlink_to(top / "hard link one")
    (top / "set-uid").write_text("set-uid\n")
    (top / "set-uid").chmod(0o4755)
    (top / "closed").chmod(0o700)
    os.utime(top / "empty file", (34401906.789, 34401906.789))
    os.chown(top / "empty directory", 12345, 54321)


def make_many(top: Path, count: int, longest_name: int = 255) -> None:
    """Small files of 0 to about 8 KiB, 200 in a folder, and everything awkward."""
    line = base64.b64encode(os.urandom(6000))
    for number in range(count):
        folder = top / f"folder {number // 200}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}").write_bytes(line[:number * 37 % 8000])
    _make_awkward_names(top, longest_name)
    _make_special_files(top)


def make_long_listing(top: Path) -> None:
    """Names whose listing is longer than the archive: a pipe full of archive gives more lines than fit into a pipe."""
    folder = top.joinpath(*["日" * 80] * 8)
    folder.mkdir(parents=True)
    for number in range(200):
        (folder / str(number)).touch()


def write_random(path: Path, megabytes: int) -> None:
    """Bytes that no compression or zero detection can shorten."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


def make_big(top: Path, megabytes: int) -> None:
    """Four big files, a sparse one (data, a hole, data, a hole to its end), a few links."""
    top.mkdir(parents=True, exist_ok=True)
    for number in range(1, 5):
        write_random(top / f"big {number}", (megabytes + 3) // 4)
    with (top / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        for offset, size in (10 << 20, 5000), (40 << 20, 70000):
            file.seek(offset)
            file.write(os.urandom(size))
    (top / "few").mkdir()
    (top / "few/file").write_text("few\n")
    (top / "few/hard link").hardlink_to(top / "few/file")
    (top / "few/symbolic link").symlink_to("../big 1")


def change_many(top: Path, renamed_is_new: bool) -> None:
    """New, removed, renamed, grown, or replaced by another type: what a level 1 must carry over.

    Directories are removed last: a new one with the inode of an old one looks to tar like a renamed one. Some programs
    only take a new ctime for new: `renamed_is_new` says whether a renamed directory's content is new without one.
    """
    (top / "new\nfile").write_text("new\n")
    (top / "new directory").mkdir()
    (top / "new directory/päivä").write_text("new\n")
    (top / "folder 0/file 3").unlink()
    (top / "with space").unlink()
    (top / "folder 0/file 5").rename(top / "folder 0/renamed file 5")
    (top / "directory with space").rename(top / "renamed directory")
    if not renamed_is_new:
        (top / "renamed directory/inside").chmod(0o600)
    with (top / "folder 0/file 7").open("a") as file:
        file.write("grown\n")
    (top / "#hash").unlink()
    (top / "#hash").mkdir()
    (top / "#hash/file").write_text("a file in what was a file\n")
    (top / "set-uid").chmod(0o600)
    shutil.rmtree(top / "nested")


def change_big(top: Path) -> None:
    """The same for the big ones."""
    with (top / "big 2").open("ab") as file:
        file.write(os.urandom(300000))
    (top / "big 3").rename(top / "renamed big 3")
    (top / "big 4").unlink()
    (top / "few/hard link").unlink()
    write_random(top / "new big", 1)


class FileSystem:
    """A separate file system at a directory, for dump(8), which only reads a device: a loop device, freed when it is unmounted."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        image = directory.with_suffix(".image")
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        self._run("mkfs.ext4", "-q", "-F", image)
        self._run("mount", "-o", "loop", image, directory)

    @staticmethod
    def _run(*words: str | Path) -> str:
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(map(str, words))} failed, which backups with dump(8) need: {done.stderr}"
        return done.stdout.strip()

    def settle(self) -> None:
        """Make dump(8) see the files' current contents.

        It reads the device beside the mounted file system, which its manual wants quiet. When that is read-only, everything is in
        place and the journal is empty, so that no page of the device is in use and pages cached by an earlier dump can be dropped.
        """
        device = self._run("findmnt", "-n", "-o", "SOURCE", self.directory)
        self._run("mount", "-o", "remount,ro", self.directory)
        self._run("blockdev", "--flushbufs", device)
        self._run("mount", "-o", "remount,rw", self.directory)

    def close(self) -> None:
        """Unmount it."""
        self._run("umount", self.directory)
