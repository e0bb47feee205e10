"""The checksum covers exactly what is sent, whatever writes it and however its file changes meanwhile."""

import os
import threading
from pathlib import Path

import pytest

from harness.installation import SCRATCH
from harness.peer import dump_request
from harness.stand_in import install_application

SIZE = 64 << 20


class Changing:
    """A file that changes while the context lasts."""

    def __init__(self, path: Path) -> None:
        self.path, self.over = path, threading.Event()
        self.thread = threading.Thread(target=self._change)

    def _change(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY)
        count = 0
        while not self.over.is_set():
            for offset in range(0, SIZE, 1 << 16):
                os.pwrite(descriptor, b"%016d" % count, offset)
            count += 1
        os.close(descriptor)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()


@pytest.fixture
def busy(data: Path) -> Path:
    """A file of zeros."""
    with (data / "file").open("wb") as file:
        file.truncate(SIZE)
    return data / "file"


def test_an_application_that_sends_pages_of_a_file(amanda, peer, busy):
    """busybox's cat uses sendfile(2): the pipe gets references to the file's pages, not their bytes."""
    install_application(amanda, "sender", f"busybox cat {busy}; echo 'sendbackup: size {SIZE >> 10}' >&3")
    with Changing(busy):
        dump = peer().dump(dump_request(str(busy), application="sender"), keep=False)
    assert dump.size == SIZE and not dump.failed, dump.messages
    assert dump.checksum("client") == dump.checksum("native") == (dump.crc, dump.size)


@pytest.mark.parametrize("kind", ["compress", "encrypt"])
def test_a_filter_that_sends_pages_of_a_file(peer, data, busy, kind):
    """A filter may write in the same way."""
    program = SCRATCH / "sending-filter"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\nexec busybox cat {busy}\n")
    program.chmod(0o755)
    filters = f"<{kind}>CUSTOM<custom-{kind}-program>{program}</custom-{kind}-program></{kind}>"
    with Changing(busy):
        dump = peer().dump(dump_request(str(data), filters=filters), keep=False)
    assert dump.size == SIZE and dump.checksum("client") == (dump.crc, dump.size), dump.messages


@pytest.mark.skipif(os.environ.get("AMRELAY", "yes") != "yes", reason="upstream always copies")
@pytest.mark.parametrize(("application", "filters", "native", "client"), [
    ("", "", "splice", None),
    ("", "<compress>FAST</compress>", "splice", "splice"),
    ("amgtar", "", "splice", None),
    ("ambsdtar", "", "splice", None),
    ("amraw", "", "copy", None),
    ("", "<compress>CUSTOM<custom-compress-program>/usr/bin/gzip</custom-compress-program></compress>", "splice", "copy"),
    ("", "<compress>FAST</compress><encrypt>CUSTOM<custom-encrypt-program>/usr/bin/cat</custom-encrypt-program></encrypt>",
     "splice", "copy"),
])
def test_only_known_writers_are_not_copied(amanda, peer, data, application, filters, native, client):
    directory = data / "file" if application == "amraw" else data
    dump = peer().dump(dump_request(str(directory), application=application, filters=filters))
    assert not dump.failed, dump.messages
    for name, method in ("native", native), ("client", client):
        lines = amanda.debug_matches("sendbackup", rf"sendbackup {name} tee: .* {method or ''}")
        assert bool(lines) == (method is not None), amanda.debug_matches("sendbackup", "tee:")
