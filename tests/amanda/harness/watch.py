"""A watch on the sandbox's processes while something runs."""

import contextlib
import os
import threading
from dataclasses import dataclass, field

INTERVAL = 0.003


def _read(path: str) -> str:
    """The contents of a file of /proc, or their beginning."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096).decode(errors="replace")
    finally:
        os.close(descriptor)


@dataclass
class Seen:
    """One process, as it was seen. Before it runs its program, it has its parent's name for a moment.

    `read` is how many bytes it had read, recorded only while it had its parent's name.
    """

    parent: int
    parent_name: str
    names: list[str] = field(default_factory=list)
    arguments: str = ""
    threads: int = 0
    read: int = 0

    def __str__(self) -> str:
        return f"{'>'.join(self.names)} under {self.parent_name}, {self.threads} threads, {self.read} bytes read: {self.arguments}"


class Watch:
    """Looks at all processes every few milliseconds while the context lasts; `seen` has them in order."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._found: dict[tuple[str, str], Seen] = {}
        self._names: dict[int, str] = {}
        self._dead: set[str] = set()

    @property
    def seen(self) -> list[Seen]:
        """All processes that were seen."""
        return list(self._found.values())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        """Watch, with priority over the watched processes: a short dump exists for only a few milliseconds."""
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)
        while not self._over.wait(INTERVAL):
            for name in os.listdir("/proc"):
                if name.isdigit() and name not in self._dead:
                    self._look_at(name)

    def _look_at(self, number: str) -> None:
        try:
            name, rest = _read(f"/proc/{number}/stat").split("(", 1)[1].rsplit(") ", 1)
            arguments = _read(f"/proc/{number}/cmdline")
        except OSError:
            return
        fields = rest.split()
        # Source: proc(5): the state is field 3, the parent 4, the number of threads 20, the start time 22.
        state, parent, threads, start = fields[0], int(fields[1]), int(fields[17]), fields[19]
        if state == "Z":
            self._dead.add(number)
        seen = self._found.setdefault((number, start), Seen(parent, self._names.get(parent, "")))
        self._names[int(number)] = name
        seen.parent_name = seen.parent_name or self._names.get(parent, "")
        seen.threads = max(seen.threads, threads)
        if not seen.names or seen.names[-1] != name:
            seen.names.append(name)
        if name == seen.parent_name:
            # It may be gone by now.
            with contextlib.suppress(OSError):
                # Source: proc(5): rchar is what all its threads have read, from any file.
                seen.read = max(seen.read, int(_read(f"/proc/{number}/io").split()[1]))
        # A zombie has none.
        if arguments:
            seen.arguments = arguments.replace("\0", " ").replace("\n", " ")
