"""Measuring 1 to n workers in turn, and saying what came of it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tideloop._bench import environment
from tideloop._bench.children import Child, Failed
from tideloop._bench.noise import Noise
from tideloop._bench.peers import find
from tideloop._bench.progress import progress
from tideloop._bench.report import NO_CONCLUSION
from tideloop._bench.scaling import predicted, serial_share
from tideloop._bench.scaling.process import COUNTER_BYTES
from tideloop._bench.statistics import spread
from tideloop._bench.workload import WrongAnswer, check

__all__ = ["main"]

ROUNDS, QUICK_ROUNDS = 11, 3
SLICE_S, QUICK_SLICE_S = 0.5, 0.2
ANSWER_LIMIT_S = 30.0
INTERRUPTED = 130


def main(options: Namespace) -> int:
    """Run `tideloop bench scaling`; return its exit status."""
    processors = len(os.sched_getaffinity(0))
    workers = options.workers or max(2, processors)
    rounds, slice_s = (QUICK_ROUNDS, QUICK_SLICE_S) if options.quick else (ROUNDS, SLICE_S)
    noise = Noise(os.sched_getaffinity(0), min(os.sched_getaffinity(0)))
    try:
        rates = _measure(workers, rounds, slice_s, noise)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Failed, WrongAnswer) as failure:
        print(f"tideloop bench scaling: {failure}", file=sys.stderr)
        return 1
    document = _document(rates, processors, noise.report())
    _show(document)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.plot:
        from tideloop._bench.scaling.plot import draw

        draw(document, options.plot)
        print(f"picture: {options.plot}", file=sys.stderr)
    return 0


def _measure(workers: int, rounds: int, slice_s: float, noise: Noise) -> dict[int, list[float]]:
    """Return the jobs per second of 1 to `workers` workers in each round."""
    rates: dict[int, list[float]] = {number: [] for number in range(1, workers + 1)}
    with ExitStack() as stack:
        shared = stack.enter_context(tempfile.NamedTemporaryFile(prefix="tl-"))
        processes = []
        for _ in range(workers):
            processes.append(Child("scaling.process", (), tideloop=True, shared=shared.name))
            stack.callback(processes[-1].stop)
        for process in processes:
            process.ready()
        total = _together(processes, slice_s / 4)[0]  # to warm up
        with progress(rounds) as advance:
            for number in range(rounds):
                say = advance(number, f"round {number + 1} of {rounds}")
                noise.spin()
                # Up and down in turn, so that what changes in time changes nothing in the comparison.
                for count in rates if number % 2 == 0 else reversed(rates):
                    say(f"{count} workers", 0.0)
                    jobs, per_s = _together(processes[:count], slice_s)
                    rates[count].append(per_s)
                    total += jobs
        counted = int.from_bytes(Path(shared.name).read_bytes()[:COUNTER_BYTES], "little")
        check(
            counted == total, f"{total} jobs were done, and {counted} counted: two were in the serial section at once"
        )
    return rates


def _together(processes: list[Child], seconds: float) -> tuple[int, float]:
    """Have workers work at the same time; return how many jobs they did, and how many per second."""
    for process in processes:
        process.tell(seconds=seconds)
    answers = [process.answer(ANSWER_LIMIT_S + seconds) for process in processes]
    return sum(each["jobs"] for each in answers), sum(each["jobs"] * 1e9 / each["wall_ns"] for each in answers)


def _document(rates: dict[int, list[float]], processors: int, noise: dict[str, Any]) -> dict[str, Any]:
    """Return all that was found as a JSON object."""
    points: list[dict[str, Any]] = []
    for number, per_s in rates.items():
        speed_up = spread([rate / alone for rate, alone in zip(per_s, rates[1], strict=True)])
        points.append(
            {
                "workers": number,
                "jobs_per_s": spread(per_s).median,
                "speed_up": speed_up.median,
                "q1": speed_up.q1,
                "q3": speed_up.q3,
            }
        )
    # Where workers outnumber processors they wait for those too, of which the law knows nothing.
    fitted = {point["workers"]: point["speed_up"] for point in points if 1 < point["workers"] <= processors}
    share = serial_share(fitted) if fitted else None
    for point in points:
        point["fitted"] = predicted(share, point["workers"]) if share is not None else None
    return {
        "environment": environment.describe([find("tideloop")], [], environment.placement()),
        "processors": processors,
        "points": points,
        "serial_share": share,
        "noise": noise,
        "conclusive": not noise["seen"],
    }


def _show(document: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("workers", "jobs/s", "speed-up", "quartiles", "Amdahl"):
        table.add_column(heading, justify="right", no_wrap=True)
    for point in document["points"]:
        fitted = f"{point['fitted']:.2f}" if point["fitted"] is not None else "–"
        quartiles = f"{point['q1']:.2f} – {point['q3']:.2f}"
        row = (f"{point['jobs_per_s']:,.0f}", f"{point['speed_up']:.2f}", quartiles, fitted)
        table.add_row(str(point["workers"]), *row)
    console.print(table)
    share = document["serial_share"]
    if share is None:
        console.print("one processor: there is nothing to fit Amdahl's law to")
    else:
        limit = f"no number of workers is faster than {1 / share:.1f} ×" if share else "nothing limits it here"
        console.print(f"serial share {share:.1%}, fitted by least squares: {limit}", soft_wrap=True)
    if document["points"][-1]["workers"] > document["processors"]:
        console.print(f"there are {document['processors']} processors: rows beyond are not in the fit", soft_wrap=True)
    console.print(environment.one_line(document["environment"]), soft_wrap=True)
    for what in document["noise"]["seen"]:
        console.print(f"warning: {what}: {NO_CONCLUSION}", style="yellow", soft_wrap=True)
