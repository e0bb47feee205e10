"""amrelay-why beside real dumps and a restore that something holds: it names what holds each of them, and blames no other."""

import fcntl
import json
import re
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from harness.faults import send_signal
from harness.gate import PATIENCE, GatedDumps, begin_gated_restore
from harness.installation import BUILD, SCRATCH, Installation
from harness.processes import children, descendants, descriptors, name_of, running, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left")

WHY = BUILD / "programs/amrelay-why"
# Makes the filters fast.
_FAST = SCRATCH / "filters-are-fast"
_FILTER = f"""#!/usr/bin/python3
import os, time
while data := os.read(0, 1 << 16):
    while data:
        data = data[os.write(1, data):]
    if "slow" in __file__ and not os.path.exists("{_FAST}"):
        time.sleep(0.5)
"""


def why(*words: str, **options: object) -> str:
    """What amrelay-why prints."""
    assert WHY.exists(), f"{WHY} is missing: make library"
    done = subprocess.run([WHY, "--interval", "2", *words], capture_output=True, text=True, timeout=PATIENCE, **options)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def reports(**options: object) -> dict[str, dict]:
    """Its JSON objects, by disk."""
    return {report["disk"]: report for report in map(json.loads, why("--json", **options).splitlines())}


def decision(report: dict) -> tuple[str, str, int | None]:
    """Stage, cause and process of a report that decides."""
    assert report["decided"], report
    (finding,) = report["findings"]
    return finding["stage"], finding["cause"], finding["pid"]


def is_held(writer: int, reader: int) -> bool:
    """Whether a pipe from the one process to the other is full. Smaller pieces may leave its last pages half empty."""
    shared = {name for name in descriptors(writer).values() if name.startswith("pipe:")}
    return any(_share_filled(f"/proc/{reader}/fd/{number}") > 0.8 for number, name in descriptors(reader).items() if name in shared)


def _share_filled(path: str) -> float:
    with open(path, "rb", buffering=0) as pipe:
        held = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")
        return held / fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


def stop_program(dumps: GatedDumps, disk: str) -> list[int]:
    """Stop tar, and the script that stands in for it; returns them. What else that has started ends by itself."""
    stopped = [pid for pid in descendants(dumps.tar(disk)) if name_of(pid) == "tar"]
    dumps.stop(*stopped)
    return stopped


def go_on(*pids: int) -> None:
    for pid in pids:
        send_signal(pid, signal.SIGCONT)


def add_filters(one_server, disk: str, source: Path, **filters: str) -> None:
    """Add a disk whose `compress` and `encrypt` filters are programs of these names; one with `slow` in its name is slow."""
    _FAST.unlink(missing_ok=True)
    settings = ""
    for kind, name in filters.items():
        path = SCRATCH / name
        path.write_text(_FILTER)
        path.chmod(0o755)
        custom = "client-custom-compress" if kind == "compress" else "client-encrypt"
        settings += f'    {custom} "{path}"\n'
    if "encrypt" in filters:
        settings += "    encrypt client\n"
    one_server.add_disk(disk, source, compress="client custom" if "compress" in filters else "none", settings=settings)


def filter_of(dumps: GatedDumps, disk: str, name: str) -> int:
    """The process of a dump's filter."""
    (found,) = [pid for pid in children(dumps.service(disk)) if name_of(pid) == name]
    return found


def test_without_a_dump_it_says_so():
    assert why() == "nothing of Amanda's client is under way\n"
    assert why("--json") == ""


def test_a_backup_program_that_is_stopped(server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(megabytes=8))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    stopped = stop_program(dumps, "one")
    gate.open()
    report = reports()["one"]
    stage, cause, pid = decision(report)
    assert (stage, cause) == ("program", "stopped") and pid in stopped, report
    assert (report["kind"], report["level"], report["service"]) == ("dump", 0, dumps.service("one")), report
    assert report["amandad"] == dumps.amandad and report["bytes"] >= 1_000_000 and report["unseen"] == [], report
    line = why()
    assert re.match(rf"backup program tar \({pid}\) is stopped  dump of one lev 0 ", line) and line.count("\n") == 1, line
    go_on(*stopped)
    dumps.end()


