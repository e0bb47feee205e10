"""ambsdtar is set-uid root, and any user can start it: the user's environment must have no influence."""

import os
import subprocess

import pytest
from harness.archive import differences, extract
from harness.installation import SCRATCH

# More stack than there are addresses, for every thread of Rust's library without an explicit size.
STRANGE = {"RUST_MIN_STACK": "1000000000000000", "RUST_BACKTRACE": "full", "AMRELAY_TEE": "copy"}


@pytest.mark.parametrize("environment", [{}, STRANGE], ids=["usual", "strange"])
def test_the_environment_of_its_user_changes_no_dump(amanda, data, environment):
    program = amanda.libexec / "application/ambsdtar"
    assert program.stat().st_mode & 0o4000 and program.stat().st_uid == 0, "it is not set-uid root"
    messages, messages_end = os.pipe()
    index, index_end = os.pipe()

    def begin() -> None:
        # Move them away from the two numbers first.
        kept = [os.dup(end) for end in (messages_end, index_end)]
        for number, end in enumerate(kept, start=3):
            os.dup2(end, number)
        os.closerange(5, 64)
        amanda.demote()

    process = subprocess.Popen(
        [program, "backup", "--message", "line", "--index", "line", "--config", "TEST", "--host", "localhost",
         "--disk", data, "--device", data, "--level", "0", "--state-dir", amanda.prefix / "var/gnutar-lists"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False, preexec_fn=begin,
        env={"PATH": "/usr/bin:/bin", **environment})
    os.close(messages_end)
    os.close(index_end)
    archive, errors = process.communicate(timeout=60)
    with os.fdopen(messages) as told, os.fdopen(index) as lines:
        told = told.read()
        assert process.returncode == 0 and "error" not in told, told + errors.decode()
        assert lines.read() == "/\n/file\n"
    extract(archive, SCRATCH / "restored")
    assert differences(data, SCRATCH / "restored") == []
    if amanda.patched:
        (line,) = amanda.debug_matches("ambsdtar", "ambsdtar tee: ")
        assert line.endswith("; splice")
