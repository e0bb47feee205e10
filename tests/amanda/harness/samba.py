"""A real Samba server on loopback with one share, and the real smbclient where Amanda looks for it."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from .installation import SCRATCH
from .processes import wait_until
from .stand_in import install

_TOOLS = Path(__file__).parents[3] / "build/tools/usr"
# Where Debian's programs look for it.
_CONFIGURATION = Path("/etc/samba/smb.conf")
_STATE = SCRATCH / "samba"
_PORT = 445
USER, PASSWORD = "root", "password"

_SETTINGS = """\
[global]
interfaces = lo
bind interfaces only = yes
disable netbios = yes
server role = standalone server
passdb backend = smbpasswd:{state}/smbpasswd
private dir = {state}
state directory = {state}
cache directory = {state}
lock directory = {state}
pid directory = {state}
ncalrpc dir = {state}/ncalrpc
load printers = no
disable spoolss = yes
[share]
path = {share}
read only = no
# Reads fail where a process of the machine has a lock, too.
strict locking = yes
"""


def _answers() -> bool:
    """Whether the server takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", _PORT)) == 0


class Samba:
    """A server whose share is a directory. Amanda's name for it is `device`."""

    device = "//localhost/share"

    def __init__(self, share: Path) -> None:
        smbd = _TOOLS / "sbin/smbd"
        assert smbd.exists(), f"{smbd} is missing: scripts/tools.sh samba smbclient"
        install("smbclient", _TOOLS / "bin")
        shutil.rmtree(_STATE, ignore_errors=True)
        (_STATE / "ncalrpc").mkdir(parents=True)
        _CONFIGURATION.parent.mkdir(exist_ok=True)
        _CONFIGURATION.write_text(_SETTINGS.format(state=_STATE, share=share))
        subprocess.run([_TOOLS / "bin/pdbedit", "--create", "--password-from-stdin", "--user", USER],
                       input=f"{PASSWORD}\n{PASSWORD}\n", text=True, stdout=subprocess.DEVNULL, check=True)
        self.write_password(PASSWORD)
        with (SCRATCH / "smbd.log").open("wb") as log:
            # It starts a process for each connection; a separate session ends them all at once.
            self.process = subprocess.Popen([smbd, "--foreground", "--no-process-group", "--debug-stdout"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        assert wait_until(_answers), (SCRATCH / "smbd.log").read_text()

    @staticmethod
    def write_password(password: str) -> None:
        """Write the password that Amanda logs in with."""
        path = Path("/etc/amandapass")
        path.write_text(f"{Samba.device} {USER}%{password}\n")
        path.chmod(0o644)

    def end(self) -> None:
        """End the server and all its connections."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
