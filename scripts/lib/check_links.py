"""check_links.py PAGE...: fails if a relative link of a Markdown page leads to no file, or to no heading of a page, or if the page
names a file of the repository that does not exist."""

import os
import re
import sys

CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
# In backticks; what is built lies elsewhere.
NAMED = re.compile(r"`((?:benches|c-tests|docs|examples|fuzz|include|patches|scripts|src|tests)/[\w./-]+\.\w+)`")
# The tests that patches/README.md names, for short without their folder.
TEST = re.compile(r"`(test_\w+\.py|(?:c|event|index|relay|tee)/\w+\.rs)`")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")


def content(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def anchors(page):
    """The headings' anchors as forges make them: lower case, hyphens for spaces, no other punctuation."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", content(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def faults(page):
    for link in LINK.findall(CODE.sub("", content(page))):
        if SCHEME.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        if not os.path.exists(target):
            yield f"{page}: {link} leads to no file"
        elif anchor and target.endswith(".md") and anchor not in anchors(target):
            yield f"{page}: {link} leads to no heading"


def missing(page):
    for name in NAMED.findall(content(page)):
        if not os.path.exists(name):
            yield f"{page}: there is no {name}"
    for name in TEST.findall(content(page)):
        folder = "tests/amanda" if name.endswith(".py") else "tests"
        if not os.path.exists(os.path.join(folder, name)):
            yield f"{page}: there is no test {name}"


def main(pages):
    found = [fault for page in pages for check in (faults, missing) for fault in check(page)]
    sys.exit("\n".join(found) if found else 0)


main(sys.argv[1:])
