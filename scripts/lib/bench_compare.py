"""bench_compare.py RESULTS: compares what bench-compare.sh has measured, lines of old or new, group, case, variant, metric and value.

A difference is beyond noise if the sign test says so: if both builds were alike, either would be ahead in a round with even odds, and as
many rounds or more on one side would come by chance in less than one of 20 comparisons. It needs no assumption on how the figures
scatter, and 6 rounds at least.
"""

import math
import statistics
import sys
from collections import defaultdict

BY_CHANCE = 0.05


def read(path):
    """Each figure's values of the two builds, round by round."""
    figures = defaultdict(lambda: {"old": [], "new": []})
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            build, *figure, value = line.rstrip("\n").split("\t")
            figures[tuple(figure)][build].append(float(value))
    return figures


def chance(ratios):
    """How probable it is that as many rounds or more are on one side by chance. Rounds without a difference say nothing."""
    below, above = (sum(side(ratio) for ratio in ratios) for side in (lambda ratio: ratio < 1, lambda ratio: ratio > 1))
    rounds = below + above
    tail = sum(math.comb(rounds, count) for count in range(max(below, above), rounds + 1))
    return min(1.0, 2 * tail / 2**rounds)


def row(figure, old, new):
    """A figure's row of the table."""
    cells = [*figure, f"{statistics.median(old):.4g}", f"{statistics.median(new):.4g}"]
    ratios = [after / before for before, after in zip(old, new) if before]
    if not ratios:
        return [*cells, "", "", ""]
    verdict = "beyond noise" if chance(ratios) < BY_CHANCE else ""
    return [*cells, f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}", verdict]


def main(path):
    rows = [["group", "case", "variant", "metric", "old", "new", "new / old", "spread", "verdict"]]
    rows += [row(figure, values["old"], values["new"]) for figure, values in read(path).items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


main(sys.argv[1])
