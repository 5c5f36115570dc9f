"""What the benchmarks here share: which loops there are, a process of its own for each, and a table of the results.

A benchmark is a script with a function `measure(name, options)` that gives the figures of one loop as a dictionary;
`run` calls it in a fresh process per loop, so that no loop sees what another left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any

LOOPS = ("asyncio", "uvloop", "rloop", "tideloop")
Figures = dict[str, Any]


def new_event_loop(name: str) -> asyncio.AbstractEventLoop:
    """Make a loop of the kind that is named."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    loop: asyncio.AbstractEventLoop = importlib.import_module(name).new_event_loop()
    return loop


def missing(name: str) -> bool:
    try:
        return find_spec("tideloop._native" if name == "tideloop" else name) is None
    except ImportError:
        return True


def run(
    script: str,
    description: str,
    measure: Callable[[str, argparse.Namespace], Figures],
    columns: dict[str, tuple[str, str]],
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    names: Sequence[str] = LOOPS,
) -> None:
    """Run a benchmark's command line.

    `columns` maps a figure's key to its heading and its format. Of a figure that is a list the median is shown.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("loop", nargs="*", help=f"of {', '.join(names)}; by default all that are installed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", metavar="LOOP", help=argparse.SUPPRESS)  # the process of one loop
    add_options(parser)
    options = parser.parse_args()
    if options.one:
        json.dump(measure(options.one, options), sys.stdout)
        return
    results: dict[str, Figures] = {}
    for name in options.loop or names:
        if name in LOOPS and missing(name):
            print(f"{name} is left out: not installed", file=sys.stderr)
            continue
        command = [sys.executable, script, "--one", name, *(word for word in sys.argv[1:] if word not in options.loop)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            print(f"{name} failed with status {done.returncode}", file=sys.stderr)
            continue
        results[name] = json.loads(done.stdout)
    if options.json:
        print(json.dumps({"python": platform.python_version(), "loops": results}, indent=2))
    else:
        print(f"{description} Python {platform.python_version()}.")
        print_table(["", *(heading for heading, _ in columns.values())], rows(results, columns))


def rows(results: dict[str, Figures], columns: dict[str, tuple[str, str]]) -> Iterable[list[str]]:
    """The table's rows: a loop's name and its figures, a dash where one has none."""
    for name, figures in results.items():
        row = [name]
        for key, (_, form) in columns.items():
            value = figures.get(key)
            if isinstance(value, list):
                value = statistics.median(value)
            row.append("-" if value is None else format(value, form))
        yield row


def print_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print rows of text with the first column to the left and the others to the right."""
    table = [headings, *lines]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        first, *rest = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
