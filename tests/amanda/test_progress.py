"""What amandad's debug file says each minute while a dump is under way."""

import re

from harness.installation import Installation
from harness.peer import Dump, dump_request
from harness.processes import wait_until


def lines_of_minutes(amanda: Installation) -> list[str]:
    """What has been said so far of the stream DATA."""
    return re.findall(r": amrelay: sendbackup \d+ DATA, (.*)$", amanda.debug_text("amandad"), re.M)


def test_each_minutes_line_is_about_that_minute(amanda, peer, large):
    """The server takes some of the data, and then nothing for more than a minute."""
    server = peer()
    streams = server.begin_dump(dump_request(str(large)))
    dump = Dump()
    server.continue_dump(dump, streams, size=8 << 20, keep=False)
    assert wait_until(lambda: len(lines_of_minutes(amanda)) == 2, 180, interval=1), lines_of_minutes(amanda)
    first, second = lines_of_minutes(amanda)
    assert re.fullmatch(r"the last minute: [1-9]\d* bytes in .*", first)
    waited = r"waited 0\.0% for the service, (9\d\.\d|100\.0)% for the network, 0\.0% for the index reader"
    assert re.fullmatch(rf"STALLED for a minute: 0 bytes in \S+ s; {waited}; splice", second)
    server.continue_dump(dump, streams, keep=False)
    assert not dump.failed, dump.messages
