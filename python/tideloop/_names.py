"""Makes each module of this package offer every public name of the asyncio module it corresponds to."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

from ._signatures import share_signatures

__all__ = ["complete", "complete_package"]


def complete(*names: str) -> None:
    """Give modules of this package whatever their counterparts in asyncio have beside, ours where there is one of ours.

    That includes names that asyncio's module only imported itself: ``asyncio.streams.sleep`` is one.
    *names* are without the package, such as ``locks``.
    """
    replaced = {id(theirs): ours for theirs, ours in _pairs()}
    for name in names:
        ours, theirs = vars(sys.modules[f"{__package__}.{name}"]), sys.modules[f"asyncio.{name}"]
        exported = getattr(theirs, "__all__", ())
        for public, value in vars(theirs).items():
            if public not in ours and (not public.startswith("_") or public in exported):
                ours[public] = replaced.get(id(value), value)
        if hasattr(theirs, "__all__"):
            ours["__all__"] = [*dict.fromkeys([*ours.get("__all__", ()), *exported])]


def complete_package() -> None:
    """Give this package what only the package asyncio has, such as what came with a Python newer than this file.

    Its ``__all__`` is then every public name that is no module, and its classes get the signatures of asyncio's.
    """
    ours = vars(sys.modules[__package__])
    for name in asyncio.__all__:
        ours.setdefault(name, getattr(asyncio, name))
    public = (name for name, value in ours.items() if not (name.startswith("_") or isinstance(value, ModuleType)))
    ours["__all__"] = sorted({*public, *asyncio.__all__, "__version__"} - {"annotations"})
    share_signatures(_pairs())


def _pairs() -> list[tuple[Any, Any]]:
    """What stands in place of an object of asyncio's: whatever has the same public name in both packages."""
    ours = vars(sys.modules[__package__])
    return [
        (value, ours[name])
        for name, value in vars(asyncio).items()
        if not (name.startswith("_") or isinstance(value, ModuleType)) and ours.get(name, value) is not value
    ]
