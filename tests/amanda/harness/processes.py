"""Processes of the sandbox, which has only those of the tests."""

import os
import time
from pathlib import Path
from typing import Callable, Iterable

CLIENT = {"amandad", "amandad-log", "sendbackup", "runtar", "tar", "bsdtar", "sed", "amgtar", "ambsdtar", "amstar", "amraw", "gzip", "dump",
          "star", "smbclient"}


def wait_until(condition: Callable[[], object], seconds: float = 30, interval: float = 0.05) -> bool:
    """Whether the condition becomes true within the given seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def _living() -> dict[int, tuple[str, int]]:
    """All processes except zombies: pid to name and parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, rest = (entry / "stat").read_text(errors="replace").split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            found[int(entry.name)] = name, int(parent)
    return found


def running(names: set[str] = CLIENT) -> dict[int, str]:
    """The living processes of these names: pid to name."""
    return {pid: name for pid, (name, _) in _living().items() if name in names}


def others() -> dict[int, str]:
    """All living processes except the tests and what runs them: pid to name."""
    found = _living()
    own = os.getpid()
    while own in found:
        own = found.pop(own)[1]
    return {pid: name for pid, (name, _) in found.items()}


def children(pid: int) -> list[int]:
    """The direct children of a process, except the one that writes amandad's debug file."""
    found = [int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()]
    return [child for child in found if name_of(child) != "amandad-log"]


def resident(pid: int) -> int:
    """The resident memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def descriptors(pid: int) -> dict[int, str]:
    """The open descriptors of a process: number to file."""
    folder = f"/proc/{pid}/fd"
    found = {}
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}")
        except OSError:
            pass
    return found


def ticks(pid: int) -> int:
    """The processor time of a process so far, user and system, in ticks of the kernel's clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def processor_seconds(pid: int) -> float:
    """The same in seconds."""
    return ticks(pid) / os.sysconf("SC_CLK_TCK")


def wake_ups(pid: int) -> int:
    """The voluntary context switches of a process's threads: one for each wake-up."""
    return sum(int(line.split()[1]) for status in Path(f"/proc/{pid}/task").glob("*/status")
               for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))


def name_of(pid: int) -> str:
    """The name of a process; empty if it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    try:
        for child in children(pid):
            found += descendants(child)
    except OSError:
        pass
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def state_of(pid: int) -> str:
    """The state of a process, as in proc(5); empty if it has gone."""
    return (_stat(pid) or [""])[0]


def parent_of(pid: int) -> int:
    """The parent of a process; 0 if it has gone."""
    return int((_stat(pid) or ["", "0"])[1])


def shared_memory() -> list[str]:
    """The names in shared memory."""
    return os.listdir("/dev/shm")


def remove_shared_memory(pids: Iterable[int]) -> None:
    """Remove the shared memory of killed processes, by the pids in its names."""
    for name in shared_memory():
        if any(f"-{pid}-" in name for pid in pids):
            os.unlink(f"/dev/shm/{name}")
