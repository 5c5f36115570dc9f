"""The pictures of a run: what an operation costs on each peer, a group of bars per workload."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

from tideloop._bench.captions import Group, footer, plain, subtitles, title
from tideloop._bench.peers import find
from tideloop._bench.results import ROUNDS_FOR_QUARTILES, cost_text

__all__ = ["FAINT", "INK", "STRONG", "WARNING", "draw", "files", "parts", "shown"]

#: Ours in one strong colour, pale without its names; everybody else in greys.
STRONG = "#D9480F"
OURS = {"tideloop": "#F0966B", "tideloop+": STRONG}
GREYS = {"asyncio": "#D5D9DD", "uvloop": "#868E96", "rloop": "#ADB5BD", "zuvloop": "#C3C9CF", "raw_epoll": "#5C636A"}
OTHER = "#B8BEC4"
INK, FAINT = "#1B1F23", "#6A737D"
WARNING = "#B02A2A"
WIDTH_IN, MARGIN_IN, NAMES_IN = 12.0, 0.3, 0.8
BAR_IN, LINE_IN, PAD_IN, GAP_IN, HEAD_IN = 0.21, 0.19, 0.08, 0.2, 1.35
FOOT_IN, FOOT_LINE_IN = 0.6, 0.14
#: What one character takes at most, on average: of a workload's title, a reason, the picture's title, the footer.
BOLD_IN, PLAIN_IN, TITLE_IN, SMALL_IN = 0.08, 0.076, 0.155, 0.064
#: What fits on a page that is shown to others.
GROUPS_MAX = 12
GROUPS_OF_ONE_COLUMN = 4
#: How far a column reaches, as a multiple of the reference; a longer bar is cut, and its end says so.
REACH_MAX = 2.5

T = TypeVar("T")


def shown(document: dict[str, Any]) -> list[Group]:
    """Return the workloads of a run that there is something to draw of."""
    return [group for group in document["workloads"].values() if group["peers"] or group["failed"]]


def parts(workloads: Iterable[T], folder: Callable[[T], str]) -> list[list[T]]:
    """Spread workloads over pictures, in order: all in one if they fit; else those of a folder stay together."""
    found: list[list[T]] = []
    for _, group in groupby(workloads, folder):
        together = list(group)
        count = -(-len(together) // GROUPS_MAX)
        for part in _even(together, count):
            if found and len(found[-1]) + len(part) <= GROUPS_MAX:
                found[-1] += part
            else:
                found.append(part)
    return found


def files(plot: Path, count: int) -> list[Path]:
    """Return the names of so many pictures: picture.png, picture-2.png, and so on."""
    return [plot, *(plot.with_stem(f"{plot.stem}-{number}") for number in range(2, count + 1))][:count]


def _even(items: list[T], count: int) -> list[list[T]]:
    """Cut a list into so many pieces that are about equally long, the first ones rather longer."""
    ends = [-(-len(items) * number // count) for number in range(count + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def draw(document: dict[str, Any], groups: list[Group], part: tuple[int, int], output: Path) -> None:
    """Draw workloads of a run (`report.document`) as a PNG or SVG file, by its ending: picture `part` of so many.

    Needs matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    single = len(groups) == 1
    columns = _even(groups, 1 if len(groups) <= GROUPS_OF_ONE_COLUMN else 2)
    share = (WIDTH_IN - MARGIN_IN) / len(columns)
    width = share - MARGIN_IN
    rows_in = max(sum(_height_in(group, width) for group in column) for column in columns)
    notes = [line for text in footer(document, groups, part) for line in _wrapped(text, WIDTH_IN - 0.6, SMALL_IN)]
    foot = FOOT_IN + FOOT_LINE_IN * len(notes)
    height = HEAD_IN + rows_in + foot
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = pyplot.figure(figsize=(WIDTH_IN, height), dpi=160)
        for number, column in enumerate(columns):
            left = MARGIN_IN + share * number + NAMES_IN
            tall = sum(_height_in(group, width) for group in column)
            box = (left / WIDTH_IN, (foot + rows_in - tall) / height, (width - NAMES_IN) / WIDTH_IN, tall / height)
            _draw_column(figure.add_axes(box), document, column, tall, width, single=single)
        left = MARGIN_IN / WIDTH_IN
        size = 17 * min(1.0, (WIDTH_IN - 2 * MARGIN_IN) / TITLE_IN / len(title(groups)))
        figure.text(left, 1 - 0.42 / height, title(groups), fontsize=size, fontweight="bold", va="center")
        for line, text in enumerate(subtitles(groups)):
            figure.text(left, 1 - (0.75 + 0.22 * line) / height, text, fontsize=10.5, color=FAINT, va="center")
        figure.text(left, 0.2 / height, "\n".join(notes), fontsize=7.5, color=FAINT, va="bottom", linespacing=1.3)
        if not document["conclusive"]:
            note = "measured on a noisy machine: these figures support no conclusion"
            figure.text(1 - left, (foot - 0.2) / height, note, fontsize=9, color=WARNING, va="center", ha="right")
        figure.savefig(output)
        pyplot.close(figure)


