"""Dumps of a real server that wait at a gate, so that a test can act while all of them are running."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

from .archive import differences, extract
from .evidence import Evidence, expected_index
from .faults import send_signal
from .installation import SCRATCH, Installation
from .processes import name_of, parent_of, running, state_of, wait_until
from .server import Run, Server
from .stand_in import copy_program, put_in_place

# As stand_ins/gated-tar has it.
_GATE, _REAL = Path("/run/amrelay/gate"), Path("/run/amrelay/tar")
PATIENCE = 120


class Gate:
    """tar waits here, before it begins or after the given number of bytes."""

    def __init__(self) -> None:
        script = SCRATCH / "gated-tar"
        copy_program("gated-tar", script)
        put_in_place(Installation.real("tar"), script, _REAL)

    def close(self, size: int = 0) -> None:
        """Make every tar wait after its first `size` bytes."""
        shutil.rmtree(_GATE, ignore_errors=True)
        (_GATE / "tars").mkdir(parents=True)
        for directory in _GATE, _GATE / "tars":
            directory.chmod(0o1777)
        (_GATE / "bytes").write_text(str(size))

    def open(self) -> None:
        """Let all pass."""
        (_GATE / "open").touch()

    def waiting(self) -> dict[str, int]:
        """The tars at the gate: the dumped or restored folder to the process."""
        return {file.read_text().strip(): int(file.name) for file in (_GATE / "tars").iterdir()}


class GatedDumps:
    """A run of amdump whose dumps are all at the gate, through one amandad."""

    def __init__(self, server: Server, gate: Gate, size: int = 0, count: int | None = None, words: tuple[str, ...] = ()) -> None:
        """`size` bytes of each pass first; `count` dumps are awaited (default all); `words` are arguments of amdump."""
        self.server, self.gate = server, gate
        self.amdump = self._begin(size, count or len(server.disks), words)
        self.amandad = self._one_amandad(count or len(server.disks))

    def _begin(self, size: int, count: int, words: tuple[str, ...]) -> subprocess.Popen:
        """Start amdump, and again if the driver has lost its holding disk."""
        for _ in range(3):
            self.gate.close(size)
            amdump = self.server.begin_amdump(*words)
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
        """The number of lines with the pattern in that amandad's debug file."""
        return len(self.server.amanda.debug_matches("amandad", rf" pid {amandad or self.amandad}: .*{pattern}"))

    def _driver_log(self) -> str:
        """The driver's log of this run."""
        return max((self.server.state / "log").glob("amdump.2*")).read_text(errors="replace")

    def _started(self, name: str) -> dict[str, int]:
        """The server's processes named so with a number: their full names to the processes."""
        return {name: int(pid) for name, pid in re.findall(rf"^driver: started ({name}\d+) pid (\d+)$", self._driver_log(), re.M)}

    def chunkers(self) -> list[int]:
        """The server's processes that write to the holding disk."""
        return list(self._started("chunker").values())

    def dumper(self, disk: str) -> int:
        """The server's process that dumps a disk, from the driver's log."""
        command = rf"^driver: send-cmd .* to (dumper\d+): [A-Z]+-DUMP .* localhost [0-9a-f]+ {re.escape(disk)} "
        sent = re.findall(command, self._driver_log(), re.M)
        assert sent, f"no dumper has {disk}"
        return self._started("dumper")[sent[-1]]

    def stop(self, *pids: int) -> None:
        """Stop processes: each acts as if it waited for a slow disk, and only SIGKILL ends it."""
        for pid in pids:
            send_signal(pid, signal.SIGSTOP)
        assert wait_until(lambda: self.stopped(*pids)), f"these do not stop: {pids}"

    @staticmethod
    def stopped(*pids: int) -> bool:
        """Whether all of them are stopped."""
        return all(state_of(pid) == "T" for pid in pids)

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
        """Whether the dumpers of these disks have reported success."""
        log = self.server.newest_log().read_text(errors="replace")
        return all(f"SUCCESS dumper localhost {disk} " in log for disk in disks)

    def end(self) -> Run:
        """The run's end, in which nothing has failed; a dump that has may have been repeated."""
        run = self.server.finish_amdump(self.amdump)
        log = run.log.read_text(errors="replace")
        assert run.status == 0 and not re.search("^FAIL", log, re.M), log
        return run

    def finish(self) -> None:
        """Wait for the run's end and check every dump."""
        run = self.end()
        for disk in self.server.disks:
            self.check(disk, run)

    def check(self, disk: str, run: Run) -> None:
        """Check that a dump restores to its source, its index is tar's listing, and both sides have its checksums."""
        assert run.done(disk), run.log.read_text(errors="replace")
        dump = Evidence(self.server.amanda, run, disk, 0, SCRATCH / f"{disk}.image")
        self.server.fetch_to(dump.image, disk, run)
        listing = expected_index(dump.image, "GNUTAR")
        assert listing, f"{disk}: there is nothing to compare the index with"
        assert dump.index() == listing, disk
        checksums = dump.checksums()
        assert checksums.size(checksums.native) == dump.image.stat().st_size, disk
        assert dump.missing_log_lines() == [], "they match none of:\n" + "\n".join(dump.log_lines())
        restored = SCRATCH / "restored" / disk
        extract(dump.image.read_bytes(), restored)
        assert differences(self.server.disks[disk], restored) == [], disk
        dump.image.unlink()
        shutil.rmtree(restored)


def begin_gated_restore(server: Server, gate: Gate, source: Path, target: Path) -> tuple[subprocess.Popen, int]:
    """Dump a folder as the disk `one`, and start its restore to the client: amfetchdump, and the tar that waits at the gate."""
    server.add_disk("one", source, "amgtar")
    gate.close()
    gate.open()
    run = server.amdump()
    assert run.status == 0 and run.done("one"), run.log.read_text()
    gate.close()
    restore = server.begin_restore("one", run, target)
    assert wait_until(gate.waiting, PATIENCE), "tar is not started"
    (tar,) = gate.waiting().values()
    return restore, tar
