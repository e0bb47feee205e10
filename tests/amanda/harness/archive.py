"""Restoring, and comparing with the source."""

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path


def extract(archive: bytes | bytearray, directory: Path, program: str = "tar") -> None:
    """Extract an archive as the program's manual says, into a new empty directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    options = ["-xpGf", "-"] if program == "tar" else ["-xpSf", "-"]
    done = subprocess.run([program, "--numeric-owner", *options, "-C", directory], input=archive, stderr=subprocess.PIPE)
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    if program == "bsdtar":
        # bsdtar sets the time of an existing folder before it writes into it.
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            top = members.next()
        os.utime(directory, (top.mtime, top.mtime))


def describe(directory: Path) -> dict[str, tuple]:
    """What an archive keeps of each name below a directory: type and mode, owner, time in whole seconds, content, and the first
    name of a file with several."""
    found: dict[str, tuple] = {}
    first: dict[tuple[int, int], str] = {}
    for folder, folders, files in sorted(os.walk(directory)):
        for name in [".", *sorted(files)] + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = os.path.normpath(os.path.join(folder, name))
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            relative = os.path.relpath(path, directory)
            link = ""
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                link = first.setdefault((status.st_dev, status.st_ino), relative)
            found[relative] = (status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), content, link)
    return found


def differences(source: Path, restored: Path, program: str = "tar") -> list[str]:
    """Names by which two trees differ; empty if they are the same. (bsdtar does not change the directory's own time.)"""
    wanted, got = describe(source), describe(restored)
    if program == "bsdtar":
        del wanted["."], got["."]
    return differing(wanted, got)


def differing(wanted: dict[str, tuple], got: dict[str, tuple]) -> list[str]:
    """The names by which two descriptions differ."""
    return sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
