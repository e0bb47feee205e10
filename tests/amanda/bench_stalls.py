"""What stalled dumps cost the others, and the client; with both Amandas in turn, for scripts/bench-stalls.sh.

  - the speed of two dumps beside a third that is stopped for some seconds, and of the same two alone;
  - amandad's memory, processor time and wake-ups over ten seconds while all of its dumps are stopped.
Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
"""

import argparse
import contextlib
import re
import signal
import sys
import threading
import time
from typing import Iterator

from harness.dataset import write_random
from harness.evidence import error_lines
from harness.faults import send_signal
from harness.gate import Gate, GatedDumps
from harness.installation import SCRATCH, Installation
from harness.measured import MemoryServer, both_amandas, figure, keep_in_memory, logs_kept, say, use_usual_congestion_control
from harness.processes import others, resident, running, shared_memory, state_of, ticks, wait_until, wake_ups

DATA = SCRATCH / "data"
# Dumps stay on the holding disk. Without a tape they may only use what is not reserved for incremental dumps.
_WORDS = ("--no-taper", "-oreserve=0")
_NAMES = "one", "two", "three"
_IDLE_SECONDS = 10


def costs(amandad: int) -> dict[str, float]:
    """What an amandad, and all processes of the client, have cost so far."""
    return {"amandad: resident MiB": round(resident(amandad) / 1024, 1), "amandad: CPU ticks": ticks(amandad),
            "amandad: wake-ups": wake_ups(amandad), "all client processes: CPU ticks": sum(map(ticks, running()))}


def image_bytes(log: str, disk: str) -> int:
    """The size of a dump."""
    (size,) = re.findall(rf"^SUCCESS dumper localhost {disk} [0-9]+ 0 [0-9a-f]+:([0-9]+) ", log, re.MULTILINE)
    return int(size)


def check_client(amanda: Installation) -> None:
    """Check that the client's debug files report no error, and that none of its processes is left."""
    files = [path for folder in ("amandad", "client") for path in (amanda.debug / folder).rglob("*.debug")]
    assert files and error_lines(files) == [], error_lines(files)
    assert wait_until(lambda: not others()), f"still running: {others()}"
    assert not shared_memory(), f"left in shared memory: {shared_memory()}"


