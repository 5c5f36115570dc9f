"""A task switch while 100 tasks are there."""

from __future__ import annotations

from tideloop._bench.crowds import switches
from tideloop._bench.workload import Operations

WORKLOAD = Operations(
    "task switch among 100 tasks, with 100 that wait", switches(waiting=100), operations=10_000, unit="step"
)