def _wrapped(text: str, width_in: float, character_in: float) -> list[str]:
    return textwrap.wrap(text, int(width_in / character_in)) or [""]


def _title_in(group: Group, width: float) -> float:
    return LINE_IN * len(_wrapped(plain(group["title"]), width, BOLD_IN)) + PAD_IN


def _height_in(group: Group, width: float) -> float:
    return _title_in(group, width) + BAR_IN * len({**group["peers"], **group["failed"]}) + GAP_IN


def _draw_column(
    axes: Any, document: dict[str, Any], column: list[Group], tall: float, width: float, *, single: bool
) -> None:
    """Draw groups one below another; heights are in inches, so that bars are equally thick everywhere."""
    axes.set_ylim(tall, 0)
    axes.set_axis_off()
    reach = max((_spread(group, peer, single)["q3"] for group in column for peer in group["peers"]), default=1.0)
    reach = reach if single else min(reach, REACH_MAX)
    axes.set_xlim(0, reach * (1.35 if single else 1.55))
    y = 0.0
    for group in column:
        rows = [peer for peer in document["peers"] if peer in group["peers"] or peer in group["failed"]]
        top = y + _title_in(group, width)
        bottom = top + BAR_IN * len(rows)
        if not single:
            text = "\n".join(_wrapped(plain(group["title"]), width, BOLD_IN))
            place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "linespacing": 1.2}
            axes.text(-NAMES_IN / (width - NAMES_IN), top - PAD_IN / 2, text, fontweight="bold", **place)
            if group["reference"]:
                axes.plot([1, 1], [top - 0.02, bottom + 0.02], color=INK, linewidth=0.6, alpha=0.5, zorder=0)
        for number, peer in enumerate(rows):
            middle = top + BAR_IN * (number + 0.5)
            _draw_name(axes, peer, middle)
            if peer in group["peers"]:
                _draw_bar(axes, group, peer, middle, reach, single)
            else:
                _draw_failure(axes, group["failed"][peer], middle, width - NAMES_IN)
        y = bottom + GAP_IN


def _draw_name(axes: Any, peer: str, y: float) -> None:
    ours = find(peer).ours
    axes.annotate(
        find(peer).title,
        (0, y),
        (-5, 0),
        textcoords="offset points",
        va="center",
        ha="right",
        fontweight="bold" if ours else "normal",
        color=INK if ours else FAINT,
    )


def _draw_failure(axes: Any, reason: str, y: float, width: float) -> None:
    text = textwrap.shorten(f"FAILED: {reason}", int(width / PLAIN_IN), placeholder=" …")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.annotate(text, (0, y), (3, 0), textcoords="offset points", va="center", color=WARNING, bbox=box)


def _draw_bar(axes: Any, group: Group, peer: str, y: float, reach: float, single: bool) -> None:
    figures, spread = group["peers"][peer], _spread(group, peer, single)
    weight = "bold" if find(peer).ours else "normal"
    value = min(spread["median"], reach)
    colour = OURS.get(peer) or GREYS.get(peer, OTHER)
    axes.barh(y, value, BAR_IN * 0.82, color=colour)
    ends = [min(spread["q1"], reach), min(spread["q3"], reach)]
    if ends[1] > ends[0] and spread["count"] >= ROUNDS_FOR_QUARTILES:
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


def _spread(group: Group, peer: str, single: bool) -> dict[str, float]:
    """Return what the bar shows: the cost itself in a picture of one workload, else the ratio to the reference."""
    figures: dict[str, Any] = group["peers"][peer]
    spread: dict[str, float] = figures["cpu_ns"] if single or not figures["ratio"] else figures["ratio"]
    return spread


def _times(group: Group, peer: str) -> str:
    ratio = group["peers"][peer]["ratio"]["median"]
    return "the reference" if peer == group["reference"] else f"{ratio:.2f} × {group['reference']}"
