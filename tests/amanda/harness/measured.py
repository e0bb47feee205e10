"""What measurements with a real Amanda share: two Amandas in one sandbox, memory, and the lines of figures."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from .installation import Installation
from .server import Server

MIB = 1 << 20


def say(words: str) -> None:
    """Say what is being measured."""
    print(f"==> {words}", file=sys.stderr, flush=True)


def figure(group: str, case: str, variant: str, metric: str, value: float) -> None:
    """Print one figure, as lib/bench_report.py reads it."""
    print(group, case, variant, metric, f"{value:.4f}".rstrip("0").rstrip("."), sep="\t", flush=True)


def both_amandas() -> dict[str, Installation]:
    """The patched one and upstream's, each over a writable layer."""
    amandas = {"patched": Installation("yes"), "upstream": Installation("upstream")}
    for amanda in amandas.values():
        amanda.lay_over()
        amanda.kept = amanda.kept.with_name(f"{amanda.variant}-bench")
    return amandas


@contextlib.contextmanager
def logs_kept(amanda: Installation) -> Iterator[None]:
    """Keep the logs after the sandbox if the block fails."""
    try:
        yield
    except Exception:
        say(f"The logs of what failed are in {amanda.keep_logs('failed')}")
        raise


def use_usual_congestion_control() -> None:
    """Use Linux's default congestion control, or the next best that the namespace may use.

    The machine's may be bbr, which sets a timer for every burst.
    """
    for name in "cubic", "reno":
        done = subprocess.run(["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={name}"], stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            return
    raise AssertionError("the congestion control cannot be chosen")


def keep_in_memory(folder: Path) -> None:
    """Keep what is written below a folder in memory; the folder keeps its owner."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder.stat()
    options = f"mode=755,uid={owner.st_uid},gid={owner.st_gid},size=50%"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def read_all(tree: Path) -> None:
    """Read all files of a tree into the page cache."""
    block = bytearray(MIB)
    for folder, _, names in os.walk(tree):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while file.readinto(block):
                    pass


class MemoryServer(Server):
    """A server with a holding disk in memory."""

    def __init__(self, amanda: Installation, **options: object) -> None:
        super().__init__(amanda, data_timeout=120, **options)
        self.holding = self.state / "holding"
        keep_in_memory(self.holding)

    def warm(self, mebibytes: int) -> None:
        """Use so much of that memory, and free it again.

        A host may have taken a virtual machine's free memory away, and writers then wait for it: up to three seconds per
        gigabyte. Memory that has just been freed is still there.
        """
        path, block = self.holding / "warm", bytes(MIB)
        with path.open("wb") as file:
            for _ in range(mebibytes):
                file.write(block)
        path.unlink()

    def close(self) -> None:
        """Free the memory, too."""
        super().close()
        subprocess.run(["umount", self.holding], check=True)
