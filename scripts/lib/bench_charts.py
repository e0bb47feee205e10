"""Bar charts as SVG, drawn by gnuplot."""

import re
import subprocess

# Okabe and Ito's colours, distinct for all kinds of colour vision. Upstream has the same colour in all charts.
UPSTREAM = "#d55e00"
COLOURS = ["#0072b2", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#999999"]


def draw(charts, figures, directory):
    """Draws the charts that have figures, and returns them."""
    drawn = []
    for chart in charts:
        cases = {
            case: variants
            for (group, case, metric), variants in figures.items()
            if (group, metric) == (chart.group, chart.metric) and re.fullmatch(chart.case, case)
        }
        if cases:
            draw_one(chart, cases, f"{directory}/bench-{chart.name}.svg")
            drawn.append(chart)
    return drawn


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


def draw_one(chart, cases, path):
    variants = list(dict.fromkeys(name for case in cases.values() for name in case))
    rows = [
        " ".join([quoted(case)] + [cell(values.get(variant)) for variant in variants])
        for case, values in cases.items()
    ]
    others = iter(COLOURS * len(variants))
    colours = [UPSTREAM if variant == "upstream" else next(others) for variant in variants]
    bars = ", ".join(
        f"$figures using {3 * i + 2}:{3 * i + 3}:{3 * i + 4}:xtic(1)"
        f" title {quoted(variant)} linecolor rgb {quoted(colours[i])}"
        for i, variant in enumerate(variants)
    )
    width = max(640, 40 * len(variants) * len(cases))
    script = "\n".join(
        [
            f"set terminal svg size {width},400 noenhanced font 'sans-serif,12' background '#ffffff'",
            f"set output {quoted(path)}",
            f"set title {quoted(chart.title)}",
            f"set ylabel {quoted(chart.metric)}",
            "set style data histograms",
            "set style histogram errorbars gap 1 linewidth 1",
            "set style fill solid border",
            "set errorbars linecolor rgb '#333333'",
            "set yrange [0:*]",
            "set grid ytics",
            "set key outside bottom center horizontal",
            "set datafile missing '-'",
            "$figures << END_OF_FIGURES",
            *rows,
            "END_OF_FIGURES",
            f"plot {bars}",
        ]
    )
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def cell(values):
    """The bar's height and the ends of its whisker."""
    if values is None:
        return "- - -"
    return f"{values.median} {min(values)} {max(values)}"
