"""Run the rows of a file of workloads in sections that a watching callgrind tells apart (see measure.py).

    python sections.py WORKLOADS.py        prints a line of JSON: [[row, [operations of each of its sections]], …]

Two system calls that nobody else makes are the marks: callgrind sets its count to zero on entry to the first, and
writes it down on entry to the second.
"""

import gc
import json
import os
import runpy
import sys
from typing import Any

import tideloop

# What happens now and then, as a pool that grows, happens in one of them, and the least of each size counts.
SECTIONS_OF_EACH_SIZE = 3
begin, end = os.getpgrp, os.getppid


async def run(rows: dict[str, Any]) -> list[tuple[str, list[int]]]:
    done = []
    for name, row in rows.items():
        sizes = row.sizes * SECTIONS_OF_EACH_SIZE
        async with row.given as given:
            # Pools are filled and bytecode is specialised before anything counts.
            await row.work(given, max(sizes))
            for size in sizes:
                gc.collect()
                begin()
                await row.work(given, size)
                end()
        done.append((name, [size * row.operations for size in sizes]))
    return done


def main() -> None:
    gc.disable()
    print(json.dumps(tideloop.run(run(runpy.run_path(sys.argv[1])["ROWS"]))))


if __name__ == "__main__":
    main()
