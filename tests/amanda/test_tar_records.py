"""The records that tar programs write: 128 KiB, or what somebody has set, and read by whoever reads archives."""

import re

import pytest

from harness.archive import differences, extract
from harness.installation import SCRATCH
from harness.peer import dump_request

_BLOCK = 512
_DEFAULT = 256
# bsdtar refuses names that are not in its locale's encoding otherwise.
_ANY_NAMES = "<property><name>command-options</name><value>--options=hdrcharset=BINARY</value></property>"
each_program = pytest.mark.parametrize("application", ["", "amgtar", "ambsdtar"], ids=["GNUTAR", "amgtar", "ambsdtar"])


# GNU tar does not restore the times of folders in the order in which bsdtar writes them, whatever the record.
@pytest.mark.parametrize("application, reader", [("", "tar"), ("", "bsdtar"), ("amgtar", "tar"), ("amgtar", "bsdtar"),
                                                 ("ambsdtar", "bsdtar")])
def test_every_reader_restores_larger_records(peer, folder, application, reader):
    source = folder(files=300)
    dump = peer().dump(dump_request(str(source), application=application, extra=_ANY_NAMES if application == "ambsdtar" else ""))
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.size % (_DEFAULT * _BLOCK) == 0
    extract(dump.data, SCRATCH / "restored", reader)
    assert differences(source, SCRATCH / "restored", reader) == []


@each_program
@pytest.mark.parametrize("blocks", [1, 20, 2048])
def test_the_clients_configuration_sets_the_record(amanda, peer, data, application, blocks):
    amanda.configure_client(f'property "tar-blocksize" "{blocks}"')
    dump = peer().dump(dump_request(str(data), application=application))
    assert not dump.failed and not dump.strange, dump.messages
    # The file of 8 MiB has its header and that of its folder before it, and the end mark behind it.
    least = (8 << 20) + 4 * _BLOCK
    assert dump.size % (blocks * _BLOCK) == 0 and dump.size < least + 2 * (10 << 10) + blocks * _BLOCK


@pytest.mark.parametrize("application", ["amgtar", "ambsdtar"])
def test_an_applications_own_property_comes_first(amanda, peer, data, application):
    amanda.configure_client('property "tar-blocksize" "2048"')
    own = "<property><name>tar-blocksize</name><value>20</value></property>"
    dump = peer().dump(dump_request(str(data), application=application, extra=own))
    assert not dump.failed and not dump.strange, dump.messages
    assert dump.size % (20 * _BLOCK) == 0 and dump.size % (2048 * _BLOCK) != 0


@pytest.mark.parametrize("program", ["GNUTAR", "amgtar"])
def test_an_estimate_is_of_the_same_records(amanda, server, folder, program):
    host = server()
    host.add_disk("small", folder(files=5), program)
    run = host.amdump()
    assert run.done("small"), run.log
    text = amanda.debug_text("sendsize" if program == "GNUTAR" else "amgtar")
    estimates = re.findall(r"estimate size for \S+ level 0: (\d+) KB", text)
    dumped = re.findall(r"^SUCCESS dumper .* kb (\d+) ", run.log.read_text(), re.M)
    assert len(dumped) == 1 and estimates == dumped
