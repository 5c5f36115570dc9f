"""How far it is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["progress"]

Advance = Callable[[int, str], Callable[[str, float], None]]


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """Show a bar while the block runs; gives a function that, told the number and name of a step, gives its `say`.

    Where standard error is no terminal, each step is a line.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line
        return
    columns = (TextColumn("[bold]{task.fields[name]}"), BarColumn(), TextColumn("{task.description}"))
    # No refreshing in the background: it would take processor time while a peer has its turn.
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, auto_refresh=False)
    with bar:
        task = bar.add_task("", total=total, name="")

        def advance(number: int, name: str) -> Callable[[str, float], None]:
            def say(what: str, part: float) -> None:
                bar.update(task, description=what, completed=number + part, name=name, refresh=True)

            return say

        yield advance


def _line(number: int, name: str) -> Callable[[str, float], None]:
    print(name, file=sys.stderr, flush=True)
    return lambda what, part: None
