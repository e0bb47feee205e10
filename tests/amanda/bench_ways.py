"""What dumps cost the client in other ways than bench_backup.py's, with both Amandas in turn; for scripts/bench-ways.sh.

  - each authentication, whose connection may be encrypted; a system that refuses tee(2) and splice(2), and tees that copy; a
    filter on the client; sixteen dumps at once: the client's processor time for each GiB of the files, and the elapsed time of the
    dump, by the dumper's clock, or of the whole run;
  - a restore to the client (amfetchdump --extract-client), likewise;
  - with a peer in place of the server, the time from the request to the first byte of a dump's data, and the speed over a link
    with a round trip of 100 ms.
The files are in memory, and so is the holding disk on which the dumps stay.
Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
"""

import argparse
import contextlib
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

from bench_backup import PROGRAMS, MeasuredServer
from harness.backup import CRYPT
from harness.dataset import write_random
from harness.delayed import HERE, DelayedLink
from harness.installation import SCRATCH
from harness.measured import both_amandas, figure, keep_in_memory, logs_kept, say, use_usual_congestion_control
from harness.peer import Peer, dump_request

DATA = SCRATCH / "data"
# MiB: filters are slow, and so is a distant server.
_SIZES = {"large": 512, "filtered": 64, "distant": 128}
_AT_ONCE, _EACH = 16, 32
_CRYPT = SCRATCH / "crypt"


class Ways:
    """The measurements; each prints its figures."""

    def __init__(self) -> None:
        self.amandas = both_amandas()
        keep_in_memory(DATA)
        for name, megabytes in _SIZES.items():
            self._make(name, megabytes)
        for number in range(_AT_ONCE):
            self._make(f"each{number}", _EACH)
        _CRYPT.write_text(CRYPT)
        _CRYPT.chmod(0o755)
        with open("/etc/hosts", "a", encoding="ascii") as hosts:
            hosts.write(f"{HERE} distant\n")
        self.measures: dict[str, Callable[[str], None]] = {
            auth: lambda variant, auth=auth: self._dump(variant, auth, auth=auth) for auth in ("bsdtcp", "bsd", "ssl", "krb5", "local")}
        self.measures |= {
            "copying": self._copying, "tee": self._copying_tee, "gzip": self._gzip, "openssl": self._openssl, "many": self._many,
            "restore": self._restore, "first": self._first_byte, "distant": self._distant}

    @staticmethod
    def _make(name: str, megabytes: int) -> None:
        (DATA / name).mkdir()
        write_random(DATA / name / "file", megabytes)

    @staticmethod
    def _tell(case: str, variant: str, processor: float, elapsed: float, megabytes: int) -> None:
        figure("ways", case, variant, "CPU s/GiB", processor * 1024 / megabytes)
        figure("ways", case, variant, "elapsed s", elapsed)

    @contextlib.contextmanager
    def _server(self, variant: str, **options: Any) -> Iterator[MeasuredServer]:
        amanda = self.amandas[variant]
        amanda.reset()
        with logs_kept(amanda), contextlib.closing(MeasuredServer(amanda, **options)) as server:
            server.warm(_SIZES["large"])
            yield server

    def _dump(self, variant: str, case: str, name: str = "large", auth: str = "bsdtcp", wrap: Sequence[Path] = (),
              **options: str) -> None:
        with self._server(variant, auth=auth, wrap=wrap) as server:
            server.add_disk(name, DATA / name, estimate="server", **options)
            run = server.amdump()
            told = run.log.read_text(errors="replace")
            done = re.search(r"^SUCCESS dumper .*\[sec ([0-9.]+) ", told, re.MULTILINE)
            assert run.status == 0 and done, told
            self._tell(case, variant, server.client_seconds(), float(done[1]), _SIZES[name])

    def _copying(self, variant: str) -> None:
        self._dump(variant, "without tee(2) and splice(2)", wrap=[PROGRAMS / "refuse-splice"])

    def _copying_tee(self, variant: str) -> None:
        self._dump(variant, "AMRELAY_TEE=copy", wrap=["/usr/bin/env", "AMRELAY_TEE=copy"])

    def _gzip(self, variant: str) -> None:
        self._dump(variant, "gzip --fast", "filtered", compress="client fast")

    def _openssl(self, variant: str) -> None:
        self._dump(variant, "openssl enc", "filtered", settings=f'    encrypt client\n    client-encrypt "{_CRYPT}"\n')

    def _many(self, variant: str) -> None:
        """All at once over one connection."""
        with self._server(variant, at_once=_AT_ONCE) as server:
            for number in range(_AT_ONCE):
                server.add_disk(f"each{number}", DATA / f"each{number}")
            begin = time.monotonic()
            run = server.amdump()
            elapsed = time.monotonic() - begin
            assert run.status == 0 and len(run.results) == _AT_ONCE, run.log.read_text(errors="replace")
            self._tell(f"{_AT_ONCE} dumps at once", variant, server.client_seconds(), elapsed, _EACH * _AT_ONCE)

    def _restore(self, variant: str) -> None:
        target = DATA / "target"
        with self._server(variant) as server:
            server.add_disk("large", DATA / "large", "amgtar", estimate="server")
            run = server.amdump()
            assert run.status == 0 and run.results, run.log.read_text(errors="replace")
            before = server.client_seconds()
            begin = time.monotonic()
            restore = server.begin_restore("large", run, target)
            told = restore.communicate(timeout=240)[0].decode(errors="replace")
            elapsed = time.monotonic() - begin
            assert restore.returncode == 0 and same_size(target, DATA / "large"), told
            shutil.rmtree(target)
            self._tell("a restore to the client", variant, server.client_seconds() - before, elapsed, _SIZES["large"])

    @contextlib.contextmanager
    def _peer(self, variant: str, **options: Any) -> Iterator[Peer]:
        amanda = self.amandas[variant]
        amanda.reset()
        amanda.allow("localhost root amdump", "distant root amdump")
        with logs_kept(amanda), contextlib.closing(Peer(amanda, **options)) as peer:
            yield peer

    def _first_byte(self, variant: str) -> None:
        with self._peer(variant) as peer:
            begin = time.monotonic()
            streams = peer.begin_dump(dump_request(str(DATA / "large")))
            while (token := peer.receive()) and streams.get(token[0]) != "DATA":
                pass
            assert token, "the connection has ended"
            figure("ways", "the first byte", variant, "ms", (time.monotonic() - begin) * 1000)

    def _distant(self, variant: str) -> None:
        with contextlib.closing(DelayedLink(PROGRAMS / "delayed-link", 50)) as link, self._peer(variant, listen=link.listener) as peer:
            begin = time.monotonic()
            dump = peer.finish_dump(peer.begin_dump(dump_request(str(DATA / "distant"))), keep=False)
            assert not dump.failed, dump.messages
            figure("ways", "a round trip of 100 ms", variant, "MB/s", dump.size / (time.monotonic() - begin) / 1e6)


def same_size(one: Path, other: Path) -> bool:
    """Whether the files of two folders have the same size."""
    return (one / "file").stat().st_size == (other / "file").stat().st_size


def main() -> int:
    """Run all rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="*")
    options = parser.parse_args()
    use_usual_congestion_control()
    ways = Ways()
    for number in range(1, options.rounds + 1):
        for case in options.cases or ways.measures:
            say(f"{case}, round {number} of {options.rounds}")
            for variant in ways.amandas:
                ways.measures[case](variant)
    return 0


if __name__ == "__main__":
    sys.exit(main())
