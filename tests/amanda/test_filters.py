"""A client filter that does not filter everything makes the dump fail, whatever its status."""

import gzip
import os

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH, Installation
from harness.peer import Dump, dump_request
from harness.stand_in import copy_program

CUT = ("killed", "leaves", "leaves-at-once", "closes-input", "closes-output", "fails")
WHOLE = ("whole", "lingers")
ROLES = ("compress", "encrypt", "both")


def filter_program(fault: str) -> str:
    """The path of a filter with this fault."""
    path = SCRATCH / f"filter-{fault}"
    copy_program("filter", path)
    return str(path)


def filters(role: str, fault: str) -> str:
    """The elements of a request for a dump. With both, the first filter is the faulty one."""
    first, second = filter_program(fault), filter_program("whole")
    compress = f"<compress>CUSTOM<custom-compress-program>{first}</custom-compress-program></compress>"
    encrypt = f"<encrypt>CUSTOM<custom-encrypt-program>{second if role == 'both' else first}</custom-encrypt-program></encrypt>"
    return {"compress": compress, "encrypt": encrypt, "both": compress + encrypt}[role]


def filtered_dump(amanda: Installation, peer, data, role: str, fault: str, application: str = "") -> Dump:
    """Make a dump through such filters."""
    return peer().dump(dump_request(str(data), application=application, filters=filters(role, fault)))


@pytest.mark.parametrize("application", ["", "amgtar"], ids=["GNUTAR", "amgtar"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", CUT)
def test_a_filter_that_does_not_filter_everything_fails(amanda, peer, data, role, fault, application):
    dump = filtered_dump(amanda, peer, data, role, fault, application)
    assert dump.failed and dump.errors, dump.messages


@pytest.mark.parametrize("application", ["", "amgtar"], ids=["GNUTAR", "amgtar"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", WHOLE)
def test_a_filter_that_filters_everything_does_not_fail(amanda, peer, data, role, fault, application):
    dump = filtered_dump(amanda, peer, data, role, fault, application)
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.checksum("native") == dump.checksum("client") == (dump.crc, dump.size)


@pytest.mark.parametrize("application", ["", "ambsdtar"], ids=["GNUTAR", "ambsdtar"])
def test_gzip_filters_everything(peer, data, application):
    dump = peer().dump(dump_request(str(data), application=application, filters="<compress>FAST</compress>"))
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.checksum("client") == (dump.crc, dump.size)
    program = "bsdtar" if application else "tar"
    extract(gzip.decompress(dump.data), SCRATCH / "restored", program)
    assert differences(data, SCRATCH / "restored", program) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_filter_that_leaves_before_the_last_bytes_fails(amanda, peer, data, role):
    """What the filter did not read fits into a pipe, so that no write fails."""
    (data / "file").write_bytes(os.urandom((1 << 20) + 30000))
    dump = filtered_dump(amanda, peer, data, role, "leaves")
    assert dump.failed and dump.errors, dump.messages


@pytest.mark.parametrize("application", ["", "amgtar"], ids=["GNUTAR", "amgtar"])
def test_the_checksum_of_what_failed_is_that_of_what_was_read(amanda, peer, data, application):
    """0 would mean that none is reported."""
    dump = filtered_dump(amanda, peer, data, "compress", "closes-output", application)
    assert dump.failed
    native = dump.checksum("native")
    assert native and native[0] != 0 and native[1] > 0, dump.messages
    assert dump.checksum("client") == (dump.crc, dump.size)
