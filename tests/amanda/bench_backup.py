"""What one dump costs the client: with the patched Amanda, with upstream's, and with a bare chain; for scripts/bench-backup.sh.

In each round each Amanda makes one amdump over bsdtcp on the loopback interface, at level 0, with an index, without compression.
Both work in one sandbox and take turns with the floor (benches/floor.c) and tar alone. The processor time is that of all
processes that inetd starts, which is the whole client (benches/client-cpu.c). The server estimates sizes by itself and the dump
ends on a holding disk in memory, so that neither estimates nor tapes distort the figures.
Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
"""

import argparse
import fcntl
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

from harness.installation import BUILD, SCRATCH, Installation
from harness.measured import MemoryServer, both_amandas, figure, logs_kept, read_all, say, use_usual_congestion_control
from harness.processes import wait_until

PROGRAMS = BUILD / "bench/programs"
_LAUNCHER = PROGRAMS / "client-cpu"
# More than any dump here.
_WARM = 2304
# These percentages of a tape are never reached: dumps stay on the holding disk.
_SETTINGS = """\
flush-threshold-scheduled 1000
flush-threshold-dumped 1000
taperflush 1000
autoflush yes
# Without the tests' COMMAND-OPTIONS, with which sendbackup does not rely on what ambsdtar writes.
define application-tool plain-ambsdtar {{
    plugin "ambsdtar"
    property "STATE-DIR" "{prefix}/var/bsdtar"
}}
"""
# Lines of the dump type.
_DUMPTYPE = {"GNUTAR": "", "amgtar": "", "ambsdtar": '    application "plain-ambsdtar"\n'}
_COUNTED = "raw_syscalls:sys_enter"
# As called by start_backup in the patched client-src/sendbackup-gnutar.c, or ambsdtar_build_argv in application-src/ambsdtar.c.
_TARS = {"GNUTAR": ["tar", "--listed-incremental", str(SCRATCH / "snapshot"), "--sparse", "--ignore-failed-read", "--blocking-factor",
                    "256"],
         "ambsdtar": ["bsdtar", "--block-size", "256"]}
# Sizes of tar's records, in its units of 512 bytes. They are measured only on request.
_RECORDS = (20, 64, 128, 256, 512)
# perf cannot count the calls of ambsdtar and amgtar, which are set-uid. amgtar's chain is GNUTAR's.
_VARIANTS = {"GNUTAR": ["patched", "upstream", "floor", "one-hop", "tar", "calls"],
             "ambsdtar": ["patched", "upstream", "floor", "one-hop", "tar"], "amgtar": ["patched", "upstream"]}


def counter(file: Path) -> list[str]:
    """The start of a command that counts system calls into a file.

    The kernel drops the counter from a set-uid program (runtar), so that the calls of tar --create are missing. strace would
    see them, but would make tar so slow that its readers find little at a time and call more often.
    """
    perf = shutil.which("perf")
    assert perf, "perf is not installed"
    return [perf, "stat", "-x,", "-e", _COUNTED, "-o", str(file)]


def calls_in(file: Path) -> int:
    """The sum of what perf counted."""
    fields = [line.split(",") for line in file.read_text().splitlines()]
    return sum(int(field[0]) for field in fields if field[2:3] == [_COUNTED])


