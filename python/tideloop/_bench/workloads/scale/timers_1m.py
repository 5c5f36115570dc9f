"""Timers that are cancelled while 1,000,000 others are pending."""

from __future__ import annotations

from tideloop._bench.crowds import timers
from tideloop._bench.workload import Operations

WORKLOAD = Operations(
    "`call_later` and cancel, with 1,000,000 pending",
    timers(pending=1_000_000),
    operations=10_000,
    unit="timer",
    names=False,
)
