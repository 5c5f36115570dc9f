"""The picture of `tideloop bench scaling`: measured speed-ups, the fitted law, and the ideal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tideloop._bench.environment import one_line
from tideloop._bench.plot import FAINT, INK, STRONG
from tideloop._bench.results import ROUNDS_FOR_QUARTILES
from tideloop._bench.scaling import predicted

__all__ = ["draw", "ticks"]

STEPS_PER_WORKER = 20
TICKS_MAX = 16


def ticks(most: int) -> list[int]:
    """Return the numbers of workers that the axis names: all, or so few that they can be read."""
    step = -(-most // TICKS_MAX)
    return [1, *range(max(2, step), most + 1, step)]


def draw(document: dict[str, Any], output: Path) -> None:
    """Write the picture as a PNG or SVG file, by its ending. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points, share = document["points"], document["serial_share"]
    most = points[-1]["workers"]
    along = [1 + step / STEPS_PER_WORKER for step in range((most - 1) * STEPS_PER_WORKER + 1)]
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK}):
        figure, axes = pyplot.subplots(figsize=(9, 6), dpi=160)
        axes.plot([1, most], [1, most], linestyle=(0, (4, 4)), color=FAINT, linewidth=1.2, label="nothing serial")
        if share is not None:
            fit = [predicted(share, n) for n in along]
            axes.plot(along, fit, color=INK, linewidth=1.6, label=f"Amdahl's law, serial share {share:.1%}")
        middle = [point["speed_up"] for point in points]
        errors = [
            [point["speed_up"] - point["q1"] for point in points],
            [point["q3"] - point["speed_up"] for point in points],
        ]
        workers = [point["workers"] for point in points]
        size = 9 if most <= TICKS_MAX else 5
        style: dict[str, Any] = {"color": STRONG, "ecolor": STRONG, "markersize": size, "capsize": 4, "linewidth": 1.4}
        if document["rounds"] >= ROUNDS_FOR_QUARTILES:
            axes.errorbar(workers, middle, errors, fmt="o", label="measured: median, quartiles", **style)
        else:
            axes.errorbar(workers, middle, fmt="o", label="measured", **style)
        axes.set_xlabel("worker processes")
        axes.set_ylabel("speed-up")
        axes.set_xticks(ticks(most))
        beside = max(0.2, (most - 1) * 0.03)  # room for the markers at the ends
        axes.set_xlim(1 - beside, most + beside)
        axes.set_ylim(0, 1.05 * max([most, *(point["q3"] for point in points)]))
        axes.grid(color="#E9ECEF")
        axes.set_axisbelow(True)
        axes.spines[["right", "top"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left")
        axes.set_title("A mixed program on more workers", loc="left", fontsize=17, fontweight="bold", pad=34)
        what = "jobs that wait 2 ms, compute, and do a fifth of their work under one lock, on Tideloop"
        axes.text(0, 1.045, what, transform=axes.transAxes, fontsize=10.5, color=FAINT)
        note = "" if document["conclusive"] else "\nmeasured on a noisy machine: these figures support no conclusion"
        figure.subplots_adjust(left=0.08, right=0.97, top=0.84, bottom=0.17)
        figure.text(0.02, 0.02, one_line(document["environment"]) + note, fontsize=7.5, color=FAINT)
        figure.savefig(output)
        pyplot.close(figure)