class MeasuredServer(MemoryServer):
    """A server whose amandad is started below a launcher that sums the client's processor time."""

    def __init__(self, amanda: Installation, wrap: Sequence[str | Path] = (), **options: Any) -> None:
        """`wrap` are the first words of a command that root runs, and that runs amandad as Amanda's user; `options` are Server's."""
        self.wrap = wrap
        self.times = SCRATCH / "logs/client.times"
        self.times.parent.mkdir(parents=True, exist_ok=True)
        self.times.write_bytes(b"")
        self.kept: Path | None = None
        super().__init__(amanda, settings=_SETTINGS.format(prefix=amanda.prefix), **options)
        if self.auth in ("local", "ssh"):
            self._launch_without_inetd()

    def inetd_line(self) -> str:
        """The launcher takes amandad's place; its words are a program, and then that program's own from its name on."""
        words = super().inetd_line().split()
        listens, user, amandad, arguments = words[:4], words[4], words[5], words[6:8] + ["amdump", "restore"]
        started = [amandad, *arguments]
        if self.wrap:
            started = [self.wrap[0], *self.wrap, "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", amandad,
                       *arguments[1:]]
            user = "root"
        return " ".join(map(str, [*listens, user, _LAUNCHER, "client-cpu", self.times, *started])) + "\n"

    def _launch_without_inetd(self) -> None:
        """A script takes amandad's place until the server is closed."""
        true = self.amanda.libexec / "amandad"
        self.kept = true.rename(true.with_name("amandad.kept"))
        true.write_text(f'#!/bin/sh\nexec {_LAUNCHER} {self.times} {self.kept} amandad "$@"\n')
        true.chmod(0o755)

    def close(self) -> None:
        """Put amandad back, too."""
        super().close()
        if self.kept:
            self.kept.replace(self.amanda.libexec / "amandad")

    def client_seconds(self) -> float:
        """The processor time of the client, user and system, once all its processes have ended."""
        with self.times.open() as times:
            def locked() -> bool:
                try:
                    fcntl.flock(times, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            assert wait_until(locked, 60), "processes of the client do not end"
            return sum(map(float, times.read().split()))


@dataclass(frozen=True)
class Cost:
    """Of one stream: the client's processor time and the elapsed time, in seconds, and its bytes."""

    processor: float
    elapsed: float
    size: int

    def per_gib(self, amount: float) -> float:
        """An amount per GiB of the stream."""
        return amount / (self.size / (1 << 30))


class Bench:
    """The measurements of one program's dumps; each prints its figures."""

    def __init__(self, program: str, quick: bool) -> None:
        self.program, self.quick = program, quick
        self.group = "backup" if program == "GNUTAR" else program
        self.amandas = both_amandas()
        self.measures: dict[str, Callable[[Path, int], None]] = {
            "patched": lambda tree, number: self._measure_amanda("patched", tree),
            "upstream": lambda tree, number: self._measure_amanda("upstream", tree),
            "floor": lambda tree, number: self._tell("floor", tree, self._chain(tree)),
            "one-hop": lambda tree, number: self._tell("floor, one hop", tree, self._chain(tree, "--one-hop")),
            "tar": lambda tree, number: self._tell("tar alone", tree, self._chain(tree, "--alone")),
            "calls": self._measure_calls, "records": lambda tree, number: self._measure_records(tree)}

    def _figure(self, variant: str, tree: Path, metric: str, value: float) -> None:
        figure(self.group, label(tree), variant, metric, value)

    def _tell(self, variant: str, tree: Path, cost: Cost) -> None:
        self._figure(variant, tree, "CPU s/GiB", cost.per_gib(cost.processor))
        self._figure(variant, tree, "elapsed s", cost.elapsed)

    def _measure_amanda(self, variant: str, tree: Path) -> None:
        self._tell(variant, tree, self.dump(self.amandas[variant], tree))

    def _measure_records(self, tree: Path) -> None:
        for blocks in _RECORDS:
            setting = f'property "tar-blocksize" "{blocks}"'
            self._tell(f"records of {blocks // 2} KiB", tree, self.dump(self.amandas["patched"], tree, client_settings=setting))

    def dump(self, amanda: Installation, tree: Path, wrap: Sequence[str | Path] = (), client_settings: str = "") -> Cost:
        """Make one amdump of a tree; the elapsed time is by the dumper's clock."""
        amanda.reset()
        server = MeasuredServer(amanda, wrap, client_settings=client_settings)
        with logs_kept(amanda):
            try:
                settings = f"    dumpcycle 0\n{_DUMPTYPE[self.program]}"
                server.add_disk(tree.name, tree, self.program, settings=settings, estimate="server")
                server.warm(_WARM)
                run = server.amdump()
                told = run.log.read_text(errors="replace")
                done = re.search(r"^SUCCESS dumper .*\[sec ([0-9.]+) kb ([0-9]+) ", told, re.MULTILINE)
                assert run.status == 0 and done, f"amdump ended with status {run.status}: {told}"
                return Cost(server.client_seconds(), float(done[1]), int(done[2]) << 10)
            finally:
                server.close()

    def _chain(self, tree: Path, *options: str) -> Cost:
        """Run the floor, or tar alone."""
        (SCRATCH / "snapshot").unlink(missing_ok=True)
        done = subprocess.run([PROGRAMS / "floor", *options, *_TARS[self.program], "--create", "--file", "-", "--directory", tree,
                               "--one-file-system", "--totals", "."], capture_output=True, text=True)
        assert done.returncode == 0, f"the floor ended with status {done.returncode}: {done.stderr}"
        user, system, elapsed, size = done.stdout.split()
        return Cost(float(user) + float(system), float(elapsed), int(size))

    def _measure_calls(self, tree: Path, number: int) -> None:
        """Count system calls, only with the big files, in separate dumps that are not timed."""
        if not tree.name.endswith("MiB") or (self.quick and number > 1):
            return
        file = SCRATCH / "calls"
        alone = self._chain(tree, "--alone", *counter(file))
        tar_calls = calls_in(file)
        self._figure("tar alone", tree, "calls/GiB", alone.per_gib(tar_calls))
        for variant, amanda in self.amandas.items():
            file.unlink()
            cost = self.dump(amanda, tree, [*counter(file), "--append"])
            calls = calls_in(file)
            self._figure(variant, tree, "calls/GiB", cost.per_gib(calls + tar_calls))
            self._figure(variant, tree, "calls/GiB without tar", cost.per_gib(calls))


def label(tree: Path) -> str:
    """The name of a tree in the figures."""
    return tree.name.replace("-", " ")


def main() -> int:
    """Run all rounds with all trees."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", choices=_VARIANTS, default="GNUTAR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="count calls once")
    parser.add_argument("--variants", nargs="*", help="which of them are measured, if not all")
    parser.add_argument("trees", nargs="+", type=Path)
    options = parser.parse_args()
    bench = Bench(options.program, options.quick)
    use_usual_congestion_control()
    for tree in options.trees:
        read_all(tree)
        for number in range(1, options.rounds + 1):
            say(f"{label(tree)}, round {number} of {options.rounds}")
            for variant in options.variants or _VARIANTS[options.program]:
                bench.measures[variant](tree, number)
    return 0


if __name__ == "__main__":
    sys.exit(main())
