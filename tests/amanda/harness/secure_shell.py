"""A private sshd and its keys. The sandbox's /etc is private: the machine's keys and settings are neither visible nor used."""

import shutil
import subprocess
from pathlib import Path

from .installation import TOOLS, Installation


class SecureShell:
    """The sshd through which the server's user logs in as Amanda's, until it is closed."""

    def __init__(self, amanda: Installation, logs: Path) -> None:
        self.user, self.keys = amanda.user, amanda.prefix / "etc/amanda/ssh"
        self.keys.mkdir()
        Path("/run/sshd").mkdir(exist_ok=True)
        shutil.rmtree("/etc/ssh", ignore_errors=True)
        Path("/etc/ssh").mkdir()
        for name in "host", "client":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.keys / name], check=True)
        amanda.give(self.keys / "client")
        Path("/etc/ssh/ssh_known_hosts").write_text(f"localhost {(self.keys / 'host.pub').read_text()}")
        configuration = self.keys / "sshd_config"
        configuration.write_text("\n".join(self._lines()) + "\n")
        with open(logs / "sshd.log", "wb") as log:
            self.sshd = subprocess.Popen([TOOLS / "usr/sbin/sshd", "-D", "-e", "-f", configuration], stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL)

    def _lines(self) -> list[str]:
        """sshd's settings. Debian's sshd is split into several programs; the settings name the unpacked ones."""
        lines = ["ListenAddress 127.0.0.1", f"HostKey {self.keys}/host", f"AuthorizedKeysFile {self.keys}/client.pub",
                 "AuthenticationMethods publickey", "UsePAM no", "StrictModes no", "PidFile none"]
        for program in "session", "auth":
            path = TOOLS / f"usr/lib/openssh/sshd-{program}"
            if path.exists():
                lines.append(f"Sshd{program.capitalize()}Path {path}")
        return lines

    def settings(self) -> str:
        """Lines of each dump type, and of the client's configuration for amrecover."""
        return f'ssh-keys "{self.keys}/client"\nclient-username "{self.user}"\n'

    def close(self) -> None:
        """End it."""
        self.sshd.terminate()
        self.sshd.wait()
