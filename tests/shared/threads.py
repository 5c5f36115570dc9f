"""Threads that begin together, end before the test does, and hand their results and errors over."""

import threading
from collections.abc import Callable
from typing import Any

WAIT_S_MAX = 50.0


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """`work(0)` to `work(count - 1)`, each in a thread of its own and all begun at once; their results in order."""
    results: list[Any] = [None] * count
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def body(index: int) -> None:
        try:
            start.wait(WAIT_S_MAX)
            results[index] = work(index)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=body, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S_MAX)
    assert not any(thread.is_alive() for thread in threads), "a thread did not come to its end"
    if errors:
        raise errors[0]
    return results
