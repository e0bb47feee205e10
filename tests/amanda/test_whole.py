"""An incomplete backup fails, whichever program made it and however that ended; a complete one does not."""

import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import Dump, dump_request
from harness.ring import Ring
from harness.stand_in import StandIn, install, install_application

# Half is there; all is there, but the program failed, or does not say how much that is; odd, and harmless.
CUT = ("killed", "exits", "lingers")
UNTOLD = ("late", "silent")
WHOLE = ("none", "grandchild", "pauses")
TARS = ("GNUTAR", "smbclient", "amgtar", "ambsdtar")
OTHERS = ("DUMP", "amstar", "amraw")


def file_system(directory: Path) -> None:
    """Put the contents of a directory into a separate file system."""
    image = directory.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", directory, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)


class Program:
    """A way to dump a directory, and the stand-in for its program."""

    def __init__(self, amanda: Installation, name: str, data: Path) -> None:
        self.name, self.directory = name, str(data)
        self.application = name if name.startswith("am") else ""
        self.kind = "GNUTAR" if name == "smbclient" else name
        if name == "smbclient":
            install("smbclient")
            Path("/etc/amandapass").write_text("* user%password\n")
            os.chmod("/etc/amandapass", 0o644)
            self.directory = f"//server/{data.name}"
        elif name == "amstar":
            install("star")
            Path("/etc/tardumps").touch()
            amanda.give(Path("/etc/tardumps"))
        elif name == "DUMP":
            file_system(data)
        elif name == "amraw":
            self.directory = str(data / "file")
        programs = {"smbclient": "/usr/bin/smbclient", "amstar": "/usr/bin/star", "amraw": f"{amanda.libexec}/application/amraw"}
        called = {"GNUTAR": "tar", "amgtar": "tar", "ambsdtar": "bsdtar", "DUMP": "dump"}
        self.stand_in = StandIn(programs.get(name) or amanda.real(called[name]))

    def request(self, **options: object) -> str:
        """The body of a request for a dump."""
        return dump_request(self.directory, program=self.kind, application=self.application, **options)


@pytest.fixture
def program(amanda: Installation, data: Path) -> Iterator[Callable[[str], Program]]:
    """Makes the program of a test."""
    made: list[Program] = []

    def make(name: str) -> Program:
        made.append(Program(amanda, name, data))
        return made[-1]

    yield make
    for one in made:
        one.stand_in.remove()
        if one.name == "DUMP":
            subprocess.run(["umount", data], check=True)


def dump_that_goes_wrong(peer, program: Program, fault: str, **options: object) -> Dump:
    """A dump by a program with a fault."""
    program.stand_in.goes_wrong(fault)
    return peer().dump(program.request(**options))


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
@pytest.mark.parametrize("fault", [*CUT, *UNTOLD, "without end mark"])
@pytest.mark.parametrize("name", TARS)
def test_a_cut_archive_fails(peer, program, name, fault, index):
    dump = dump_that_goes_wrong(peer, program(name), fault, index=index)
    assert dump.failed and dump.errors, dump.messages


# amraw reports its size elsewhere.
@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name in OTHERS for fault in (*CUT, *UNTOLD)
                                             if (name, fault) != ("amraw", "silent")])
def test_a_cut_backup_of_another_format_fails(peer, program, name, fault):
    dump = dump_that_goes_wrong(peer, program(name), fault)
    assert dump.failed and dump.errors, dump.messages


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
@pytest.mark.parametrize("fault", WHOLE)
@pytest.mark.parametrize("name", [*TARS, *OTHERS])
def test_a_whole_backup_does_not_fail(peer, program, name, fault, index):
    dump = dump_that_goes_wrong(peer, program(name), fault, index=index)
    assert not dump.failed and not dump.strange, dump.messages


@pytest.mark.parametrize("name", ["GNUTAR", "amgtar", "ambsdtar"])
def test_a_backup_of_nothing_is_whole(peer, program, data, name):
    (data / "file").unlink()
    dump = dump_that_goes_wrong(peer, program(name), "none")
    assert not dump.failed and not dump.strange, dump.messages


