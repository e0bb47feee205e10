"""The installed Amanda under test."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from . import certificates

SCRATCH = Path("/run/amrelay-tests")
BUILD = Path(__file__).parents[3] / "build"
# The debug files of a server other than the installed Amanda's.
SERVER_DEBUG = SCRATCH / "server-debug"
# What scripts/tools.sh has unpacked.
TOOLS = BUILD / "tools"


class Installation:
    """An installed Amanda. What tests write below its prefix stays in memory and is gone with the sandbox."""

    def __init__(self, kind: str = "") -> None:
        """The installation that the environment names, or that of a kind (as in AMRELAY), at its usual place."""
        chosen = kind or os.environ.get("AMRELAY", "yes")
        self.patched = chosen == "yes"
        # The names that scripts/lib/common.sh gives to each kind.
        self.variant = {"yes": "relay", "no": "plain"}.get(chosen, chosen)
        self.prefix = BUILD / f"prefix-{self.variant}" if kind else Path(os.environ["AMANDA_PREFIX"])
        self.user = os.environ.get("AMANDA_USER", "amandabackup")
        entry = pwd.getpwnam(self.user)
        self.uid, self.gid, self.home = entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)
        self.libexec = self.prefix / "libexec/amanda"
        self.debug = self.prefix / "debug"
        self.kept = BUILD / "run" / f"{self.variant}-tests"
        self.client_config = self.prefix / "etc/amanda/amanda-client.conf"

    def lay_over(self) -> None:
        """Put a writable layer in memory over the prefix."""
        upper, work = SCRATCH / f"upper-{self.variant}", SCRATCH / f"work-{self.variant}"
        for directory in upper, work:
            directory.mkdir(parents=True)
        SCRATCH.chmod(0o755)
        # With xino all names have the same device number, which tar's `--one-file-system` compares.
        options = f"lowerdir={self.prefix},upperdir={upper},workdir={work},xino=on"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", self.prefix], check=True)

    def reset(self) -> None:
        """Fresh state, debug files and configuration, as after an installation."""
        for name in "debug", "tmp", "var", "etc", "share/amanda/bsdtar":
            shutil.rmtree(self.prefix / name, ignore_errors=True)
        for name in "debug", "tmp", "var/gnutar-lists", "etc/amanda", "share/amanda/bsdtar":
            (self.prefix / name).mkdir(parents=True)
        (self.prefix / "var/amandates").touch()
        self.configure_client()
        for name in "debug", "tmp", "var", "etc/amanda", "share/amanda/bsdtar":
            self.give(self.prefix / name)
        # Amanda follows the link first, then trusts the file only if only root can write to all directories above it.
        security = Path("/etc/amanda-security-private.conf")
        lines = [f"{program}:{setting}={path}" for program, setting, path in (
            ("runtar", "gnutar_path", self.real("tar")), ("amgtar", "gnutar_path", self.real("tar")),
            ("ambsdtar", "bsdtar_path", self.real("bsdtar")))]
        lines += ["tcp_port_range=880,1010", "udp_port_range=900,1000", "restore_by_amanda_user=yes"]
        security.write_text("\n".join(lines) + "\n")
        link = self.prefix / "etc/amanda-security.conf"
        link.symlink_to(security)
        self.allow("localhost root amdump", f"localhost {self.user} amdump restore", "localhost root amindexd amidxtaped")
        shutil.rmtree("/tmp/amanda", ignore_errors=True)
        Path("/tmp/amanda").mkdir(mode=0o777)
        os.chmod("/tmp/amanda", 0o1777)

    def configure_client(self, *lines: str) -> None:
        """Write amanda-client.conf with these lines besides the usual ones."""
        usual = [f'gnutar-list-dir "{self.prefix}/var/gnutar-lists"', f'amandates "{self.prefix}/var/amandates"']
        self.client_config.write_text("\n".join([*usual, *lines]) + "\n")

    def make_certificates(self) -> str:
        """Make what `ssl` needs, once; returns the configuration line with its place."""
        directory = self.prefix / "etc/amanda/ssl"
        if not directory.exists():
            certificates.make(directory)
            self.give(directory)
        return f'ssl-dir "{directory}"'

    def allow(self, *lines: str) -> None:
        """Write .amandahosts: who may ask for what."""
        hosts = self.home / ".amandahosts"
        hosts.write_text("\n".join(lines) + "\n")
        hosts.chmod(0o600)
        self.give(hosts)

    def give(self, path: Path) -> None:
        """Make Amanda's user the owner of path and everything below it."""
        subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", path], check=True)

    @staticmethod
    def real(program: str) -> str:
        """The path of an installed program, without symbolic links."""
        path = shutil.which(program)
        assert path, f"{program} is not installed"
        return os.path.realpath(path)

    def demote(self) -> None:
        """Become Amanda's user: for subprocess's preexec_fn."""
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)

    def keep_logs(self, name: str) -> Path:
        """Copy Amanda's logs to a folder that outlives the sandbox; returns the folder."""
        kept = self.kept / name
        shutil.rmtree(kept, ignore_errors=True)
        for source, target in ((self.debug, "debug"), (SCRATCH / "logs", "logs"), (SCRATCH / "server/log", "server"),
                               (SERVER_DEBUG, "server-debug")):
            if source.exists():
                shutil.copytree(source, kept / target)
        return kept

    def debug_files(self, program: str) -> list[Path]:
        """The debug files of a program, oldest first."""
        return sorted(self.debug.rglob(f"{program}.*.debug"), key=lambda path: path.stat().st_mtime)

    def debug_text(self, program: str) -> str:
        """All that a program has written to its debug files."""
        return "".join(path.read_text(errors="replace") for path in self.debug_files(program))

    def debug_matches(self, program: str, pattern: str) -> list[str]:
        """The debug lines of a program that match a regular expression."""
        return [line for line in self.debug_text(program).splitlines() if re.search(pattern, line)]