def test_amandas_user_is_told_what_only_root_sees(amanda: Installation, server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(megabytes=8))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    # sendbackup is that user's, tar is root's.
    tar = dumps.tar("one")
    report = reports(preexec_fn=amanda.demote)["one"]
    assert any(f"tar ({tar})" in unseen and "only root" in unseen for unseen in report["unseen"]), report
    gate.open()
    dumps.end()


@pytest.mark.parametrize("slow", ["compress", "encrypt"])
def test_of_two_filters_the_slow_one(server, gate, folder, slow):
    one_server = server()
    names = {kind: "slow-filter" if kind == slow else "fast-filter" for kind in ("compress", "encrypt")}
    add_filters(one_server, "one", folder(megabytes=64), **names)
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    culprit, other = filter_of(dumps, "one", "slow-filter"), filter_of(dumps, "one", "fast-filter")
    writer = dumps.service("one") if slow == "compress" else other
    gate.open()
    assert wait_until(lambda: is_held(writer, culprit), PATIENCE)
    stage, _, pid = decision(reports()["one"])
    assert (stage, pid) == ("filter", culprit)
    _FAST.touch()
    dumps.end()


def test_an_amandad_that_is_stopped(server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(megabytes=64))
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    service = dumps.service("one")
    dumps.stop(dumps.amandad)
    gate.open()
    assert wait_until(lambda: is_held(service, dumps.amandad), PATIENCE)
    assert decision(reports()["one"]) == ("amandad", "stopped", dumps.amandad)
    go_on(dumps.amandad)
    dumps.end()


@pytest.mark.parametrize("auth", ["bsd", "bsdudp", "bsdtcp"])
def test_a_server_that_does_not_read(server, gate, folder, auth):
    """Under bsd and bsdudp, one amandad has the connections of three dumps: each has its own verdict."""
    one_server = server(auth=auth)
    one_server.add_disk("one", folder(megabytes=64))
    others = auth != "bsdtcp"
    if others:
        one_server.add_disk("two", folder(megabytes=8))
        add_filters(one_server, "three", folder(megabytes=64), compress="slow-filter")
    dumps = GatedDumps(one_server, gate, size=1_000_000)
    dumper, service = dumps.dumper("one"), dumps.service("one")
    dumps.stop(dumper)
    stopped = stop_program(dumps, "two") if others else []
    gate.open()
    assert wait_until(lambda: is_held(service, dumps.amandad), PATIENCE)
    if others:
        culprit = filter_of(dumps, "three", "slow-filter")
        assert wait_until(lambda: is_held(dumps.service("three"), culprit), PATIENCE)
    found = reports()
    assert decision(found["one"]) == ("server", "window_full", None)
    if others:
        assert decision(found["two"])[:2] == ("program", "stopped") and decision(found["two"])[2] in stopped
        assert decision(found["three"])[::2] == ("filter", culprit)
    assert len(found) == len(one_server.disks), found
    _FAST.touch()
    go_on(dumper, *stopped)
    dumps.end()


def test_a_restore_whose_extraction_takes_nothing(server, gate, folder):
    restore, tar = begin_gated_restore(server(), gate, folder(megabytes=64), SCRATCH / "extracted")
    amandads = running({"amandad"})
    assert wait_until(lambda: any(is_held(amandad, tar) for amandad in amandads), PATIENCE)
    report = reports()["one"]
    assert report["kind"] == "restore" and decision(report)[:2] == ("extraction", "waits"), report
    gate.open()
    told = restore.communicate(timeout=PATIENCE)[0].decode(errors="replace")
    assert restore.returncode == 0, told


def test_amrecover_whose_tar_takes_nothing(server, gate, folder):
    one_server = server()
    one_server.add_disk("one", folder(megabytes=64))
    gate.close()
    gate.open()
    run = one_server.amdump()
    assert run.status == 0 and run.done("one"), run.log.read_text()
    gate.close()
    amrecover = one_server.begin_recover("one", SCRATCH / "recovered" / "why", "*")
    assert wait_until(gate.waiting, PATIENCE)
    (tar,) = gate.waiting().values()
    assert wait_until(lambda: is_held(amrecover.pid, tar), PATIENCE)
    # Nothing that amrecover has open names the disk.
    (report,) = reports().values()
    assert report["kind"] == "restore" and report["service"] == amrecover.pid, report
    assert decision(report)[:2] == ("extraction", "waits"), report
    gate.open()
    told = amrecover.communicate(timeout=PATIENCE)[0].decode(errors="replace")
    assert amrecover.returncode == 0, told