def test_a_sparse_file_is_whole(peer, program, data):
    with (data / "holes").open("wb") as file:
        for offset in range(0, 64 << 20, 1 << 20):
            file.seek(offset)
            file.write(b"x")
        file.truncate(80 << 20)
    for name in "GNUTAR", "ambsdtar":
        dump = dump_that_goes_wrong(peer, program(name), "none")
        assert not dump.failed and not dump.strange, dump.messages
    extract(dump.data, SCRATCH / "restored", "bsdtar")
    assert differences(data, SCRATCH / "restored", "bsdtar") == []


@pytest.mark.parametrize("how", ["kill -KILL $$", "exit 2", "echo 'sendbackup: size -1' >&3", "true"],
                         ids=["killed", "status 2", "size -1", "no size"])
def test_an_unknown_application_fails(amanda, peer, data, how):
    size = "" if "size" in how or how == "true" else "echo 'sendbackup: size 1000' >&3; "
    install_application(amanda, "unknown", f"head -c 1024000 /dev/urandom; {size}{how}")
    dump = peer().dump(dump_request(str(data), application="unknown"))
    assert dump.failed and dump.errors, dump.messages


def test_an_unknown_application_writes_what_it_wants(amanda, peer, data):
    install_application(amanda, "unknown", "echo this is no archive; echo 'sendbackup: size 1000' >&3; echo / >&4")
    dump = peer().dump(dump_request(str(data), application="unknown"))
    assert not dump.failed and not dump.strange, dump.messages
    assert (dump.data, dump.index) == (b"this is no archive\n", b"/\n")


def test_options_that_compress_are_left_alone(peer, program, data):
    (data / "zeros").write_bytes(bytes(8 << 20))
    options = "<property><name>COMMAND-OPTIONS</name><value>--gzip</value></property>"
    dump = dump_that_goes_wrong(peer, program("ambsdtar"), "none", extra=options)
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.data[:2] == b"\x1f\x8b" and sorted(dump.index.split()) == [b"/", b"/file", b"/zeros"]


def test_what_another_bsdtar_cannot_list_fails(peer, program):
    options = "<property><name>COMMAND-OPTIONS</name><value>--gzip</value></property>"
    dump = dump_that_goes_wrong(peer, program("ambsdtar"), "exits", extra=options)
    assert dump.failed and "index' exited with status" in dump.errors[0], dump.messages


def test_amraw_does_not_take_an_error_for_the_end(amanda, peer, data):
    image = data / "file"
    device = subprocess.run(["losetup", "--find", "--show", image], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    os.chmod(device, 0o666)
    os.truncate(image, image.stat().st_size // 2)
    try:
        dump = peer().dump(dump_request(device, application="amraw"))
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert dump.size > 0 and dump.failed and dump.errors, dump.messages


def recorded(amanda: Installation) -> dict[Path, bytes]:
    """The files from which the next incremental dump would start."""
    return {path: path.read_bytes() for folder in ("var", "share/amanda/bsdtar") for path in (amanda.prefix / folder).rglob("*")
            if path.is_file() and not path.name.endswith(".new")}


@pytest.mark.parametrize("name", ["GNUTAR", "ambsdtar"])
@pytest.mark.parametrize("fault", ["exits", "silent"])
def test_what_fails_is_not_recorded(amanda, peer, program, name, fault):
    one = program(name)
    before = recorded(amanda)
    dump = dump_that_goes_wrong(peer, one, fault, record=True)
    assert dump.failed and recorded(amanda) == before
    dump = dump_that_goes_wrong(peer, one, "none", record=True)
    assert not dump.failed and recorded(amanda) != before


@pytest.mark.parametrize("application", ["", "amgtar"], ids=["GNUTAR", "amgtar"])
def test_a_ring_that_the_server_cancels_is_told_of(amanda, peer, data, application):
    ring = Ring(amanda.uid)
    request = dump_request(str(data), application=application)
    request = request.replace("config=daily;", f"config=daily;data-shm-control-name={ring.name};")
    server = peer()
    streams = server.begin_dump(request)
    ring.wait_for_producer()
    ring.cancel()
    dump = server.finish_dump(streams)
    assert "writing backup data: the ring of shared memory was cancelled" in dump.errors, dump.messages
    # With GNUTAR nothing more is reported once tar's status is known.
    reported = dump.checksum("native")
    assert reported[0] != 0 if application else reported is None, dump.messages
