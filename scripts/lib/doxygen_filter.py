"""doxygen_filter.py HEADER: prints the header for Doxygen, with the groups of c_header.py. For docs/Doxyfile."""

import re
import sys

from c_header import GROUPS, ITEM, name_and_kind


def group_of(name):
    return next((group for group, (_, pattern) in GROUPS.items() if re.fullmatch(pattern, name)), "")


def grouped(match):
    """An item with its group, and with `Returns: ` and the like as headings of its description."""
    name, _ = name_and_kind(match["code"])
    comment = re.sub(r"^ \* (Ownership|NULL|Returns|Threads): ", r" * @par \1\n * ", match["comment"], flags=re.M)
    return f"/**\n{comment} *\n * @ingroup {group_of(name)}\n */\n{match['code']}"


def main(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    groups = "\n".join(
        f"/** @defgroup {group} {group}: {about} */" for group, (about, _) in GROUPS.items()
    )
    top = re.sub(r"\A/\*\n.*?\n \*\n( \* libamrelay:)", rf"{groups}\n/** @file amrelay.h\n\1", text, count=1, flags=re.S)
    print(ITEM.sub(grouped, top))


main(*sys.argv[1:])
