"""Whether a program does on one kind what it does on asyncio; if not, the smallest program that does not."""

from __future__ import annotations

import contextlib
import pprint
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import kinds
from .machine import Endless
from .programs import generate

SECONDS_MAX = 20
TRIES_MAX = 3000
LINES_BEFORE = 6
FAMILIES_SINCE = {"shutdown": sys.version_info >= (3, 13), "eager": sys.version_info >= (3, 12)}


def program_of(seed: int) -> dict[str, Any]:
    return generate(seed, **FAMILIES_SINCE)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """A program that goes round and round is interrupted; only in the main thread."""

    def interrupt(number: int, frame: Any) -> None:
        raise Endless(f"still running after {SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(SECONDS_MAX)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(program: dict[str, Any], kind: str, seed: int, names: Any = None) -> tuple[list[Any], list[str]]:
    """What happened; what the run itself raised is part of it."""
    try:
        with time_limit():
            return kinds.run(program, kind, seed, names)
    except BaseException as exc:
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise
        return [("the run raised", f"{type(exc).__name__}: {exc}")], []


class Difference:
    """What a program did on asyncio and on another kind."""

    def __init__(self, program: dict[str, Any], kind: str, seed: int, names: Any, judge: Any = None) -> None:
        self.program, self.kind, self.seed = program, kind, seed
        self.expected, self.asyncio_broken = judge or outcome(program, kinds.JUDGE, seed)
        self.found, self.broken = outcome(program, kind, seed, names)

    def __bool__(self) -> bool:
        return self.found != self.expected or self.broken != self.asyncio_broken

    def __str__(self) -> str:
        pairs = zip(self.expected, self.found, strict=False)
        same = next((n for n, (one, other) in enumerate(pairs) if one != other), None)
        if same is None:
            same = min(len(self.expected), len(self.found))
        lines = [
            f"seed {self.seed} on {self.kind}:",
            pprint.pformat(self.program, width=110, sort_dicts=False),
            "both:" if same else "from the first event on:",
            *(f"    {event}" for event in self.expected[max(0, same - LINES_BEFORE) : same]),
            "asyncio:",
            *(f"    {event}" for event in self.expected[same : same + 2]),
            f"{self.kind}:",
            *(f"    {event}" for event in self.found[same : same + 2]),
            *(f"broken: {line}" for line in self.broken),
        ]
        return "\n".join(lines)


def difference(seed: int, kind: str, names: Any = None, judge: Any = None) -> Difference | None:
    """None where the program of `seed` does on `kind` what it does on asyncio. `judge`: its outcome there, if known."""
    found = Difference(program_of(seed), kind, seed, names, judge)
    return found or None


def smallest(found: Difference, names: Any = None) -> Difference:
    """A program with a difference, from which nothing can be taken away."""
    tries = 0

    def differs(program: dict[str, Any]) -> Difference | None:
        nonlocal tries
        tries += 1
        return Difference(program, found.kind, found.seed, names) or None

    while tries < TRIES_MAX:
        for smaller in reductions(found.program):
            if tries >= TRIES_MAX:
                break
            if better := differs(smaller):
                found = better
                break
        else:
            break
    return found


def reductions(program: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The program with something less, the largest parts first."""
    for key in ("outside", "tasks"):
        for number in range(len(program[key])):
            yield {**program, key: program[key][:number] + program[key][number + 1 :]}
    for key in ("eager", "debug"):
        if program[key]:
            yield {**program, key: False}
    for smaller in smaller_values(program["tasks"], lambda value: value):
        yield {**program, "tasks": smaller}


def smaller_values(value: Any, rebuilt: Callable[[Any], Any]) -> Iterator[Any]:
    """Blocks with an operation less, or with a block in place of the operation that holds it; at any depth."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, tuple):
                yield rebuilt(value[:number] + value[number + 1 :])
                for part in each:
                    if isinstance(part, list) and part and isinstance(part[0], tuple):
                        yield rebuilt(value[:number] + part + value[number + 1 :])
    if isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            if isinstance(each, (list, tuple)):
                before, after = value[:number], value[number + 1 :]
                make = list if isinstance(value, list) else tuple

                def inside(smaller: Any, before: Any = before, after: Any = after, make: Any = make) -> Any:
                    return rebuilt(make([*before, smaller, *after]))

                yield from smaller_values(each, inside)
