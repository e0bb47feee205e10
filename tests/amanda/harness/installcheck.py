"""Upstream's own tests of an installed Amanda (installcheck/ in its source), one at a time, as its user."""

import re
import shutil
import subprocess
from pathlib import Path

from .installation import SCRATCH, Installation
from .server import LOST_HOLDING_DISK

_REPOSITORY = Path(__file__).parents[3]
# Those that run patched code. The rest tests the server and its tapes.
TESTS = ("noop", "amservice", "gnutar", "runtar", "amgtar", "ambsdtar", "amdump", "amdump_client", "amrecover",
         "dump-client-custom-compress+amfetchdump", "dump-client-encrypt+amfetchdump",
         *(f"failure-client-{filter}{kind}" for filter in ("custom-compress", "encrypt")
           for kind in ("", "-end", "-not-found", "-no-exec")))


class Installcheck:
    """A copy of upstream's tests, prepared as by its Makefile."""

    def __init__(self, amanda: Installation) -> None:
        self.amanda = amanda
        self.directory = SCRATCH / "installcheck"
        self.perl = amanda.prefix / "lib/amanda/perl"
        source = _REPOSITORY / "build" / f"amanda-{amanda.variant}" / "source"
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(source / "installcheck", self.directory)
        shutil.copytree(source / "perl/Amanda/Rest", self.directory / "Amanda/Rest")
        shutil.copy(_REPOSITORY / "tests/amanda/installcheck/Installcheck/Rest.pm", self.directory / "Installcheck")
        for path in [*self.directory.glob("*.pl"), self.directory / "amcat.sh"]:
            script = path.with_suffix("")
            text = path.read_text(encoding="latin-1")
            for name, value in ("amperldir", str(self.perl)), ("PERL", "/usr/bin/perl"), ("SHELL", "/bin/sh"):
                text = text.replace(f"@{name}@", value)
            script.write_text(text, encoding="latin-1")
            script.chmod(0o644 if script.name == "amcat-error-no-exec" else 0o755)
        # Amanda's user must be able to write what an installation as root made.
        (amanda.prefix / "share/amanda/bsdtar").mkdir(exist_ok=True)
        amanda.give(amanda.prefix / "share/amanda/bsdtar")
        amanda.give(self.directory)

    def run(self, name: str) -> tuple[str, str]:
        """Run a test: its result in one line, and its output. Run it again if the driver has lost its holding disk."""
        (self.amanda.prefix / "tmp/installchecks").mkdir(exist_ok=True)
        self.amanda.give(self.amanda.prefix / "tmp")
        if name == "amrecover":
            # It needs root, and restores from a dump that must exist.
            self._perl("-MInstallcheck::Dumpcache", "-e", 'Installcheck::Dumpcache::generate_and_store("basic") or die')
        for _ in range(3):
            done = self._perl(name, as_root=name == "amrecover")
            text = done.stdout.decode(errors="replace")
            if done.returncode == 0 or not LOST_HOLDING_DISK.search(text):
                break
        return f"{name}: {summary(text)}, status {done.returncode}", text

    def _perl(self, *words: str, as_root: bool = False) -> subprocess.CompletedProcess:
        environment = {"HOME": str(self.amanda.home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                       "PERL5LIB": f"{self.directory}:{self.perl}", "srcdir": ".", "HARNESS_ACTIVE": "1"}
        return subprocess.run(["perl", *words], cwd=self.directory, env=environment, timeout=240, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=None if as_root else self.amanda.demote)


def summary(text: str) -> str:
    """The results of a test in TAP: how many were planned, which failed, which were skipped."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    results = re.findall(r"^(not ok|ok) (\d+)(.*)$", text, re.M)
    failed = [number for verdict, number, _ in results if verdict == "not ok"]
    skipped = [number for _, number, rest in results if "# skip" in rest.lower()]
    return (f"{len(results)} of {plan[1] if plan else '?'}, failed: {' '.join(failed) or 'none'}, "
            f"skipped: {' '.join(skipped) or 'none'}")
