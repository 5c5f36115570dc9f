"""The demo's picture: requests per second, processor time and latency of each loop, a row of panels per request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw"]

#: Distinguishable with every kind of colour blindness, and in grey (after Okabe and Ito).
COLOURS = {"asyncio": "#A6A6A6", "uvloop": "#56B4E9", "tideloop": "#D55E00"}
NAMES = {"asyncio": "asyncio", "uvloop": "uvloop", "tideloop": "Tideloop"}
INK, FAINT = "#1F1F1F", "#666666"
BAR = 0.72
WIDTH_IN, HEAD_IN, ROW_IN, FOOT_IN = 13.0, 1.9, 2.0, 0.55

#: Key, what it is, how it is written. The last one is drawn together with its 99th percentile.
MEASURES = (
    ("requests_per_s", "Requests per second", "more is better"),
    ("server_cpu_us", "Server CPU per request", "µs, less is better"),
    ("p50_ms", "Latency, median and 99 %", "ms, less is better"),
)


def draw(report: dict[str, Any], output: Path) -> None:
    """Write the picture of a report of `python -m tideloop._demo` as a PNG file. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    routes: dict[str, Any] = report["routes"]
    height = HEAD_IN + ROW_IN * len(routes) + FOOT_IN
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK}):
        figure, grid = pyplot.subplots(len(routes), 3, figsize=(WIDTH_IN, height), dpi=150, squeeze=False)
        for row, (path, results) in enumerate(routes.items()):
            for column, (key, _, _) in enumerate(MEASURES):
                axes = grid[row][column]
                _bars(axes, results, key)
                if column:
                    axes.set_yticklabels([])
            name = f"GET {path}   {report['labels'].get(path, '')}"
            grid[row][0].set_title(name, loc="left", fontsize=11, pad=4, x=-0.235)
        left, right, top = 0.085, 0.985, 1 - (HEAD_IN + 0.1) / height
        figure.subplots_adjust(left=left, right=right, top=top, bottom=FOOT_IN / height, wspace=0.09, hspace=0.28)
        for column, (_, title, sense) in enumerate(MEASURES):
            box = grid[0][column].get_position()
            figure.text(box.x0, 1 - 1.33 / height, title, fontsize=13, fontweight="bold")
            figure.text(box.x0, 1 - 1.55 / height, sense, fontsize=10, color=FAINT)
        figure.text(0.015, 1 - 0.5 / height, _title(report), fontsize=17, fontweight="bold")
        figure.text(0.015, 1 - 0.85 / height, _subtitle(report), fontsize=11, color=FAINT)
        figure.text(0.015, 0.16 / height, _footer(report), fontsize=9, color=FAINT)
        figure.savefig(output)
        pyplot.close(figure)


def _bars(axes: Any, results: dict[str, Any], key: str) -> None:
    """One measure of one request: a bar per loop with its value, a dot per round; for latency, on to 99 %."""
    reach = {}
    for position, (peer, result) in enumerate(results.items()):
        colour = COLOURS[peer]
        style = {"fontweight": "bold"} if peer == "tideloop" else {}
        if key == "p50_ms":
            axes.barh(position, result["p99_ms"], BAR, color=colour, alpha=0.35)
            text = f"{_number(result['p50_ms'])} – {_number(result['p99_ms'])}"
            reach[peer] = result["p99_ms"]
        else:
            text = _number(result[key])
            reach[peer] = max(result[key], *(each[key] for each in result["rounds"]))
        axes.barh(position, result[key], BAR, color=colour)
        if key != "p50_ms":
            values = [each[key] for each in result["rounds"]]
            axes.plot(values, [position] * len(values), "o", color=INK, markersize=3, alpha=0.5, markeredgewidth=0)
        axes.annotate(text, (reach[peer], position), (6, 0), textcoords="offset points", va="center", **style)
    axes.set_yticks(range(len(results)), [NAMES[peer] for peer in results])
    axes.invert_yaxis()
    axes.set_xlim(0, max(reach.values()) * (1.42 if key == "p50_ms" else 1.24))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["right", "top", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(FAINT)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _title(report: dict[str, Any]) -> str:
    """What the processor times say, whichever way they went; they are the figures that noise disturbs least."""
    others = [peer for peer in report["peers"] if peer != "tideloop"]
    if len(others) == len(report["peers"]):
        return "One aiohttp application on " + " and ".join(NAMES[peer] for peer in others)
    said = []
    for peer in others:
        pairs = [
            (route["tideloop"]["server_cpu_us"], route[peer]["server_cpu_us"]) for route in report["routes"].values()
        ]
        said.append(f"{_range([ours / theirs for ours, theirs in pairs])} than {NAMES[peer]}")
    return "aiohttp on Tideloop, CPU time: " + ", ".join(said)


def _range(ratios: list[float]) -> str:
    """Say by how much less, or more, processor time a request took."""
    percent = sorted(round(100 * (1 - ratio)) for ratio in ratios)
    if percent[0] < 0 < percent[-1]:
        return f"{-percent[0]} % more to {percent[-1]} % less"
    sizes = sorted({abs(number) for number in percent})
    return f"{' to '.join(map(str, sizes[:: max(1, len(sizes) - 1)]))} % {'less' if percent[-1] > 0 else 'more'}"


def _subtitle(report: dict[str, Any]) -> str:
    return (
        f"The same unchanged program under the same load: {report['connections']} connections, every answer checked, "
        f"loops in turn, median of {report['rounds']} rounds (dots)"
    )


def _footer(report: dict[str, Any]) -> str:
    versions = " · ".join(f"{name} {version}" for name, version in report["versions"].items())
    return f"{versions} · server and load on one processor each"
