"""The targets of the figures, and which figures are drawn."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound for the median of a figure or, with a base, of its ratio to the base's in the same round."""

    group: str
    case: str  # a regular expression for the whole name, as is variant
    metric: str
    variant: str
    base: str | None
    relation: str  # "<=" or ">="
    bound: float

    def concerns(self, group, case, metric, variant):
        return (
            (self.group, self.metric) == (group, metric)
            and re.fullmatch(self.case, case) is not None
            and re.fullmatch(self.variant, variant) is not None
        )

    def met_by(self, value):
        return value <= self.bound if self.relation == "<=" else value >= self.bound


BIG = r"4 files of \d+ MiB"
SMALL = r"\d+ files of 4 KiB"

TARGETS = [
    Target("backup", BIG, "CPU s/GiB", "patched", "upstream", "<=", 0.25),
    Target("backup", SMALL, "CPU s/GiB", "patched", "upstream", "<=", 0.45),
    Target("backup", BIG, "CPU s/GiB", "patched", "floor, one hop", "<=", 1.25),
    Target("backup", ".*", "elapsed s", "patched", "upstream", "<=", 0.75),
    Target("backup", BIG, "calls/GiB", "patched", "upstream", "<=", 0.1),
    *(Target(program, BIG, "CPU s/GiB", "patched", "upstream", "<=", 0.275) for program in ("ambsdtar", "amgtar")),
    *(Target(program, SMALL, "CPU s/GiB", "patched", "upstream", "<=", 0.495) for program in ("ambsdtar", "amgtar")),
    Target("index", SMALL + ".*", "CPU ms", "index", "gnu tar", "<=", 0.2),
    Target("index", SMALL + ".*", "CPU ms", "index", "bsd tar", "<=", 0.2),
    Target("index", BIG + ".*", "CPU ms", "index", "gnu tar", "<=", 0.25),
    Target("index", BIG + ".*", "CPU ms", "index", "bsd tar", "<=", 0.25),
    Target("index", SMALL + ".*", "CPU ms", "tee index", "tee crc", "<=", 1.15),
    Target("index", BIG + ".*", "CPU ms", "tee index", "tee crc", "<=", 1.02),
    Target("tee", "1 MiB pipes", "GB/s", "zero copy", "upstream", ">=", 3.0),
    Target("tee", "1 MiB pipes", "CPU s/GiB", "zero copy", "upstream", "<=", 0.25),
    Target("tee", "(64|4) KiB pipes", "GB/s", "zero copy", "read+write", ">=", 1.0),
    Target("tee", ".*", "GB/s", "copy", "upstream", ">=", 1.0),
    Target("relay", ".*, 1 stream", "GB/s", "relay", "bare splice", ">=", 0.95),
    Target("relay", ".*, 1 stream", "GB/s", "relay", "read+write, 64 KiB", ">=", 1.0),
    Target("relay", ".*, 1 stream", "GB/s", "relay", "read+write, 1 MiB", ">=", 1.0),
    Target("relay", ".*", "GB/s beside one stream", "relay", None, ">=", 0.9),
    Target("relay", ".*", "CPU beside one stream", "relay", None, "<=", 1.1),
    Target("relay", ".*", "Jain index", "relay.*", None, ">=", 0.98),
    Target("relay", "a line beside .*", "left p99 ms", ".*", None, "<=", 50),
    Target("relay", ".* stalled streams", "resident MiB", ".*", None, "<=", 24),
    Target("relay", ".* stalled streams", "growth KiB in 10 s", ".*", None, "<=", 0),
    Target("relay", ".* stalled streams", "turns in 10 s", ".*", None, "<=", 1),
    Target("stalls", ".*, a third one stopped", "of the speed alone", "patched", None, ">=", 0.95),
    Target("stalls", ".*, all stopped", "amandad: resident MiB", "patched", None, "<=", 24),
    Target("stalls", ".*, all stopped", "amandad: CPU ticks in 10 s", "patched", None, "<=", 0),
    Target("stalls", ".*, all stopped", "amandad: wake-ups in 10 s", "patched", None, "<=", 0),
]

# The variant to compare others with, where it is not the first of a case.
BASES = ["upstream", "bare splice", "gnu tar", "tee crc"]


@dataclass(frozen=True)
class Chart:
    """Bars: cases side by side, one bar for each variant."""

    name: str
    group: str
    metric: str
    title: str
    case: str = ".*"


CHARTS = [
    Chart("backup-cpu", "backup", "CPU s/GiB", "A whole backup: processor time of the client"),
    Chart("backup-calls", "backup", "calls/GiB", "A whole backup: system calls of the client"),
    Chart("tee-cpu", "tee", "CPU s/GiB", "The tee: processor time"),
    Chart("tee-speed", "tee", "GB/s", "The tee: throughput"),
    Chart("relay-cpu", "relay", "CPU s/GiB", "The relay: processor time"),
    Chart("relay-speed", "relay", "GB/s", "The relay: throughput"),
    Chart("index-cpu", "index", "CPU ms", "Listing an archive: processor time"),
    Chart("stalls-speed", "stalls", "MB/s", "Two dumps beside a stopped one, and alone"),
]

# The start of the page: group, case and metric of the figures, and the names of the charts.
SUMMARY = [
    ("backup", BIG, "CPU s/GiB"),
    ("backup", SMALL, "CPU s/GiB"),
    ("backup", BIG, "elapsed s"),
    ("backup", SMALL, "elapsed s"),
    ("backup", BIG, "calls/GiB without tar"),
    ("stalls", "bsdudp, two dumps, a third one stopped", "MB/s"),
]
SUMMARY_CHARTS = {"backup-cpu", "stalls-speed"}
