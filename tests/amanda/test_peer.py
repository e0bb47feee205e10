"""A whole dump requested by a peer: the basis of the other tests with peers."""

from harness.archive import differences, extract
from harness.installation import SCRATCH
from harness.peer import NAK, REQ, dump_request


def test_a_dump_holds_its_source_and_its_checksums(peer, data):
    dump = peer().dump(dump_request(str(data)))
    assert not dump.failed and not dump.strange, dump.messages
    extract(dump.data, SCRATCH / "restored")
    assert differences(data, SCRATCH / "restored") == []
    assert dump.index == b"/\n/file\n"
    assert dump.checksum("native") == dump.checksum("client") == (dump.crc, dump.size)


def test_an_unprivileged_peer_is_refused(peer, data):
    stranger = peer(privileged=False)
    stranger.send_packet(REQ, dump_request(str(data)))
    _, packet = stranger.receive()
    assert packet[0] == NAK and b"not secure" in packet
