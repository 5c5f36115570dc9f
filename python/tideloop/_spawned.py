"""Takes what `tideloop run` gives a program along into those children of multiprocessing that inherit nothing.

A forked child has the asyncio of its parent. One that is started anew, or by the fork server, which is 3.14's default,
imports the program again, and the program knows nothing of Tideloop. So a word goes along with what every such child
is told before it does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

from ._install import install

__all__ = ["install_in_spawned_children"]


class _Word:
    """Pickled by the parent; the child that loads it has Tideloop installed."""

    def __init__(self, names: bool) -> None:
        self.names = names

    def __reduce__(self) -> tuple[Callable[[bool], None], tuple[bool]]:
        return _install_in_this_child, (self.names,)


def _install_in_this_child(names: bool) -> None:
    install(names=names)
    install_in_spawned_children(names=names)  # those of the child


def install_in_spawned_children(*, names: bool) -> None:
    """Make the children that multiprocessing starts from now on call ``install(names=names)`` first, theirs as well."""
    before = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        told = before(name)
        if os.fsdecode(spawn.get_executable()) == sys.executable:  # another Python may have no Tideloop
            told["tideloop"] = _Word(names)
        return told

    spawn.get_preparation_data = get_preparation_data
