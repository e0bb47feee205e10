"""Dumps without index: unused descriptors are closed, and no others."""

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH
from harness.peer import dump_request
from harness.stand_in import install_application


@pytest.mark.parametrize("application", ["", "amgtar", "ambsdtar"], ids=["GNUTAR", "amgtar", "ambsdtar"])
def test_a_dump_without_index_comes_to_its_end(peer, data, application):
    dump = peer().dump(dump_request(str(data), application=application, index=False))
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.index == b""
    program = "bsdtar" if application == "ambsdtar" else "tar"
    extract(dump.data, SCRATCH / "restored", program)
    assert differences(data, SCRATCH / "restored", program) == []


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
def test_an_application_is_given_its_own_descriptors(amanda, peer, data, index):
    """Data, errors, messages, and the index if wanted; not the pipes that sendbackup reads."""
    install_application(amanda, "lister", "find /proc/$$/fd -type l -printf '%f %l\\n' >/tmp/amanda/descriptors; echo data; "
                                          "echo 'sendbackup: size 1' >&3")
    dump = peer().dump(dump_request(str(data), application="lister", index=index))
    assert not dump.failed, dump.messages
    with open("/tmp/amanda/descriptors", encoding="ascii") as file:
        pipes = {int(line.split()[0]) for line in file if "pipe:" in line}
    # From 150 on there are amandad's descriptors for sendbackup, where the state stream is left open.
    assert {number for number in pipes if 0 < number < 150} == ({1, 2, 3, 4} if index else {1, 2, 3})
