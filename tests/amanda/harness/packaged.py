"""Which server asks for the dumps: the private Amanda's own, or Debian's packaged one, which is unpatched."""

import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .installation import SCRATCH, SERVER_DEBUG, TOOLS, Installation

_PACKAGES = "amanda-common", "amanda-server", "amanda-client"


@dataclass
class Programs:
    """A server's programs, its configuration folder, and their user."""

    user: str
    path: Path
    configuration: Path

    def home(self) -> Path:
        """The home of the user."""
        return Path(pwd.getpwnam(self.user).pw_dir)

    def give(self, path: Path) -> None:
        """Make the user the owner of path and all below it."""
        subprocess.run(["chown", "-R", f"{self.user}:{self.user}", path], check=True)


def private(amanda: Installation) -> Programs:
    """The installed Amanda's own server."""
    return Programs(amanda.user, amanda.prefix / "sbin", amanda.prefix / "etc/amanda/daily")


def debian() -> Programs:
    """Debian's server, laid over the sandbox's /usr because its paths are compiled into its programs.

    Makes the folders that its installation would make. The machine's own /usr is not changed. amfetchdump comes with
    amanda-client.
    """
    unpacked, debug = SCRATCH / "debian", Path("/var/log/amanda")
    if not unpacked.exists():
        for package in _PACKAGES:
            (file,) = (TOOLS / "packages").glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "--extract", file, unpacked], check=True)
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={unpacked}/usr:/usr", "overlay", "/usr"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/log"], check=True)
        for folder in SERVER_DEBUG, debug:
            folder.mkdir()
        subprocess.run(["mount", "--bind", SERVER_DEBUG, debug], check=True)
    programs = Programs("backup", Path("/usr/sbin"), Path("/etc/amanda/daily"))
    # Its programs make this themselves, and refuse another user's.
    shutil.rmtree("/tmp/amanda", ignore_errors=True)
    for folder in Path("/etc/amanda"), debug:
        folder.mkdir(exist_ok=True)
        programs.give(folder)
    Path("/etc/amanda-security.conf").write_text("tcp_port_range=1,65535\n")
    return programs
