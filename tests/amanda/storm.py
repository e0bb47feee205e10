"""Random faults at random moments over real dumps, for as long as wanted: `make storm SECONDS=…`.

Each round makes one to three dumps and injects one fault. What must hold afterwards:
  - a dump reported as done restores to its source; any other is reported as failed within a minute;
  - a dump that was not the fault's target is done;
  - nothing is left running, or in shared memory;
  - the next dump is done.
Most rounds speak Amanda's protocol themselves (storm_peer.py); every tenth runs a real amdump and amfetchdump (storm_server.py).
All choices of a round come from the seed and the round's number, so that SEED=… ROUND=… repeats it; the exact moment of a
fault depends on the machine.
"""

import argparse
import collections
import contextlib
import itertools
import random
import signal
import sys
import time
import traceback

from harness.installation import SCRATCH, Installation
from harness.stand_in import StandIn
from storm_peer import PeerRound
from storm_server import ServerRound
from storm_world import STOOD_IN_FOR, World, Wrong, sources

SERVER_EVERY = 10


class Storm:
    """The rounds and their results."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        amanda = Installation()
        amanda.lay_over()
        amanda.reset()
        self.world = World(amanda, {name: StandIn(amanda.real(name)) for name in STOOD_IN_FOR}, sources(SCRATCH / "data"))

    def round(self, number: int) -> None:
        """Run one round; print what was wrong, and keep its logs."""
        chance = random.Random(f"{self.seed} {number}")
        kind = ServerRound if number % SERVER_EVERY == SERVER_EVERY - 1 else PeerRound
        one = kind(self.world, chance)
        self.world.begin()
        try:
            one.run()
        except Exception as wrong:
            # An error that the harness did not expect ends the round, not the storm.
            if not isinstance(wrong, Wrong):
                traceback.print_exc()
            self.counts["wrong"] += 1
            kept = self.world.amanda.keep_logs(f"storm-{self.seed}-{number}")
            told = f"WRONG: seed {self.seed} round {number}: {one}: {wrong}"
            (kept / "wrong").write_text(told + "\n")
            print(f"{told}\n  logs: {kept}\n  again: make storm SEED={self.seed} ROUND={number}", flush=True)
            self.world.tidy()
        self.counts["rounds"] += 1
        self.counts["done"] += one.done
        self.counts["failed"] += one.failed
        self.faults[one.fault_name + ("" if one.met else " (met nothing)")] += 1

    def run(self, seconds: float) -> None:
        """Run rounds for the given time."""
        deadline, told = time.monotonic() + seconds, time.monotonic()
        for number in itertools.count():
            if time.monotonic() > deadline:
                return
            self.round(number)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"{number + 1} rounds, {self.counts['wrong']} wrong", flush=True)

    def report(self) -> None:
        """The figures."""
        for fault, count in sorted(self.faults.items()):
            print(f"  {count:6} {fault}")
        counts = self.counts
        print(f"seed {self.seed}: {counts['rounds']} rounds; {counts['done']} dumps done and whole, {counts['failed']} failed as they may; "
              f"{counts['wrong']} rounds wrong", flush=True)


def main() -> int:
    """The status is 1 if anything was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--round", type=int, default=None, help="this one only")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"storm: seed {seed}", flush=True)
    storm = Storm(seed)
    # The figures are also printed when the storm is ended early.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        if options.round is not None:
            storm.round(options.round)
        else:
            storm.run(options.seconds)
    storm.report()
    return 1 if storm.counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
