"""Run random programs on every kind of loop and names, and compare them with asyncio.

python tests/simulation --programs 20000            in CI, through tools/test_all.py
python tests/simulation --seed 4711 --programs 1    one again
"""

from __future__ import annotations

import argparse
import concurrent.futures
import faulthandler
import itertools
import os
import sys
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulation import compare, kinds

CHUNK = 250
# Where even a signal does not interrupt a program, the process ends with every stack.
CHUNK_SECONDS_MAX = 300
SHOWN_MAX = 3
PROGRESS_SECONDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=1000, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--kind", action="append", choices=list(kinds.KINDS), help="may be repeated; all otherwise")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    tried = args.kind or [kind for kind in kinds.KINDS if kind != kinds.JUDGE]
    first, last = args.seed, args.seed + args.programs
    chunks = [range(start, min(start + CHUNK, last)) for start in range(first, last, CHUNK)]
    if args.jobs == 1 or len(chunks) == 1:
        failures = run_here(chunks, tried)
    else:
        failures = run_in_processes(chunks, tried, args.jobs)
    for seed, kind in failures[:SHOWN_MAX]:
        found = compare.difference(seed, kind) if kind in kinds.KINDS else None
        print(f"\n{compare.smallest(found) if found else f'seed {seed}: {kind}'}", flush=True)
    if failures:
        print(f"\ndifferences: {', '.join(f'{seed} on {kind}' for seed, kind in failures[:100])}")
    failed = len({seed for seed, _ in failures})
    print(f"{args.programs - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_here(chunks: list[range], tried: list[str]) -> list[tuple[int, str]]:
    return list(itertools.chain.from_iterable(run_chunk(chunk, tried) for chunk in chunks))


def run_in_processes(chunks: list[range], tried: list[str], jobs: int) -> list[tuple[int, str]]:
    """The failures of all chunks; a chunk whose process died is one, by its first seed."""
    failures: list[tuple[int, str]] = []
    began = told = time.monotonic()
    done = 0
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(run_chunk, chunk, tried): chunk for chunk in chunks}
        for future in concurrent.futures.as_completed(running):
            chunk = running[future]
            try:
                failures += future.result()
            except BrokenProcessPool:
                failures.append((chunk.start, f"a process died; among these: --seed {chunk.start} --jobs 1"))
            done += len(chunk)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                print(f"{done} programs, {done / (told - began):.0f}/s, {len(failures)} differences", flush=True)
    return sorted(failures)


def run_chunk(seeds: range, tried: list[str]) -> list[tuple[int, str]]:
    """The seeds and kinds that differ from asyncio."""
    # A program may make coroutines that nobody awaits.
    warnings.simplefilter("ignore")
    faulthandler.dump_traceback_later(CHUNK_SECONDS_MAX, exit=True)
    failures: list[tuple[int, str]] = []
    for seed in seeds:
        judge = compare.outcome(compare.program_of(seed), kinds.JUDGE, seed)
        if judge[1]:
            failures.append((seed, f"asyncio itself broke what must hold: {judge[1]}"))
        failures += [(seed, kind) for kind in tried if compare.difference(seed, kind, judge=judge)]
    faulthandler.cancel_dump_traceback_later()
    return failures


if __name__ == "__main__":
    sys.exit(main())