class Bench:
    """The measurements; each prints its figures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.limit, self.stall, self.megabytes, self.dumps = options.limit, options.stall, options.megabytes, options.dumps
        self.amandas, self.gate = both_amandas(), Gate()
        keep_in_memory(DATA)
        for name in _NAMES:
            (DATA / name).mkdir()
            write_random(DATA / name / "file", self.megabytes)
        write_random(DATA / "idle", 32)
        for number in range(self.dumps):
            # Separate folders distinguish the dumps.
            (DATA / f"same{number}").mkdir()
            (DATA / f"same{number}/file").hardlink_to(DATA / "idle")

    def speeds(self, variant: str, auth: str, order: tuple[str, ...]) -> None:
        """Measure both speeds, in MB/s, from memory to memory."""
        measures = {"beside": self._speed_beside, "alone": self._speed_alone}
        speed = {name: measures[name](self.amandas[variant], auth) for name in order}
        stopped, alone = f"{auth}, two dumps, a third one stopped", f"{auth}, two dumps alone"
        figure("stalls", stopped, variant, "MB/s", speed["beside"])
        figure("stalls", alone, variant, "MB/s", speed["alone"])
        figure("stalls", stopped, variant, "of the speed alone", speed["beside"] / speed["alone"])

    @contextlib.contextmanager
    def _server(self, amanda: Installation, auth: str, *disks: str, at_once: int = 4) -> Iterator[MemoryServer]:
        """A server with these disks. At its end the client must have ended well."""
        amanda.reset()
        server = MemoryServer(amanda, auth=auth, at_once=at_once)
        with logs_kept(amanda):
            try:
                for disk in disks:
                    server.add_disk(disk, DATA / disk)
                yield server
            finally:
                server.close()
            check_client(amanda)

    def _speed_beside(self, amanda: Installation, auth: str) -> float:
        with self._server(amanda, auth, *_NAMES) as server:
            dumps = GatedDumps(server, self.gate, words=_WORDS)
            dumper = dumps.dumper("one")
            dumps.stop(dumper)
            waker = threading.Timer(self.stall, send_signal, (dumper, signal.SIGCONT))
            waker.start()
            speed = self._speed(server, dumps)
            waker.join()
            dumps.end()
        return speed

    def _speed_alone(self, amanda: Installation, auth: str) -> float:
        with self._server(amanda, auth, *_NAMES[1:]) as server:
            dumps = GatedDumps(server, self.gate, words=_WORDS)
            speed = self._speed(server, dumps)
            dumps.end()
        return speed

    def _speed(self, server: MemoryServer, dumps: GatedDumps) -> float:
        """The combined MB/s of the dumps of two and three, from the opening of the gate to the end of the second."""
        server.warm(self.megabytes * 3)
        self.gate.open()
        start = time.monotonic()
        assert wait_until(lambda: dumps.done("two", "three"), self.limit, interval=0.01), "the dumps are not completed in time"
        seconds = time.monotonic() - start
        log = server.newest_log().read_text(errors="replace")
        return sum(image_bytes(log, disk) for disk in ("two", "three")) / seconds / 1e6

    def idle(self, variant: str) -> None:
        """Measure several dumps of four streams each while all their dumpers are stopped, so that nothing can move."""
        names = [f"same{number}" for number in range(self.dumps)]
        with self._server(self.amandas[variant], "bsd", *names, at_once=self.dumps) as server:
            dumps = GatedDumps(server, self.gate, words=_WORDS)
            dumpers, tar = [dumps.dumper(name) for name in names], dumps.tar(names[0])
            dumps.stop(*dumpers)
            self.gate.open()
            self._tell_costs(variant, dumps.amandad)
            assert dumps.stopped(*dumpers) and not any(map(dumps.done, names)), "a dump was completed without its dumper"
            assert state_of(tar) not in ("", "Z"), "tar has ended without a reader"
            for pid in dumpers:
                send_signal(pid, signal.SIGCONT)
            dumps.end()

    def _tell_costs(self, variant: str, amandad: int) -> None:
        if not wait_until(lambda: self._is_quiet(amandad), self.limit):
            say("the client does not come to rest")
        before = costs(amandad)
        time.sleep(_IDLE_SECONDS)
        after = costs(amandad)
        case = f"bsd, {self.dumps} dumps, all stopped"
        for metric, value in before.items():
            if metric.endswith("MiB"):
                figure("stalls", case, variant, metric, value)
                figure("stalls", case, variant, f"{metric} {_IDLE_SECONDS} s later", after[metric])
            else:
                figure("stalls", case, variant, f"{metric} in {_IDLE_SECONDS} s", after[metric] - value)

    @staticmethod
    def _is_quiet(amandad: int) -> bool:
        """Whether neither amandad nor its dumps use the processor for three seconds."""
        before = costs(amandad)
        time.sleep(3)
        return costs(amandad) == before


def main() -> int:
    """Run all rounds. The speed measured first alternates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--auths", nargs="+", default=["bsd", "bsdudp"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120, help="seconds after which something counts as hanging")
    parser.add_argument("--stall", type=float, default=20, help="seconds for which a dump is stopped")
    parser.add_argument("--megabytes", type=int, default=1024, help="how large the dumps are")
    parser.add_argument("--dumps", type=int, default=8, help="how many are stopped at once")
    options = parser.parse_args()
    use_usual_congestion_control()
    bench = Bench(options)
    order = "beside", "alone"
    for number in range(1, options.rounds + 1):
        say(f"Stalls: round {number} of {options.rounds}")
        for variant in bench.amandas:
            for auth in options.auths:
                bench.speeds(variant, auth, order)
            bench.idle(variant)
        order = order[::-1]
    return 0


if __name__ == "__main__":
    sys.exit(main())
