"""Simultaneous dumps from one amandad, over each driver."""

import os
from pathlib import Path

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH
from harness.peer import dump_request
from harness.session import DATAGRAM, FRAMED, Session


@pytest.mark.parametrize("auth", FRAMED + DATAGRAM)
def test_three_dumps_at_once(amanda, data, auth):
    amanda.configure_client(amanda.make_certificates())
    session = Session(amanda, auth)
    try:
        for name in "one", "two", "three":
            (data / name).mkdir()
            (data / name / "file").write_bytes(os.urandom(4 << 20))
            session.begin(str(data / name), dump_request(str(data / name), auth=auth.upper()))
        assert session.finish()
        for reading in session.readings:
            assert reading.done and not reading.broken, reading.dump.messages
            assert reading.dump.index == b"/\n/file\n"
            extract(reading.dump.data, SCRATCH / "restored")
            assert differences(Path(reading.directory), SCRATCH / "restored") == []
        session.drop()
        assert session.peer.exit_status(60) == 0
    finally:
        session.close()
