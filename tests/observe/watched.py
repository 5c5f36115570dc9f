"""What the tests of the detector share: it is on for a while, and what it reports is kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from tideloop import _native, observe


@contextlib.contextmanager
def watching(*, victim: bool = False) -> Iterator[list[observe.Deadlock]]:
    """Detection, and the list of deadlocks that it has found. Nothing it knows outlives it."""
    found: list[observe.Deadlock] = []
    observe.deadlocks(victim=victim, report=found.append)
    try:
        yield found
        assert (_native._observe.holdings(), _native._observe.waits()) == (0, 0)
    finally:
        observe.deadlocks(False)


def in_threads(*bodies: Callable[[], object]) -> list[BaseException | None]:
    """Run each in a thread of its own, named "T0", "T1" …; what each has raised."""
    raised: list[BaseException | None] = [None] * len(bodies)

    def run(index: int) -> None:
        try:
            bodies[index]()
        except BaseException as error:
            raised[index] = error

    threads = [threading.Thread(target=run, args=(index,), name=f"T{index}") for index in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return raised


def names(deadlock: observe.Deadlock) -> list[str]:
    """Who is in it, sorted."""
    return sorted(member.name for member in deadlock.members)
