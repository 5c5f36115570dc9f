"""What threads share: our atomics, counter and dict beside a lock around Python's own; nanoseconds per operation.

    python benches/shared_data.py [--rounds N]

All contestants live in one process and take turns; the figures are medians of the rounds. Every count is checked.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from tideloop.sync import ApproximateCounter, AtomicInt, ConcurrentDict

OPERATIONS = 200_000
THREADS = 10
KEYS = [f"key {number}" for number in range(1000)]

Contestant = Callable[[int], Any]


def atomic(n: int) -> int:
    number = AtomicInt()
    add = number.fetch_add
    for _ in range(n):
        add()
    return number.load()


def locked(n: int) -> int:
    number, lock = 0, threading.Lock()
    for _ in range(n):
        with lock:
            number += 1
    return number


def concurrent_dict(n: int) -> int:
    ours: ConcurrentDict[str, int] = ConcurrentDict()
    for index in range(n):
        ours.get_or_insert(KEYS[index % len(KEYS)], index)
    return len(ours) * n // len(KEYS)


def locked_dict(n: int) -> int:
    plain: dict[str, int] = {}
    lock = threading.Lock()
    for index in range(n):
        with lock:
            plain.setdefault(KEYS[index % len(KEYS)], index)
    return len(plain) * n // len(KEYS)


def in_threads(work: Callable[[int], None], n: int) -> None:
    threads = [threading.Thread(target=work, args=(n // THREADS,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def approximate_by_ten(n: int) -> int:
    counter = ApproximateCounter(1000)

    def work(n: int) -> None:
        add = counter.add
        for _ in range(n):
            add()

    in_threads(work, n)
    return counter.flush()


def atomic_by_ten(n: int) -> int:
    number = AtomicInt()

    def work(n: int) -> None:
        add = number.fetch_add
        for _ in range(n):
            add()

    in_threads(work, n)
    return number.load()


def locked_by_ten(n: int) -> int:
    number, lock = 0, threading.Lock()

    def work(n: int) -> None:
        nonlocal number
        for _ in range(n):
            with lock:
                number += 1

    in_threads(work, n)
    return number


CONTESTANTS: list[Contestant] = [
    *(atomic, locked, concurrent_dict, locked_dict, approximate_by_ten, atomic_by_ten, locked_by_ten),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    figures: dict[str, list[float]] = {contestant.__name__: [] for contestant in CONTESTANTS}
    for _ in range(rounds):
        for contestant in CONTESTANTS:
            begun = time.perf_counter_ns()
            result = contestant(OPERATIONS)
            figures[contestant.__name__].append((time.perf_counter_ns() - begun) / OPERATIONS)
            assert result == OPERATIONS, (contestant.__name__, result)
    for name, values in figures.items():
        print(f"{name:20} {statistics.median(values):7.1f} ns")


if __name__ == "__main__":
    main()
