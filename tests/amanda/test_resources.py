"""amandad short of descriptors or memory."""

import struct
import subprocess
from pathlib import Path

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import NAK, REQ, Dump, Peer, dump_request
from harness.processes import descriptors

LARGE = 32 << 20


@pytest.fixture
def large(data: Path) -> Path:
    """A directory larger than pipes and connections hold."""
    with open(data / "large", "wb") as file:
        file.write(b"x" * LARGE)
    return data


def limit(amanda: Installation, pid: int, what: str, most: int) -> None:
    """Set a limit of amandad, as its user, who needs no further rights."""
    subprocess.run(["prlimit", f"--pid={pid}", f"--{what}={most}"], preexec_fn=amanda.demote, check=True)


def address_space(pid: int) -> int:
    """The size of a process's address space, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize")) << 10


@pytest.mark.parametrize("free", [0, 10])
def test_a_dump_for_which_there_are_no_descriptors_is_refused(amanda, peer, large, free):
    server = peer()
    streams, dump = server.begin_dump(dump_request(str(large))), Dump()
    unused = [number for number in range(1024) if number not in descriptors(server.process.pid)]
    limit(amanda, server.process.pid, "nofile", unused[free])
    server.send_packet(REQ, dump_request(str(large), level=1), handle=2)
    handle, answer = server.next_answer(streams, dump)
    assert handle == 2 and answer[0] == NAK and b"Too many open files" in answer, answer
    server.continue_dump(dump, streams)
    assert not dump.failed, dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(large, SCRATCH / "restored") == []


def test_a_service_that_cannot_have_its_descriptors_disturbs_no_dump(amanda, peer, large):
    """A service's descriptors have numbers from 150 on (amandad.h): its process fails between fork and exec, and says so."""
    server = peer()
    streams, dump = server.begin_dump(dump_request(str(large))), Dump()
    server.continue_dump(dump, streams, size=1)
    limit(amanda, server.process.pid, "nofile", 155)
    for level in range(1, 9):
        server.send_packet(REQ, dump_request(str(large), level=level), handle=1 + level)
    server.continue_dump(dump, streams, seconds=20)
    assert not dump.failed, dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(large, SCRATCH / "restored") == []


def begin_without_memory(amanda: Installation, server: Peer, directory: Path, room: int) -> tuple[dict[int, str], Dump]:
    """Begin a dump, and once it runs limit amandad to its memory plus `room` bytes."""
    streams, dump = server.begin_dump(dump_request(str(directory))), Dump()
    while dump.size == 0:
        handle, payload = server.receive()
        if handle in streams:
            dump.take(streams[handle], payload, keep=True)
    limit(amanda, server.process.pid, "as", address_space(server.process.pid) + room)
    return streams, dump


def test_a_token_for_which_there_is_no_memory_ends_its_connection(amanda, peer, large):
    """amandad ends as at the end of any connection: it does not abort."""
    server = peer()
    begin_without_memory(amanda, server, large, 1 << 20)
    server.socket.sendall(struct.pack(">II", 4 << 20, 1))
    while server.receive(10):
        pass
    assert amanda.debug_matches("amandad", "no memory for a token of 4194304 bytes")
    assert server.exit_status(10) == 0


def test_a_dump_for_which_there_is_no_thread_fails(peer, large):
    """A thread's stack would not fit into memory. Nobody else reads the backup program's pipe."""
    server = peer(wrap=("prlimit", f"--stack={4 << 30}:", f"--as={1 << 30}"))
    dump = server.dump(dump_request(str(large)), keep=False)
    assert dump.failed and "starting a thread" in dump.messages, dump.messages
