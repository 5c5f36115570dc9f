"""The process that puts a load on one server, on another processor than the server's."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from tideloop._bench import catalogue
from tideloop._bench.workload import Served

__all__ = ["main"]


def main(specification: dict[str, Any], commands: Iterator[dict[str, Any]], say: Callable[..., None]) -> None:
    """Connect to the address of the specification, then run a slice for each command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    workload = catalogue.load(specification["module"])
    assert isinstance(workload, Served)
    address = specification["address"]
    load = workload.load
    load.connect(address if isinstance(address, str) else (address[0], address[1]))
    say(ready=True)
    gc.freeze()
    for command in commands:
        begun = time.perf_counter_ns()
        measured = load.run(command["seconds"])
        wall_ns = measured.wall_ns or time.perf_counter_ns() - begun
        say(operations=measured.operations, wall_ns=wall_ns, latencies=measured.latencies.pairs())
    load.close()
