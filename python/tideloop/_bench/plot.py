"""The picture of a run: what an operation costs on each peer, a group of bars per workload."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from tideloop._bench.environment import one_line
from tideloop._bench.peers import find
from tideloop._bench.results import cost_text

__all__ = ["FAINT", "INK", "STRONG", "draw"]

#: Ours in one strong colour, pale without its names; everybody else in greys.
STRONG = "#D9480F"
OURS = {"tideloop": "#F0966B", "tideloop+": STRONG}
GREYS = {"asyncio": "#D5D9DD", "uvloop": "#868E96", "rloop": "#ADB5BD", "zuvloop": "#C3C9CF", "raw_epoll": "#5C636A"}
OTHER = "#B8BEC4"
INK, FAINT = "#1B1F23", "#6A737D"
WARNING = "#B02A2A"
WIDTH_IN, MARGIN_IN, NAMES_IN = 12.0, 0.3, 0.75
BAR_IN, TITLE_IN, GAP_IN, HEAD_IN, FOOT_IN = 0.21, 0.27, 0.2, 1.35, 0.8
GROUPS_PER_COLUMN = 9
COLUMNS_MAX = 3
#: How far a column reaches, as a multiple of the reference; a longer bar is cut, and its end says so.
REACH_MAX = 2.5

Group = dict[str, Any]


def draw(document: dict[str, Any], output: Path) -> None:
    """Write the picture of a run (`report.document`) as a PNG or SVG file, by its ending. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = [result for result in document["workloads"].values() if result["peers"]]
    columns = _columns(groups)
    rows_in = max(sum(map(_height_in, column)) for column in columns) if groups else 1.0
    height = HEAD_IN + rows_in + FOOT_IN
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = pyplot.figure(figsize=(WIDTH_IN, height), dpi=160)
        share = (WIDTH_IN - MARGIN_IN) / len(columns)
        for number, column in enumerate(columns):
            left = MARGIN_IN + share * number + NAMES_IN
            tall = sum(map(_height_in, column))
            bottom = FOOT_IN + rows_in - tall
            box = (left / WIDTH_IN, bottom / height, (share - NAMES_IN - MARGIN_IN) / WIDTH_IN, tall / height)
            _draw_column(figure.add_axes(box), column, tall, single=len(groups) == 1)
        left = MARGIN_IN / WIDTH_IN
        figure.text(left, 1 - 0.42 / height, _title(document, groups), fontsize=17, fontweight="bold", va="center")
        for line, text in enumerate(_subtitles(groups)):
            figure.text(left, 1 - (0.75 + 0.22 * line) / height, text, fontsize=10.5, color=FAINT, va="center")
        footer = textwrap.fill(_footer(document, groups), 190)
        figure.text(left, 0.22 / height, footer, fontsize=7.5, color=FAINT, va="bottom")
        if not document["conclusive"]:
            note = "measured on a noisy machine: these figures support no conclusion"
            figure.text(1 - left, 0.6 / height, note, fontsize=9, color=WARNING, va="center", ha="right")
        figure.savefig(output)
        pyplot.close(figure)


def _height_in(group: Group) -> float:
    return TITLE_IN + BAR_IN * len(group["peers"]) + GAP_IN


