"""bench_report.py RESULTS LOAD [FOLDER]: tables of the figures in RESULTS, lines of group, case, variant, metric and value.

LOAD is the machine's load average when the measurement began. The tables are printed or, if FOLDER is named, written there: the
summary between the marks of benchmarks.md, everything behind the mark of benchmarks-figures.md, and the charts.
"""

import datetime
import os
import re
import statistics
import subprocess
import sys

from bench_charts import draw
from bench_targets import BASES, CHARTS, SUMMARY, SUMMARY_CHARTS, TARGETS

REST = "<!-- The rest is written by make bench. -->"
SUMMARY_BEGIN = "<!-- The next lines are written by make bench. -->"
SUMMARY_END = "<!-- The lines before are written by make bench. -->"
TITLES = {
    "backup": "A whole backup",
    "ambsdtar": "A whole backup with ambsdtar",
    "amgtar": "A whole backup with amgtar",
    "ways": "Other ways",
    "tee": "The tee alone",
    "relay": "The relay alone",
    "stalls": "Stalls",
    "index": "The index alone",
}


class Values(list):
    """The values of one figure, one per round."""

    @property
    def median(self):
        return statistics.median(self)

    def ratio(self, base):
        """The median of the ratios within each round."""
        if len(self) != len(base) or 0 in base:
            return None
        return statistics.median(mine / its for mine, its in zip(self, base))


def read_figures(path):
    """Maps group, case and metric to variants to values, in the order of first lines."""
    figures = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            group, case, variant, metric, value = line.rstrip("\n").split("\t")
            figures.setdefault((group, case, metric), {}).setdefault(variant, Values()).append(float(value))
    return figures


def number(value):
    """Three significant digits, no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}"


def table(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def base_of(variants):
    """The variant that others are compared with; none if there is only one."""
    if len(variants) < 2:
        return None
    return next((base for base in BASES if base in variants), next(iter(variants)))


def cell(variants, name):
    if name not in variants:
        return ""
    values, base = variants[name], base_of(variants)
    text = f"**{number(values.median)}** ({number(min(values))}–{number(max(values))})"
    ratio = values.ratio(variants[base]) if base not in (None, name) else None
    return text if ratio is None else f"{text} × {number(ratio)}"


def group_tables(figures, group):
    """Cases with the same variants share a table."""
    tables = {}
    for (figure_group, case, metric), variants in figures.items():
        if figure_group == group:
            tables.setdefault(tuple(variants), []).append((case, metric, variants))
    for names, rows in tables.items():
        yield table(
            ["case", "figure", *names],
            [[case, metric, *(cell(variants, name) for name in names)] for case, metric, variants in rows],
        )


def target_rows(figures):
    for target in TARGETS:
        found = False
        for (group, case, metric), variants in figures.items():
            for variant, values in variants.items():
                if not target.concerns(group, case, metric, variant) or variant == target.base:
                    continue
                if target.base is None:
                    value, figure = values.median, f"{variant}: {metric}"
                elif target.base in variants:
                    value, figure = values.ratio(variants[target.base]), f"{metric}: {variant} / {target.base}"
                else:
                    continue
                found = True
                met = "not comparable" if value is None else "yes" if target.met_by(value) else "**no**"
                measured = "" if value is None else number(value)
                yield [TITLES[group], case, figure, f"{target.relation} {number(target.bound)}", measured, met]
        if not found:
            yield [TITLES[target.group], "", target.metric, f"{target.relation} {number(target.bound)}", "", "not measured"]


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def content(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def machine(load):
    """The properties of this machine that the figures depend on."""
    processor = re.search(r"model name\s*: (.*)", content("/proc/cpuinfo"))
    memory = int(re.search(r"MemTotal:\s*(\d+)", content("/proc/meminfo"))[1]) / (1 << 20)
    release = re.match(r"[0-9.]*", os.uname().release)
    virtual = ", virtual" if " hypervisor" in content("/proc/cpuinfo") else ""
    limits = {name: int(content(f"/proc/sys/fs/{name}")) for name in ("pipe-max-size", "pipe-user-pages-soft")}
    return table(
        ["", ""],
        [
            ["processor", f"{processor[1] if processor else os.uname().machine}, {os.cpu_count()} cores{virtual}"],
            ["memory", f"{memory:.0f} GiB"],
            ["kernel", f"{os.uname().sysname} {release[0]}"],
            ["limits of pipes", f"{limits['pipe-max-size']} bytes each, {limits['pipe-user-pages-soft']} pages a user"],
            ["tar", first_line("tar", "--version")],
            ["compilers", f"{first_line('rustc', '--version')}; {first_line('cc', '--version')}"],
            ["date", datetime.date.today().isoformat()],
            ["load when it began", load],
        ],
    )


def picture(chart):
    return f"![{chart.title}](bench-{chart.name}.svg)\n"


def summary_rows(figures):
    """The patched client compared with upstream's: medians and their ratio."""
    for group, pattern, metric in SUMMARY:
        for (figure_group, case, figure), variants in figures.items():
            if (figure_group, figure) != (group, metric) or re.fullmatch(pattern, case) is None:
                continue
            patched, upstream = variants["patched"], variants["upstream"]
            ratio = patched.ratio(upstream)
            yield [
                f"{TITLES[group]}: {case}",
                metric,
                f"**{number(patched.median)}**",
                number(upstream.median),
                "" if ratio is None else number(ratio),
            ]


def summary(figures, charts):
    yield table(["case", "figure", "patched", "upstream", "patched / upstream"], summary_rows(figures))
    for chart in charts:
        if chart.name in SUMMARY_CHARTS:
            yield picture(chart)


def report(figures, charts, load):
    yield "## Machine\n"
    yield machine(load)
    yield "## Targets\n"
    yield table(["part", "case", "figure", "target", "measured", "met"], target_rows(figures))
    for group in dict.fromkeys(group for group, _, _ in figures):
        yield f"## {TITLES.get(group, group)}\n"
        for chart in charts:
            if chart.group == group:
                yield picture(chart)
        yield from group_tables(figures, group)


def replace(page, begin, text, end=""):
    """Puts `text` between the two marks of a page; without a second mark it replaces the rest."""
    before, mark, behind = content(page).partition(begin)
    if not mark or end not in behind:
        raise SystemExit(f"{page} lacks a mark: {begin} {end}")
    if end:
        text += f"\n{end}{behind.partition(end)[2]}"
    with open(page, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n\n{text}")


def main(results, load, folder=None):
    figures = read_figures(results)
    charts = draw(CHARTS, figures, folder) if folder else []
    first, all_figures = "\n".join(summary(figures, charts)), "\n".join(report(figures, charts, load))
    if folder is None:
        print(f"{first}\n{all_figures}")
        return
    replace(f"{folder}/benchmarks.md", SUMMARY_BEGIN, first, SUMMARY_END)
    replace(f"{folder}/benchmarks-figures.md", REST, all_figures)


main(*sys.argv[1:])
