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
from rich.table import Table

from tideloop._bench import environment
from tideloop._bench.children import Child, Failed
from tideloop._bench.ending import Ending, held_back
from tideloop._bench.noise import Noise
from tideloop._bench.outputs import printed, put
from tideloop._bench.peers import find
from tideloop._bench.progress import progress
from tideloop._bench.report import NO_CONCLUSION, Printer
from tideloop._bench.results import ROUNDS_FOR_QUARTILES, counted
from tideloop._bench.scaling import predicted, serial_share
from tideloop._bench.scaling.process import COUNTER_BYTES
from tideloop._bench.statistics import spread
from tideloop._bench.workload import WrongAnswer, check

__all__ = ["document", "main"]

ROUNDS, QUICK_ROUNDS = 11, 3
SLICE_S, QUICK_SLICE_S = 0.5, 0.2
ANSWER_LIMIT_S = 30.0

#: Jobs per second by number of workers.
Round = dict[int, float]


def main(options: Namespace, end: Ending) -> int:
    """Run `tideloop bench scaling`; return its exit status. A signal ends it with the rounds that are finished."""
    processors = len(os.sched_getaffinity(0))
    workers = options.workers or max(2, processors)
    rounds, slice_s = (QUICK_ROUNDS, QUICK_SLICE_S) if options.quick else (ROUNDS, SLICE_S)
    around = environment.describe([find("tideloop")], [], environment.placement())
    around["load_before"] = environment.load()
    noise = Noise(os.sched_getaffinity(0), min(os.sched_getaffinity(0)))
    done: list[Round] = []
    try:
        _measure(done, workers, rounds, slice_s, noise)
    except KeyboardInterrupt:
        pass
    except (Failed, WrongAnswer) as failure:
        print(f"tideloop bench scaling: {failure}", file=sys.stderr)
        return 1
    around["load_after"] = environment.load()
    plan = {"quick": options.quick, "rounds": rounds, "slice_s": slice_s, "workers": workers}
    complete = _give(options, document(done, processors, noise.report(), around, plan))
    return end.status or int(not complete or not done)


def _give(options: Namespace, found: dict[str, Any]) -> bool:
    """Write all that was asked for, each by itself; return whether all of it could be written."""
    complete = True
    if options.json:
        complete &= put(options.json, lambda file: file.write_text(json.dumps(found, indent=1) + "\n"))
    complete &= printed(lambda: _show(found))
    if options.plot and not found["points"]:
        print(f"nothing was measured: {options.plot} is not drawn", file=sys.stderr)
    elif options.plot:
        from tideloop._bench.scaling.plot import draw

        if put(options.plot, lambda file: draw(found, file)):
            print(f"picture: {options.plot}", file=sys.stderr)
        else:
            complete = False
    return complete


def _measure(done: list[Round], workers: int, rounds: int, slice_s: float, noise: Noise) -> None:
    """Add to `done` the jobs per second of 1 to `workers` workers in each round, as soon as it is finished."""
    counts = list(range(1, workers + 1))
    with ExitStack() as stack:
        shared = stack.enter_context(tempfile.NamedTemporaryFile(prefix="tl-"))
        processes = []
        for _ in counts:
            with held_back():
                processes.append(Child("scaling.process", (), tideloop=True, shared=shared.name))
                stack.callback(processes[-1].stop)
        for process in processes:
            process.ready()
        total = _together(processes, slice_s / 4)[0]  # to warm up
        with progress(rounds) as advance:
            for number in range(rounds):
                say = advance(number, f"round {number + 1} of {rounds}")
                noise.spin()
                rates: Round = {}
                # Up and down in turn, so that what changes in time changes nothing in the comparison.
                for count in counts if number % 2 == 0 else reversed(counts):
                    say(counted(count, "worker"), 0.0)
                    jobs, rates[count] = _together(processes[:count], slice_s)
                    total += jobs
                done.append(rates)
        seen = int.from_bytes(Path(shared.name).read_bytes()[:COUNTER_BYTES], "little")
        check(seen == total, f"{total} jobs were done, and {seen} counted: two were in the serial section at once")


def _together(processes: list[Child], seconds: float) -> tuple[int, float]:
    """Have workers work at the same time; return how many jobs they did, and how many per second."""
    for process in processes:
        process.tell(seconds=seconds)
    answers = [process.answer(ANSWER_LIMIT_S + seconds) for process in processes]
    return sum(each["jobs"] for each in answers), sum(each["jobs"] * 1e9 / each["wall_ns"] for each in answers)


def document(
    done: list[Round], processors: int, noise: dict[str, Any], around: dict[str, Any], plan: dict[str, Any]
) -> dict[str, Any]:
    """Return all that was found as a JSON object."""
    points: list[dict[str, Any]] = []
    for number in sorted(done[0]) if done else []:
        per_s = [rates[number] for rates in done]
        speed_ups = [rates[number] / rates[1] for rates in done]
        speed_up = spread(speed_ups)
        points.append(
            {
                "workers": number,
                "jobs_per_s": spread(per_s).median,
                "speed_up": speed_up.median,
                "q1": speed_up.q1,
                "q3": speed_up.q3,
                "rounds": [
                    {"jobs_per_s": round(rate, 1), "speed_up": round(times, 3)}
                    for rate, times in zip(per_s, speed_ups, strict=True)
                ],
            }
        )
    # Where workers outnumber processors they wait for those too, of which the law knows nothing.
    fitted = {point["workers"]: point["speed_up"] for point in points if 1 < point["workers"] <= processors}
    share = serial_share(fitted) if fitted else None
    for point in points:
        point["fitted"] = predicted(share, point["workers"]) if share is not None else None
    return {
        "environment": around,
        "plan": plan,
        "processors": processors,
        "rounds": len(done),
        "points": points,
        "serial_share": share,
        "noise": noise,
        "conclusive": bool(done) and not noise["seen"],
    }


def _show(found: dict[str, Any]) -> None:
    console = Printer(highlight=False)
    points, share = found["points"], found["serial_share"]
    if not points:
        console.print("not one round was finished")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("workers", "jobs/s", "speed-up", "quartiles", "Amdahl"):
        table.add_column(heading, justify="right", no_wrap=True)
    for point in points:
        fitted = f"{point['fitted']:.2f}" if point["fitted"] is not None else "–"
        quartiles = f"{point['q1']:.2f} – {point['q3']:.2f}" if found["rounds"] >= ROUNDS_FOR_QUARTILES else "–"
        row = (f"{point['jobs_per_s']:,.0f}", f"{point['speed_up']:.2f}", quartiles, fitted)
        table.add_row(str(point["workers"]), *row)
    console.print(table)
    if found["rounds"] < found["plan"]["rounds"]:
        console.print(f"interrupted after {counted(found['rounds'], 'round')} of {found['plan']['rounds']}")
    if share is None:
        console.print("one processor: there is nothing to fit Amdahl's law to")
    else:
        limit = f"no number of workers is faster than {1 / share:.1f} ×" if share else "nothing limits it here"
        console.print(f"serial share {share:.1%}, fitted by least squares: {limit}", soft_wrap=True)
    if points[-1]["workers"] > found["processors"] > 1:
        there = f"there are {found['processors']} processors"
        console.print(f"{there}: rows beyond are not in the fit", soft_wrap=True)
    console.print(environment.one_line(found["environment"]), soft_wrap=True)
    for what in found["noise"]["seen"]:
        console.print(f"warning: {what}: {NO_CONCLUSION}", style="yellow", soft_wrap=True)
