"""What others take for the same data; for scripts/bench-peers.sh.

In each round each program makes one full backup of a tree over the loopback interface, or into a folder in memory, and so does each
Amanda. The files are read before every run: Bacula takes what it has read out of the page cache. The processor time is the client's,
and of those that have no server of their own (borg, restic) the repository's as well.
Prints lines of group, case, variant, metric and value, separated by tabs, and at the end what each program does.
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable

from bench_backup import Bench, Cost, label
from harness.bacula import Bacula
from harness.installation import BUILD, SCRATCH
from harness.measured import figure, keep_in_memory, read_all, say, use_usual_congestion_control

TARGET = SCRATCH / "peers"
_PORT = 10870
# What each does with the data, besides carrying it.
NOTES = {
    "patched Amanda": "CRC-32C of the stream, an index of names",
    "upstream Amanda": "the same",
    "tar to a socket": "nothing: no checksum, no index, no control of the transfer",
    "rsync": "compares with the target (empty here), one checksum a file; no history, no archive",
    "bacula-fd": "sparse files looked for, no signature (as Amanda has none a file); a catalog of names at the director",
    "borg": "deduplicates by chunks, SHA-256 or BLAKE2 of each; writes the repository itself; no compression, no encryption",
    "restic": "deduplicates by chunks, SHA-256 of each, always encrypts; writes the repository itself; no compression",
}


def bytes_of(tree: Path) -> int:
    """What the files hold."""
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


def run(*words: str | Path, **options: object) -> tuple[float, float]:
    """Run a program to its end: the processor time of it and its children, and the elapsed time, in seconds."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, stderr=subprocess.PIPE, **{"stdout": subprocess.DEVNULL, **options})
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin


def tar(tree: Path) -> tuple[float, float]:
    """Into a connection whose other end is read by a process that is not counted."""
    listener = socket.create_server(("127.0.0.1", 0))
    reader = os.fork()
    if reader == 0:
        connection, buffer = listener.accept()[0], bytearray(1 << 18)
        while connection.recv_into(buffer):
            pass
        os._exit(0)
    with socket.create_connection(listener.getsockname()) as connection:
        listener.close()
        cost = run("tar", "--create", "--file=-", "--directory", tree, ".", stdout=connection)
    os.waitpid(reader, 0)
    return cost


def rsync(tree: Path) -> tuple[float, float]:
    """To a daemon."""
    configuration = TARGET / "rsyncd.conf"
    configuration.write_text(f"use chroot = no\n[target]\npath = {TARGET}\nread only = no\nuid = root\ngid = root\n")
    daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={configuration}", f"--port={_PORT}",
                               "--address=127.0.0.1"])
    try:
        wait_for_port()
        return run("rsync", "--archive", "--whole-file", f"{tree}/", f"rsync://127.0.0.1:{_PORT}/target/copy/")
    finally:
        daemon.terminate()
        daemon.wait(20)


def wait_for_port() -> None:
    """Wait until somebody listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", _PORT)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("rsync --daemon does not listen")


def borg(tree: Path) -> tuple[float, float]:
    """Into a repository in memory."""
    environment = os.environ | {"BORG_BASE_DIR": str(TARGET / "borg"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    run("borg", "init", "--encryption=none", TARGET / "repository", env=environment)
    return run("borg", "create", "--compression=none", f"{TARGET / 'repository'}::one", ".", cwd=tree, env=environment)


def restic(tree: Path) -> tuple[float, float]:
    """Into a repository in memory."""
    environment = os.environ | {"RESTIC_PASSWORD": "p", "RESTIC_REPOSITORY": str(TARGET / "repository"), "HOME": str(TARGET),
                                "RESTIC_COMPRESSION": "off"}
    run("restic", "init", "--repository-version=2", env=environment)
    return run("restic", "backup", "--no-cache", ".", cwd=tree, env=environment)


def bacula(tree: Path) -> tuple[float, float]:
    """To its storage daemon."""
    one = Bacula(BUILD / "tools", TARGET / "bacula", tree)
    try:
        begin, before = time.monotonic(), one.client_seconds()
        one.back_up()
        return one.client_seconds() - before, time.monotonic() - begin
    finally:
        one.close()


PEERS: dict[str, Callable[[Path], tuple[float, float]]] = {
    "tar to a socket": tar, "rsync": rsync, "bacula-fd": bacula, "borg": borg, "restic": restic}


class Peers:
    """The measurements of all, round by round."""

    def __init__(self) -> None:
        self.bench = Bench("GNUTAR", quick=False)
        self.found: dict[tuple[str, str], list[float]] = defaultdict(list)

    def round(self, tree: Path) -> None:
        """One of each, for each GiB in the files."""
        size = bytes_of(tree)
        for kind in "patched", "upstream":
            read_all(tree)
            dump = self.bench.dump(self.bench.amandas[kind], tree)
            self._tell(f"{kind} Amanda", tree, Cost(dump.processor, dump.elapsed, size))
        for name, back_up in PEERS.items():
            shutil.rmtree(TARGET, ignore_errors=True)
            keep_in_memory(TARGET)
            read_all(tree)
            self._tell(name, tree, Cost(*back_up(tree), size))
            subprocess.run(["umount", TARGET], check=True)

    def _tell(self, name: str, tree: Path, cost: Cost) -> None:
        self.found[label(tree), name].append(cost.per_gib(cost.processor))
        figure("peers", label(tree), name, "CPU s/GiB", cost.per_gib(cost.processor))
        figure("peers", label(tree), name, "elapsed s", cost.elapsed)

    def table(self) -> None:
        """The medians beside the patched Amanda's, and what each does."""
        for (tree, name), values in self.found.items():
            ratios = [mine / its for mine, its in zip(self.found[tree, "patched Amanda"], values)]
            say(f"{tree}: {name}: {statistics.median(values):.3g} s/GiB ({min(values):.3g} to {max(values):.3g}); "
                f"the patched Amanda takes x {statistics.median(ratios):.3g}")
        for name, note in NOTES.items():
            say(f"{name}: {note}")


def main() -> int:
    """All rounds of all trees."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("trees", nargs="+", type=Path)
    options = parser.parse_args()
    peers = Peers()
    use_usual_congestion_control()
    for tree in options.trees:
        for number in range(1, options.rounds + 1):
            say(f"{label(tree)}, round {number} of {options.rounds}")
            peers.round(tree)
    peers.table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
