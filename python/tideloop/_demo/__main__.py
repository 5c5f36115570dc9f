"""`python -m tideloop._demo`: measures the loops in turn, prints a table, draws a picture; under a minute."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tideloop._demo.server import PEERS, Server, missing, only_on, version

Results = dict[str, dict[str, list[dict[str, float]]]]

LOAD = Path(__file__).with_name("load.py")
#: What is asked for, and what to call it in the picture.
ROUTES = {"/": "hello", "/squares": "ten tasks, JSON"}
FIGURES = ("requests_per_s", "server_cpu_us", "load_cpu_us", "p50_ms", "p99_ms")
WARM_UP_S = 0.25


def main() -> int:
    """Run the demo; return 0, or 1 if something is missing without which it cannot run."""
    options = _options()
    if not sys.platform.startswith("linux"):
        print("the demo reads processor times from Linux's /proc, and its load uses epoll", file=sys.stderr)
        return 1
    program = options.app or _find_application()
    if program is None or not program.is_file():
        print(
            "the demo needs examples/aiohttp_app.py: run it in the source tree, or name it with --app", file=sys.stderr
        )
        return 1
    if find_spec("aiohttp") is None:
        print("the demo needs aiohttp: pip install aiohttp", file=sys.stderr)
        return 1
    skipped = {peer: reason for peer in PEERS if (reason := missing(peer))}
    for peer, reason in skipped.items():
        print(f"{peer} is left out: {reason}", file=sys.stderr)
    peers = [peer for peer in PEERS if peer not in skipped]
    results = _measure(options, program, peers)
    report = _report(options, peers, skipped, results)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print_table(report)
    if find_spec("matplotlib") is None:
        print("no picture: matplotlib is not installed", file=sys.stderr)
    else:
        from tideloop._demo.plot import draw

        options.output.parent.mkdir(parents=True, exist_ok=True)
        draw(report, options.output)
        print(f"picture: {options.output.resolve()}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tideloop._demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load per loop and route, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--route", action="append", help=f"a path to ask for; by default {' and '.join(ROUTES)}")
    parser.add_argument("--app", type=Path, help="by default examples/aiohttp_app.py")
    parser.add_argument("--output", type=Path, default=Path("build/demo.png"), help="the picture, a PNG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    options.route = options.route or list(ROUTES)
    return options


def _find_application() -> Path | None:
    """The example is part of the source tree, not of the package: look here, then where the package is developed."""
    folders = (Path.cwd(), *Path(__file__).parents)
    return next((found for folder in folders if (found := folder / "examples" / "aiohttp_app.py").is_file()), None)


# --- measuring --------------------------------------------------------------------------------------------------------


def _measure(options: argparse.Namespace, program: Path, peers: list[str]) -> Results:
    """Put the load on each server in turn, round after round, and return what each round gave."""
    server_on, load_on = _processors()
    results: Results = {path: {peer: [] for peer in peers} for path in options.route}
    with ExitStack() as stack:
        servers = {}
        for peer in peers:
            servers[peer] = Server(peer, program, server_on)
            stack.callback(servers[peer].stop)
        advance = stack.enter_context(_progress(options.rounds * len(peers) * len(options.route)))
        for number in range(options.rounds):
            for path in options.route:
                # The order changes from round to round, so that no loop always follows the same one.
                for peer in peers if number % 2 == 0 else reversed(peers):
                    advance(f"{peer}, {path}")
                    seconds = options.seconds / options.rounds
                    results[path][peer].append(_one_round(servers[peer], path, options.connections, seconds, load_on))
    return results


def _one_round(server: Server, path: str, connections: int, seconds: float, processor: int | None) -> dict[str, float]:
    command = [sys.executable, "-I", str(LOAD), server.url + path, "--pid", str(server.process.pid)]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--warm-up", str(WARM_UP_S)]
    with only_on(processor):
        load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output, _ = load.communicate()
    if load.returncode != 0:
        raise SystemExit(f"the load on {server.peer} failed")
    result: dict[str, float] = json.loads(output)
    return result


def _processors() -> tuple[int | None, int | None]:
    """One processor for the servers and another for the load, far apart in number: close ones may share a core."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show how far it is; gives a function to call with what is done next."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        done = 0

        def say(what: str) -> None:
            nonlocal done
            done += 1
            print(f"{done} of {total}: {what}", file=sys.stderr)

        yield say
        return
    columns = (TextColumn("[bold]demo"), BarColumn(), TextColumn("{task.description:<20}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        started = False

        def advance(what: str) -> None:
            nonlocal started
            progress.update(task, description=what, advance=1 if started else 0)
            started = True

        yield advance


# --- saying -----------------------------------------------------------------------------------------------------------


def _report(options: argparse.Namespace, peers: list[str], skipped: dict[str, str], results: Results) -> dict[str, Any]:
    routes = {
        path: {
            peer: {name: statistics.median(each[name] for each in rounds) for name in FIGURES} | {"rounds": rounds}
            for peer, rounds in by_peer.items()
        }
        for path, by_peer in results.items()
    }
    versions = {"Python": platform.python_version(), "aiohttp": version("aiohttp")}
    versions |= {peer: version(peer) for peer in peers if version(peer)}
    return {
        "routes": routes,
        "labels": ROUTES,
        "peers": peers,
        "skipped": skipped,
        "connections": options.connections,
        "rounds": options.rounds,
        "versions": versions | {platform.system(): platform.release()},
    }


HEADINGS = ("", "requests/s", "ratio", "server CPU", "ratio", "p50", "p99")


def _rows(report: dict[str, Any]) -> Iterator[list[str]]:
    """The table's rows; those with one cell name the request."""
    for path, by_peer in report["routes"].items():
        yield [f"GET {path}"]
        base = by_peer["asyncio"]
        for peer, result in by_peer.items():
            yield [
                f"  {peer}",
                f"{result['requests_per_s']:,.0f}",
                f"{result['requests_per_s'] / base['requests_per_s']:.2f}",
                f"{result['server_cpu_us']:.1f} µs",
                f"{result['server_cpu_us'] / base['server_cpu_us']:.2f}",
                _milliseconds(result["p50_ms"]),
                _milliseconds(result["p99_ms"]),
            ]


def _milliseconds(value: float) -> str:
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"


def _print_table(report: dict[str, Any]) -> None:
    title = f"aiohttp, {report['connections']} connections, medians of {report['rounds']} rounds, ratios to asyncio"
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title)
        for first, *rest in [list(HEADINGS), *_rows(report)]:
            print(f"{first:<14}" + "".join(f"{cell:>15}" for cell in rest))
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in _rows(report):
        if len(row) == 1:
            table.add_section()
        style = "dim" if len(row) == 1 else "bold" if row[0].strip() == "tideloop" else None
        table.add_row(*row, style=style)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