def _columns(groups: list[Group]) -> list[list[Group]]:
    """Spread the groups over as many columns as they need, in order, about equally tall."""
    count = max(1, min(COLUMNS_MAX, -(-len(groups) // GROUPS_PER_COLUMN)))
    length = -(-len(groups) // count) or 1
    return [groups[start : start + length] for start in range(0, len(groups), length)] or [[]]


def _draw_column(axes: Any, column: list[Group], tall: float, *, single: bool) -> None:
    """Draw groups one below another; heights are in inches, so that bars are equally thick everywhere."""
    axes.set_ylim(tall, 0)
    axes.set_axis_off()
    reach = max((_spread(group, peer, single)["q3"] for group in column for peer in group["peers"]), default=1.0)
    reach = reach if single else min(reach, REACH_MAX)
    axes.set_xlim(0, reach * (1.35 if single else 1.55))
    y = 0.0
    for group in column:
        bottom = y + TITLE_IN + BAR_IN * len(group["peers"])
        if not single:
            axes.text(0, y + TITLE_IN / 2, group["title"].replace("`", ""), fontweight="bold", va="center")
            if group["reference"]:
                axes.plot([1, 1], [y + TITLE_IN - 0.02, bottom + 0.02], color=INK, linewidth=0.6, alpha=0.5, zorder=0)
        for number, peer in enumerate(group["peers"]):
            _draw_bar(axes, group, peer, y + TITLE_IN + BAR_IN * (number + 0.5), reach, single)
        y = bottom + GAP_IN


def _draw_bar(axes: Any, group: Group, peer: str, y: float, reach: float, single: bool) -> None:
    figures, spread = group["peers"][peer], _spread(group, peer, single)
    ours = find(peer).ours
    weight = "bold" if ours else "normal"
    value = min(spread["median"], reach)
    colour = OURS.get(peer) or GREYS.get(peer, OTHER)
    axes.barh(y, value, BAR_IN * 0.82, color=colour)
    ends = [min(spread["q1"], reach), min(spread["q3"], reach)]
    if ends[1] > ends[0]:
        axes.plot(ends, [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
        axes.plot(ends, [y, y], "|", color=INK, markersize=4, markeredgewidth=1.1)
    text = cost_text(figures["cpu_ns"]["median"], group["clock"])
    if figures["ratio"]:
        text = f"{figures['ratio']['median']:.2f}  ({text})" if not single else f"{text}  ({_times(group, peer)})"
    cut = "» " if spread["median"] > reach else ""
    axes.annotate(
        cut + text,
        (max(value, ends[1]), y),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontweight=weight,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # where it stands on the reference's line
    )
    axes.annotate(
        find(peer).title,
        (0, y),
        (-5, 0),
        textcoords="offset points",
        va="center",
        ha="right",
        fontweight=weight,
        color=INK if ours else FAINT,
    )


def _spread(group: Group, peer: str, single: bool) -> dict[str, float]:
    """Return what the bar shows: the cost itself in a picture of one workload, else the ratio to the reference."""
    figures: dict[str, Any] = group["peers"][peer]
    spread: dict[str, float] = figures["cpu_ns"] if single or not figures["ratio"] else figures["ratio"]
    return spread


def _times(group: Group, peer: str) -> str:
    ratio = group["peers"][peer]["ratio"]["median"]
    return "the reference" if peer == group["reference"] else f"{ratio:.2f} × {group['reference']}"


def _title(document: dict[str, Any], groups: list[Group]) -> str:
    if not groups:
        return "Nothing was measured"
    if len(groups) == 1:
        return str(groups[0]["title"].replace("`", ""))
    means = document["geometric_mean_to_uvloop"]
    counts = {means[name]["workloads"] for name in OURS if name in means}
    said = []
    for name in OURS:
        if name in means:
            # Means over different workloads are no comparison of the two: then each says over how many it is.
            over = f" (of {means[name]['workloads']})" if len(counts) > 1 else ""
            said.append(f"{find(name).title} {means[name]['ratio']:.2f}{over}")
    return f"{_clock(groups)}, uvloop = 1: {', '.join(said)}" if said else f"{_clock(groups)}, side by side"


def _clock(groups: list[Group]) -> str:
    clocks = {group["clock"] for group in groups}
    named = {"cpu": "CPU time", "wall": "Wall time", "memory": "Memory"}
    return named[clocks.pop()] if len(clocks) == 1 else "Cost" if "memory" in clocks else "Time"


def _subtitles(groups: list[Group]) -> tuple[str, str]:
    how = "peers took turns; bars are medians, whiskers quartiles of the rounds; every answer was checked"
    if len(groups) == 1:
        return f"{_clock(groups)} per {groups[0]['unit']}, less is better", how
    bases = sorted({group["reference"] for group in groups if group["reference"]})
    means = "; the title has geometric means, of so many workloads" if "uvloop" in bases else ""
    return f"per operation, as a share of what {' or '.join(bases) or 'it'} needs, less is better{means}", how


def _footer(document: dict[str, Any], groups: list[Group]) -> str:
    environment = document["environment"]
    said = f"{one_line(environment)} · {environment['date'][:10]} · tideloop bench"
    if any("tideloop+" in group["peers"] for group in groups):
        said += " · Tideloop+: with import tideloop as asyncio; Tideloop: under a program that is not touched"
    return said
