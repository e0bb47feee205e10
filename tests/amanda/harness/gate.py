"""Dumps of a real server that wait at a gate, so that a test can bring about what it wants while all of them are under way."""

import re
import shutil
import signal
from pathlib import Path

from .faults import send_signal
from .installation import SCRATCH, Installation
from .processes import name_of, parent_of, running, state_of, wait_until
from .server import Run, Server, stored_index
from .stand_in import copy_program, put_in_place

# As stand_ins/gated-tar has it.
_GATE, _REAL = Path("/run/amrelay/gate"), Path("/run/amrelay/tar")
PATIENCE = 120


class Gate:
    """tar waits at it: before it begins, or when so many bytes have passed."""

    def __init__(self) -> None:
        script = SCRATCH / "gated-tar"
        copy_program("gated-tar", script)
        put_in_place(Installation.real("tar"), script, _REAL)

    def close(self, size: int = 0) -> None:
        """From now on every tar waits behind its first `size` bytes."""
        shutil.rmtree(_GATE, ignore_errors=True)
        (_GATE / "tars").mkdir(parents=True)
        for directory in _GATE, _GATE / "tars":
            directory.chmod(0o1777)
        (_GATE / "bytes").write_text(str(size))

    def open(self) -> None:
        """All may pass."""
        (_GATE / "open").touch()

    def waiting(self) -> dict[str, int]:
        """The tars at the gate: the folder that is dumped or filled, to the process."""
        return {file.read_text().strip(): int(file.name) for file in (_GATE / "tars").iterdir()}


class GatedDumps:
    """A run of amdump whose dumps have all come to the gate, through one amandad."""

    def __init__(self, server: Server, gate: Gate, size: int = 0, count: int | None = None) -> None:
        """`size` bytes of each pass before; `count` is of how many is waited for, if not of all."""
        self.server, self.gate = server, gate
        self.amdump = self._begin(size, count or len(server.disks))
        self.amandad = self._one_amandad(count or len(server.disks))

    def _begin(self, size: int, count: int):
        """Again where the driver has lost its holding disk."""
        for _ in range(3):
            self.gate.close(size)
            amdump = self.server.begin_amdump()
            wait_until(lambda: len(self.gate.waiting()) == count or amdump.poll() is not None, PATIENCE)
            if amdump.poll() is None or not self.server.lost_holding_disk():
                break
        assert len(self.gate.waiting()) == count, f"at the gate: {self.gate.waiting()}"
        return amdump

    def _one_amandad(self, count: int) -> int:
        """The process that serves all dumps, once it has their connections."""
        parents = [parent_of(pid) for pid in running({"sendbackup"})]
        serving = [pid for pid in parents if name_of(pid) == "amandad"]
        assert len(set(serving)) == 1 and len(serving) == count, f"{count} dumps have these amandads: {serving}"
        # Under the other drivers the streams need no connection of their own.
        connections = count * {"bsd": 4, "bsdudp": 1}.get(self.server.auth, 0)
        assert wait_until(lambda: self.said("stream_accept: connection from", serving[0]) == connections, PATIENCE)
        return serving[0]

    def said(self, pattern: str, amandad: int | None = None) -> int:
        """How often that amandad has written a line with the pattern into its debug file."""
        return len(self.server.amanda.debug_matches("amandad", rf" pid {amandad or self.amandad}: .*{pattern}"))

    def dumper(self, disk: str) -> int:
        """The server's process that dumps a disk, as the driver's log tells it."""
        dumpers: dict[str, int] = {}
        found = None
        for log in sorted((self.server.state / "log").glob("amdump.2*")):
            for line in log.read_text(errors="replace").splitlines():
                started = re.match(r"driver: started (dumper\d+) pid (\d+)", line)
                if started:
                    dumpers[started[1]] = int(started[2])
                sent = re.match(r"driver: send-cmd .* to (dumper\d+): [A-Z]+-DUMP .* localhost [0-9a-f]+ (\S+) ", line)
                if sent and sent[2] == disk:
                    found = dumpers[sent[1]]
        assert found, f"no dumper has {disk}"
        return found

    def stop(self, pid: int) -> None:
        """Stop a process: it stands for one that waits for a slow disk, and no signal but SIGKILL ends it."""
        send_signal(pid, signal.SIGSTOP)
        assert wait_until(lambda: state_of(pid) == "T"), f"process {pid} does not stop"

    def tar(self, disk: str) -> int:
        """The tar of a disk's dump, which waits at the gate."""
        return self.gate.waiting()[str(self.server.disks[disk])]

    def service(self, disk: str) -> int:
        """The process that amandad has started for a disk's dump."""
        pid = self.tar(disk)
        while parent_of(pid) != self.amandad:
            pid = parent_of(pid)
        return pid

    def done(self, *disks: str) -> bool:
        """Whether the dumpers of these have reported success."""
        log = self.server.newest_log().read_text(errors="replace")
        return all(f"SUCCESS dumper localhost {disk} " in log for disk in disks)

    def finish(self) -> Run:
        """The run's end: every dump done, and what its tape restores to and its index lists are the source."""
        run = self.server.finish_amdump(self.amdump)
        assert run.status == 0 and not run.failed, run.log.read_text(errors="replace")
        for disk in self.server.disks:
            self.check(disk, run)
        return run

    def check(self, disk: str, run: Run) -> None:
        """What a disk's dump restores to, and what its index lists, are its source."""
        assert self.server.restore_differences(disk, run) == [], disk
        source = self.server.disks[disk]
        names = {"/"} | {f"/{path.relative_to(source)}" + ("/" if path.is_dir() and not path.is_symlink() else "")
                         for path in source.rglob("*")}
        assert stored_index(disk, run) == sorted(name.encode() for name in names), disk
