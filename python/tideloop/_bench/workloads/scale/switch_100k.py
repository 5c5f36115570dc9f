"""A task switch while 100,000 tasks are there."""

from __future__ import annotations

from tideloop._bench.crowds import switches
from tideloop._bench.workload import Operations

WORKLOAD = Operations(
    "task switch among 100 tasks, with 100,000 that wait", switches(waiting=100_000), operations=10_000, unit="step"
)
