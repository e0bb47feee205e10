"""Rounds of a storm with the real server: amdump into a holding disk and on to tape, amfetchdump back."""

import random
import signal
import time
from typing import Callable

from harness.faults import hole, pipe_memory_used_up, send_signal, stop_for, storm_of_signals, use_up_descriptors
from harness.processes import running, wait_until
from harness.server import Run, Server
from storm_world import GONE, PROGRAMS, World, Wrong

_HARMLESS, _HARMFUL = False, True
_VICTIMS = ("amandad", "sendbackup", "tar", "bsdtar", "gzip", "amgtar", "ambsdtar")
# Without its dumper upstream's driver waits forever.
_LOST_DUMPER = "the dumper is killed (amdump)"
# When a reply is a datagram, nothing reveals that its server has gone: amandad sends it rep-tries times, each ACK_TIMEOUT
# seconds after the last.
UNACKNOWLEDGED = 5 * 10


class ServerRound:
    """One run of two or three dumps, one fault in it, and the run after it."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.done = self.failed = 0
        self.met = True
        self.auth = chance.choice(["bsd", "bsdudp", "bsdtcp", "local", "ssl"])
        self.disks = [(source, chance.choice(list(PROGRAMS)), chance.choice(["none", "client fast"]))
                      for source in chance.sample(world.sources[:-1], chance.randint(2, 3))]
        self.delay = chance.uniform(0, 0.5)
        self.fault_name, self.harmful, self.act = chance.choice(self._faults())

    def _faults(self) -> list[tuple[str, bool, Callable[[], object]]]:
        named = [(f"{name} is {how} (amdump)", _HARMFUL, lambda name=name, number=number: send_signal(self._pick(name), number))
                 for name in _VICTIMS for how, number in (("killed", signal.SIGKILL), ("terminated", signal.SIGTERM))]
        return [*named,
                (_LOST_DUMPER, _HARMFUL, lambda: None),
                ("none (amdump)", _HARMLESS, lambda: None),
                ("a process stops for a while (amdump)", _HARMLESS,
                 lambda: stop_for(self._pick(*_VICTIMS), self.chance.uniform(0.1, 3))),
                ("a storm of signals (amdump)", _HARMLESS, lambda: storm_of_signals(lambda: list(running(set(_VICTIMS))), self.chance)),
                ("a hole in the network (amdump)", _HARMFUL, lambda: hole(self.chance.uniform(0.1, 3))),
                ("no pipe memory is left (amdump)", _HARMLESS, self._no_pipe_memory),
                ("amandad may open nothing more (amdump)", _HARMFUL, lambda: self._no_descriptors("amandad")),
                ("sendbackup may open nothing more (amdump)", _HARMFUL, lambda: self._no_descriptors("sendbackup"))]

    def _pick(self, *names: str) -> int | None:
        found = sorted(running(set(names)))
        return self.chance.choice(found) if found else None

    def _no_pipe_memory(self) -> None:
        with pipe_memory_used_up(self.world.amanda):
            time.sleep(1)

    def _no_descriptors(self, name: str) -> bool:
        pid = self._pick(name)
        return pid is not None and use_up_descriptors(self.world.amanda, pid)

    def __str__(self) -> str:
        disks = ", ".join(f"{program} of {source.path.name} compress {compress}" for source, program, compress in self.disks)
        return f"{self.fault_name}; {self.auth}; {disks}; after {self.delay:.3f} s"

    def run(self) -> None:
        """Run the round. Raises Wrong."""
        server = self._server()
        try:
            if self.fault_name == _LOST_DUMPER:
                self._lose_dumper(server)
                server.close()
                server = self._server()
            else:
                self._check(server, self._disturbed(server), self.harmful)
                server.force()
            self._check(server, server.amdump(), harmful=False)
        except AssertionError as error:
            raise Wrong(str(error)) from None
        finally:
            server.close()
        self.world.check_nothing_left()

    def _server(self) -> Server:
        server = Server(self.world.amanda, self.auth)
        for source, program, compress in self.disks:
            server.add_disk(source.path.name, source.path, program, compress)
        return server

    def _lose_dumper(self, server: Server) -> None:
        """Check only the client's side: it must notice and end."""
        process = server.begin_amdump()
        wait_until(lambda: running({"sendbackup"}) or process.poll() is not None, 60)
        time.sleep(self.delay)
        for pid in running({"dumper"}):
            self.met = send_signal(pid, signal.SIGKILL)
        seconds = GONE + (UNACKNOWLEDGED if self.auth in ("bsd", "bsdudp") else 0)
        if not wait_until(lambda: not running(), seconds):
            raise Wrong(f"still running {seconds} s after the dumpers were killed: {running()}")
        self.world.tidy()
        process.wait()

    def _disturbed(self, server: Server) -> Run:
        """Make the run with the fault."""
        for _ in range(3):
            process = server.begin_amdump()
            wait_until(lambda: running({"sendbackup"}) or process.poll() is not None, 60)
            time.sleep(self.delay)
            self.met = self.act() is not False
            run = server.finish_amdump(process)
            if run.status == 0 or not server.lost_holding_disk():
                break
        return run

    def _check(self, server: Server, run: Run, harmful: bool) -> None:
        for source, program, _ in self.disks:
            name = source.path.name
            if run.done(name):
                self.world.check_restore(server.fetch(name, run), source, PROGRAMS[program])
                self.done += 1
            elif not harmful:
                raise Wrong(f"{name} is not done: {run.results}: {run.log.read_text(errors='replace')}")
            elif name not in run.failed:
                raise Wrong(f"the log says nothing about {name}: {run.log.read_text(errors='replace')}")
            else:
                self.failed += 1
