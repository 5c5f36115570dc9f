"""The results as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tideloop._bench.environment import one_line
from tideloop._bench.peers import Peer, find
from tideloop._bench.results import (
    ROUNDS_FOR_QUARTILES,
    Figures,
    Result,
    cost_text,
    counted,
    geometric_means,
    time_text,
)

__all__ = ["NO_CONCLUSION", "Printer", "document", "headline", "show"]

NO_CONCLUSION = "figures of this run support no conclusion"
OURS_STYLE = "bold"
#: A file or a pipe has no width of its own; a table that is cut off is none.
WIDTH_MIN = 120
WIDTH_UNLIMITED = 1000
PEER_WIDTH = 12
COLUMNS = ("cost", "ratio", "quartiles", "throughput", "p50", "p99", "p99.9", "memory")
#: Left out in this order where a terminal is too narrow; cost and ratio always stay.
LESS_IMPORTANT = ("quartiles", "p99.9", "memory", "throughput", "p50", "p99")


def document(
    results: list[Result], environment: dict[str, Any], peers: list[Peer], missing: dict[str, str]
) -> dict[str, Any]:
    """Return the whole run as a JSON object."""
    means = geometric_means(results)
    return {
        "environment": environment,
        "peers": {peer.name: peer.title for peer in peers},
        "missing_peers": missing,
        "conclusive": any(result.peers for result in results) and all(result.conclusive for result in results),
        "geometric_mean_to_uvloop": {
            peer: {"ratio": mean, "workloads": count} for peer, (mean, count) in means.items()
        },
        "workloads": {result.name: result.as_json() for result in results},
    }


def show(results: list[Result], environment: dict[str, Any], missing: dict[str, str]) -> None:
    """Print a table for each workload, and then what the reader must know before believing them."""
    console = Printer(highlight=False)
    if not console.is_terminal and console.width < WIDTH_MIN:
        console = Printer(highlight=False, width=WIDTH_MIN)
    left_out = set().union(*(_show_result(console, result) for result in results))
    _show_means(console, results)
    if left_out:
        columns = ", ".join(column for column in LESS_IMPORTANT if column in left_out)
        console.print(Text(f"a wider terminal shows more: {columns}", style="dim"), soft_wrap=True)
    for line in _remarks(results, environment, missing):
        warns = "warning" in line
        console.print(Text(line, style="yellow" if warns else ""), soft_wrap=True)


class Printer(Console):
    """A console that raises BrokenPipeError where the reader has gone."""

    def on_broken_pipe(self) -> None:
        """Leave the error to who prints: rich would end the whole process."""
        raise


def headline(result: Result) -> str:
    """Return one line that says what was measured, and how well."""
    title = f"{result.name}: {result.title.replace('`', '')}"
    if result.peers:
        return f"{title} ({counted(result.rounds, 'round')}: {result.ended})"
    return title if result.missing else f"{title} ({result.ended})"


def _show_result(console: Console, result: Result) -> set[str]:
    """Print one workload; return which columns the terminal is too narrow for."""
    console.print(Text(headline(result), style="bold"))
    if result.missing:
        console.print(Text(f"  left out: {result.missing}", style="dim"), soft_wrap=True)
    rows = {peer: _cells(figures, result.clock) for peer, figures in result.peers.items()}
    left_out: set[str] = set()
    if rows:
        # A column that nobody has a figure for is not shown: there are no latencies where there are no requests.
        columns = [name for name in _headings(result) if any(cells[name] != "–" for cells in rows.values())]
        table, unlimited = _table(result, rows, columns), console.options.update(max_width=WIDTH_UNLIMITED)
        for name in [name for name in LESS_IMPORTANT if name in columns]:
            if not console.is_terminal or console.measure(table, options=unlimited).maximum <= console.width:
                break
            columns.remove(name)
            left_out.add(name)
            table = _table(result, rows, columns)
        console.print(table)
    for peer, reason in result.failed.items():
        console.print(Text(f"{find(peer).title} FAILED: {reason}", style="bold red"), soft_wrap=True)
    for peer, reason in result.skipped.items():
        console.print(Text(f"{find(peer).title} is left out: {reason}", style="dim"), soft_wrap=True)
    console.print()
    return left_out


def _table(result: Result, rows: dict[str, dict[str, str]], columns: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", min_width=PEER_WIDTH, no_wrap=True)
    headings = _headings(result)
    for name in columns:
        table.add_column(headings[name], justify="right", no_wrap=True)
    for peer, cells in rows.items():
        style = OURS_STYLE if find(peer).ours else ""
        table.add_row(find(peer).title, *(cells[name] for name in columns), style=style)
    return table


def _headings(result: Result) -> dict[str, str]:
    clock = {"cpu": "CPU", "wall": "wall time"}.get(result.clock, result.clock)
    units = "MiB" if result.unit == "MiB" else f"{result.unit}s"
    named = {"cost": f"{clock} per {result.unit}", "ratio": f"× {result.reference}", "throughput": f"{units}/s"}
    return {name: named.get(name, name) for name in COLUMNS}


def _cells(figures: Figures, clock: str) -> dict[str, str]:
    ratio = figures.ratio
    per_s = f"{figures.per_s:,.0f}" if figures.per_s >= 100 else f"{figures.per_s:.3g}"
    return {
        "cost": cost_text(figures.cpu_ns.median, clock),
        "ratio": f"{ratio.median:.2f}" if ratio else "–",
        "quartiles": f"{ratio.q1:.2f} – {ratio.q3:.2f}" if ratio and ratio.count >= ROUNDS_FOR_QUARTILES else "–",
        "throughput": per_s if clock != "memory" else "–",
        **{name: time_text(us * 1e3) if us is not None else "–" for name, us in figures.latency_us.items()},
        "memory": _bytes_text(figures.resident_bytes),
    }


def _bytes_text(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.1f} MiB"


def _show_means(console: Console, results: list[Result]) -> None:
    means = geometric_means(results)
    if sum(bool(result.peers) for result in results) < 2 or not means:
        return
    console.print(Text("geometric mean of the ratios to uvloop", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", min_width=PEER_WIDTH, no_wrap=True)
    for heading in ("× uvloop", "workloads"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, (mean, count) in means.items():
        table.add_row(find(name).title, f"{mean:.3f}", str(count), style=OURS_STYLE if find(name).ours else "")
    console.print(table)
    if len({count for _, count in means.values()}) > 1:
        console.print("means over different workloads cannot be compared with each other\n", soft_wrap=True)


def _remarks(results: list[Result], environment: dict[str, Any], missing: dict[str, str]) -> Iterator[str]:
    yield one_line(environment)
    for name, reason in missing.items():
        yield f"{find(name).title} is left out: {reason}"
    if not environment["python_optimised"]:
        yield "this Python may have been built without --enable-optimizations: a slow one makes loops look alike"
    for what in sorted({result.sharing for result in results if result.sharing and result.peers}):
        yield f"{what}: throughput and latencies are those of both together"
    for result in results:
        for what in result.noise.get("seen", []) if result.peers else []:
            yield f"warning, {result.name}: {what}: {NO_CONCLUSION}"
        for name, text in result.details.items():
            if text and not result.failed.get(name, "").startswith("WrongAnswer"):  # which says all that there is
                yield f"{result.name}, {name}, the end of its standard error:\n{text}"
