"""Reads include/amrelay.h: its declarations, their comments, and the group of the reference each belongs to."""

import re
from dataclasses import dataclass

# Page and group, its topic, and its members: a regular expression for whole names.
GROUPS = {
    "amrelay_error": (
        "results, version and log lines of libamrelay",
        r"amrelay_(version|strerror|error|set_log|log_fn)|AMRELAY_(E|LOG|VERSION)_.*",
    ),
    "amrelay_loop": ("an event loop", r"amrelay_loop(_.*)?"),
    "amrelay_event": ("events of an event loop", r"amrelay_event(_.*)?|AMRELAY_EVENT_.*"),
    "amrelay_link": ("the writing side of one connection", r"amrelay_link(_.*)?|AMRELAY_(LINK|WANT)_.*"),
    "amrelay_stream": ("a descriptor that is read into a link", r"amrelay_stream(_.*)?|AMRELAY_STREAM_.*"),
    "amrelay_sink": ("bytes from the network on their way to a descriptor", r"amrelay_sink(_.*)?|AMRELAY_SINK_.*"),
    "amrelay_stats": ("what a stage of the data path waited for", r"amrelay_stats|AMRELAY_(STATS|METHOD)_.*"),
    "amrelay_index": (
        "the index of a tar stream",
        r"amrelay_index(_.*)?|AMRELAY_FORMAT_.*|AMRELAY_INDEX_(OPTIONS|RESULT)_INIT",
    ),
    "amrelay_tee": (
        "passes a stream on and makes CRC and index of it",
        r"amrelay_tee(_.*)?|AMRELAY_TEE_.*|AMRELAY_INDEX_(NONE|TAR|COMMAND)",
    ),
}

ITEM = re.compile(r"^/\*\*\n(?P<comment>.*?)^ \*/\n(?P<code>#define .*?$|typedef struct \w+ \{.*?^\} \w+;|.*?;$)", re.M | re.S)
FIELD = re.compile(r"^    /\*\*\n(?P<comment>.*?)^     \*/\n    (?P<code>.*?;)$", re.M | re.S)


@dataclass(frozen=True)
class Item:
    """A function, a type or a constant, or a field of a struct."""

    kind: str  # "function", "struct", "type", "constant" or "field"
    name: str
    code: str
    text: list  # its comment's paragraphs, without line breaks
    fields: tuple = ()

    @property
    def group(self):
        return next((group for group, (_, pattern) in GROUPS.items() if re.fullmatch(pattern, self.name)), None)


def paragraphs(comment):
    """The text of a comment; each item of a list is a paragraph."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.splitlines()]
    text = re.sub(r"\n(?=\* )", "\n\n", "\n".join(lines))
    return [part.replace("\n", " ") for part in re.split(r"\n\n+", text.strip("\n")) if part]


def name_and_kind(code):
    if match := re.match(r"#define (\w+)", code):
        return match[1], "constant"
    if match := re.match(r"typedef struct (\w+) \{", code):
        return match[1], "struct"
    if match := re.match(r"typedef .*?(?:\(\*(\w+)\)\(|(\w+);\Z)", code, re.S):
        return match[1] or match[2], "type"
    return re.search(r"(\w+)\(", code)[1], "function"


def field(match):
    name = re.search(r"\(\*(\w+)\)|(\w+);\Z", match["code"])
    return Item("field", name[1] or name[2], match["code"], paragraphs(match["comment"]))


def read(path):
    """The header's first comment, and its items in order."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    items = []
    for match in ITEM.finditer(text):
        name, kind = name_and_kind(match["code"])
        fields = tuple(field(inner) for inner in FIELD.finditer(match["code"]))
        items.append(Item(kind, name, match["code"], paragraphs(match["comment"]), fields))
    top = re.match(r"/\*\n(.*?)^ \*/", text, re.M | re.S)[1]
    without = [item.name for item in items if item.group is None]
    if without:
        raise SystemExit(f"{path}: no group of scripts/lib/c_header.py has {', '.join(without)}")
    return paragraphs(top)[1:], items
