"""man_pages.py HEADER VERSION FOLDER PROGRAM...: writes the man pages of the library and of its programs.

In section 3 there is libamrelay, a page for each group of the header, and for each function, struct and type an alias that leads
to its group's page. In section 1 there is a page for each PROGRAM, made of the comment at its top: a file in C, whose name
is the program's, or the main.rs of a program in Rust, whose comment begins with the program's name.
"""

import os
import re
import sys

from c_header import GROUPS, read

SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "^": r"\(ha", "~": r"\(ti", "…": "...", "`": r"\(ga"}


def plain(text):
    """Text escaped for roff, whatever a line begins with."""
    text = "".join(SPECIAL.get(letter, letter) for letter in text)
    return re.sub(r"^(?=\.)", r"\\&", text, flags=re.M)


def marked(text):
    """The same, with text in backticks in bold."""
    pieces = text.split("`")
    return "".join(rf"\fB{plain(piece)}\fR" if i % 2 else plain(piece) for i, piece in enumerate(pieces))


def prose(text):
    """Paragraphs, with `Word: ` as a tag in the margin, and lists."""
    for i, paragraph in enumerate(text):
        term = re.match(r"([A-Z][A-Za-z]+): (?=\S)", paragraph)
        if paragraph.startswith("* "):
            yield f".IP \\(bu 2\n{marked(paragraph[2:])}"
        elif term:
            yield f".TP\n.B {term[1]}\n{marked(paragraph[term.end():])}"
        else:
            yield (".PP\n" if i else "") + marked(paragraph)


def code(text):
    return f".EX\n{plain(text)}\n.EE"


def heading(name, section, version):
    # No date: the same source must give the same pages.
    return f'.TH {name.upper()} {section} "" "libamrelay {version}" "libamrelay"'


def section(title, parts):
    parts = list(parts)
    return [f".SH {title}", *parts] if parts else []


def struct(item):
    yield f".SS {item.name}"
    yield from prose(item.text)
    for field in item.fields:
        yield f".TP\n.B {plain(' '.join(field.code.split()))}"
        yield "\n.IP\n".join(marked(paragraph) for paragraph in field.text)


def described(item):
    yield f".SS {item.name}"
    yield from prose(item.text)


def constant(item):
    value = item.code.partition(item.name)[2].strip()
    yield f".TP\n.B {item.name}" + ("" if value.startswith("{") else f" ({plain(value)})")
    yield "\n.IP\n".join(marked(paragraph) for paragraph in item.text)


def group_page(group, items, version):
    def those(kind, show):
        return [part for item in items if item.kind == kind for part in show(item)]

    about = GROUPS[group][0]
    own = next((item for item in items if item.name == group and item.kind == "type"), None)
    names = [group, *(item.name for item in items if item.kind != "constant" and item.name != group)]
    functions = [item.code for item in items if item.kind == "function"]
    yield heading(group, 3, version)
    yield from section("NAME", [f"{plain(', '.join(names))} \\- {plain(about)}"])
    yield from section("SYNOPSIS", [code("\n".join(["#include <amrelay.h>", "", *functions]).strip())])
    if own:
        yield from section("DESCRIPTION", prose(own.text))
    yield from section("FUNCTIONS", those("function", described))
    yield from section("STRUCTS", those("struct", struct))
    yield from section("TYPES", those("type", lambda item: [] if item is own else [f".SS {item.name}", code(item.code), ".PP", *prose(item.text)]))
    yield from section("CONSTANTS", those("constant", constant))
    yield from section("SEE ALSO", [see_also(name for name in ["libamrelay", *GROUPS] if name != group)])


def see_also(names, number=3):
    return ",\n".join(f".BR {plain(name)} ({number})" for name in names).replace(",\n", " ,\n")


def library_page(top, version):
    yield heading("libamrelay", 3, version)
    yield from section("NAME", [r"libamrelay \- the data path of an Amanda backup client"])
    yield from section("SYNOPSIS", [code("#include <amrelay.h>\n\ncc program.c $(pkg-config --cflags --libs amrelay)")])
    yield from section("DESCRIPTION", prose([text for text in top if not text.startswith("libamrelay:")]))
    pages = (f".TP\n.BR {name} (3)\n{plain(about)}" for name, (about, _) in GROUPS.items())
    yield from section("PAGES", pages)


_COMMON_OPTIONS = """\
    -h, --help     print the usage and end
    -V, --version  print the version and end"""


def in_c(source):
    """The comment at the top of a file in C, after its licence."""
    top = re.sub(r"^ \* ?", "", re.match(r"/\*\n(.*?)^ \*/", source, re.M | re.S)[1], flags=re.M)
    return re.split(r"\n\n+", top.strip("\n"))[1:]


def in_rust(source):
    """The same of a file in Rust, which has no licence there."""
    top = re.sub(r"^//! ?", "", re.match(r"(?://!.*\n)+", source)[0], flags=re.M)
    return re.split(r"\n\n+", top.strip("\n"))


def program_page(path, version):
    """The page's name and its parts.

    In the program's first comment, the first line says what it does; indented lines are commands or options.
    """
    with open(path, encoding="utf-8") as file:
        source = file.read()
    blocks = (in_c if path.endswith(".c") else in_rust)(source)
    name, _, about = " ".join(blocks[0].split()).rstrip(".").partition(": ")
    return name, program_parts(name, about, blocks[1:], source, path, version)


def program_parts(name, about, blocks, source, path, version):
    commands = next(block for block in blocks if block.startswith("    "))
    examples = re.sub("^    ", "", commands, flags=re.M)
    usage = re.findall(rf'"(?:usage:| +) ({name} .*?)\\n"', source)
    yield heading(name, 1, version)
    yield from section("NAME", [f"{plain(name)} \\- {plain(about)}"])
    yield from section("SYNOPSIS", [code("\n".join(usage) or examples)])
    yield from section("DESCRIPTION", program_text([block for block in blocks if block is not commands] + [_COMMON_OPTIONS]))
    yield from section("EXAMPLES", [code(examples)] if usage and usage != [examples] else [])
    if path.endswith(".c"):
        yield from section("NOTES", [marked(f"The program is also an example of libamrelay: examples/{name}.c in its source.")])
    yield from section("SEE ALSO", [".BR libamrelay (3)"])


def program_text(blocks):
    for i, block in enumerate(blocks):
        if block.startswith("    -"):
            for option in re.split(r"\n    (?=-)", block[4:]):
                flag, text = re.match(r"(--?\w+(?:, --\w+| [A-Z]+)?)\s+(.*)", option, re.S).groups()
                yield f".TP\n.B {plain(flag)}\n{marked(' '.join(text.split()))}"
        else:
            yield (".PP\n" if i else "") + marked(" ".join(block.split()))


def write(folder, name, number, parts):
    os.makedirs(f"{folder}/man{number}", exist_ok=True)
    with open(f"{folder}/man{number}/{name}.{number}", "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")


def main(header, version, folder, *programs):
    top, items = read(header)
    write(folder, "libamrelay", 3, library_page(top, version))
    for group in GROUPS:
        members = [item for item in items if item.group == group]
        write(folder, group, 3, group_page(group, members, version))
        for item in members:
            if item.kind != "constant" and item.name != group:
                write(folder, item.name, 3, [f".so man3/{group}.3"])
    for path in programs:
        name, parts = program_page(path, version)
        write(folder, name, 1, parts)


main(*sys.argv[1:])
