"""Progress bars for ``ThreadPool.map``: adapters to tqdm and to rich, imported when the first result is there.

A map calls `complete` when all results are delivered, also where there were none, and `close` at any end.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["rich_progress", "tqdm_progress"]


class _Tqdm:
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = importlib.import_module("tqdm").tqdm(total=total, **self._options)
        self._bar.update(done - self._bar.n)

    def complete(self, done: int) -> None:
        if self._bar is None:
            self(done, done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Rich:
    def __init__(self, description: str, progress: Any) -> None:
        self._description = description
        self._progress, self._given = progress, progress is not None
        self._task: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._task is None:
            if self._progress is None:
                self._progress = importlib.import_module("rich.progress").Progress()
                self._progress.start()
            self._task = self._progress.add_task(self._description, total=total)
        self._progress.update(self._task, completed=done, total=total)

    def complete(self, done: int) -> None:
        self(done, done)

    def close(self) -> None:
        if self._progress is not None and not self._given:
            self._progress.stop()


def tqdm_progress(**options: Any) -> _Tqdm:
    """For ``pool.map(..., progress=tqdm_progress(desc="pages"))``: a bar of tqdm's, made with *options*."""
    return _Tqdm(options)


def rich_progress(description: str = "", progress: Any = None) -> _Rich:
    """For ``pool.map(..., progress=rich_progress("pages"))``: a line of rich's.

    *progress*: the :class:`rich.progress.Progress` that gets the line; None: one of its own.
    """
    return _Rich(description, progress)
