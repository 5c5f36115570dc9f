"""How late loop.call_later fires, beside a bare timerfd in the same run; a timer that fires early is a bug.

    python benches/timers.py [LOOP …] [--json]

Each wait is taken in turn by the loop and by a timerfd in an epoll set of its own, so that both meet the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import select
import statistics
import time

import bench

#: Seconds to wait, and how often.
WAITS = {0.0005: 40, 0.001: 40, 0.0025: 40, 0.01: 40, 0.05: 20, 0.25: 6, 1.0: 3, 3.0: 1}
CLOCK_MONOTONIC = 1


class BareTimer:
    """A timerfd in an epoll set: the least that a loop can do."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self.poll = select.epoll()
        self.poll.register(self.fd, select.EPOLLIN)

    def wait(self, seconds: float) -> int:
        """Wait and return for how many ns, by the clock that judges the loops too."""
        whole = int(seconds)
        setting = (ctypes.c_long * 4)(0, 0, whole, round((seconds - whole) * 1e9))
        started = time.monotonic_ns()
        self.libc.timerfd_settime(self.fd, 0, ctypes.byref(setting), None)
        self.poll.poll()
        taken = time.monotonic_ns() - started
        os.read(self.fd, 8)
        return taken

    def close(self) -> None:
        self.poll.close()
        os.close(self.fd)


async def loop_wait(seconds: float) -> int:
    """Wait by call_later and return for how many ns."""
    loop = asyncio.get_running_loop()
    fired: asyncio.Future[int] = loop.create_future()
    await asyncio.sleep(0)
    started = time.monotonic_ns()
    loop.call_later(seconds, lambda: fired.set_result(time.monotonic_ns()))
    return await fired - started


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    loop, bare = bench.new_event_loop(name), BareTimer()
    waits, early, over, worst = [], 0, [], []
    for seconds, times in WAITS.items():
        if seconds > options.longest:
            continue
        late: dict[str, list[float]] = {"loop": [], "bare": []}
        for _ in range(times):
            taken = loop.run_until_complete(loop_wait(seconds))
            late["loop"].append((taken - seconds * 1e9) / 1e3)
            late["bare"].append((bare.wait(seconds) - seconds * 1e9) / 1e3)
        early += sum(each < 0 for each in late["loop"])
        medians = {who: statistics.median(each) for who, each in late.items()}
        over.append(medians["loop"] - medians["bare"])
        worst.append(max(late["loop"]))
        waits.append({"wait_s": seconds, "times": times, "late_us": medians, "late_us_worst": worst[-1]})
    loop.close()
    bare.close()
    short = [each["late_us"]["loop"] for each in waits[:3]]
    return {
        "waits": waits,
        "short_us": max(short),
        "over_bare_us": max(over),
        "one_second_us": next((each["late_us"]["loop"] for each in waits if each["wait_s"] == 1.0), None),
        "bare_us": max(each["late_us"]["bare"] for each in waits),
        "worst_us": max(worst),
        "early": early,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--longest", type=float, default=max(WAITS), metavar="SECONDS", help="leave out longer waits")


if __name__ == "__main__":
    bench.run(
        __file__,
        f"Lateness of call_later in µs, medians per wait, {min(WAITS) * 1e3} ms to {max(WAITS):.0f} s.",
        measure,
        {
            "short_us": ("late, ≤ 2.5 ms", ",.0f"),
            "one_second_us": ("late, 1 s", ",.0f"),
            "over_bare_us": ("most over timerfd", ",.0f"),
            "bare_us": ("timerfd itself", ",.0f"),
            "worst_us": ("worst of all", ",.0f"),
            "early": ("fired early", "d"),
        },
        add_options,
    )
