"""The files that a run writes: opened before anything is measured, so that nobody waits for what cannot be written."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Unwritable", "claimed", "printed", "put"]


class Unwritable(Exception):
    """A file that cannot be written; the text says why, in one line."""


@contextmanager
def claimed(paths: Iterable[Path]) -> Iterator[None]:
    """Make sure that each can be written and is a file of its own; Unwritable if not. What is in them stays for now.

    Afterwards those that were made for it, and still are empty, are removed.
    """
    made: list[Path] = []
    try:
        seen: dict[tuple[int, int], Path] = {}
        for path in paths:
            _claim(path, made, seen)
        yield
    finally:
        for path in made:
            with suppress(OSError):
                if not path.stat().st_size:
                    path.unlink()


def _claim(path: Path, made: list[Path], seen: dict[tuple[int, int], Path]) -> None:
    if path.is_fifo():  # opened here, it would wait for its reader
        return
    if not path.exists():
        made.append(path.resolve())
    try:
        with path.open("ab") as file:
            found = os.fstat(file.fileno())
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from None
    key = found.st_dev, found.st_ino
    if stat.S_ISREG(found.st_mode) and key in seen:
        raise Unwritable(f"{seen[key]} and {path} are the same file")
    seen[key] = path


def put(path: Path, write: Callable[[Path], object]) -> bool:
    """Have `write(path)` write the file; return whether it could. If not, say so, and leave no half of it."""
    whole = False
    try:
        write(path)
        whole = True
    except OSError as error:
        print(f"{path} was not written: {error.strerror or error}", file=sys.stderr)
    finally:
        if not whole:
            with suppress(OSError):
                os.truncate(path, 0)
    return whole


def printed(show: Callable[[], object]) -> bool:
    """Have `show()` print; return whether it could. That a reader has gone, such as `head`, is worth no word."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"the table was not written: {error.strerror or error}", file=sys.stderr)
        return False
    return True
