"""Putting Tideloop's functions, primitives and streams into the ``asyncio`` module and its submodules."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

__all__ = ["put_names_into_asyncio"]

#: The modules whose names are replaced.
_FAMILIES = "coroutines futures locks queues streams subprocess taskgroups tasks threads timeouts".split()

#: What stays asyncio's own: loops and what they make, which others test for, and exceptions, which others catch.
_NEVER = (
    asyncio.AbstractEventLoop,
    asyncio.AbstractServer,
    asyncio.BaseTransport,
    asyncio.Future,
    asyncio.Handle,
    BaseException,
)


def put_names_into_asyncio() -> Callable[[], None]:
    """Replace each by ours wherever a module of asyncio has it under a public name; return what puts all back.

    That includes names that one module of asyncio has from another, such as ``sleep`` in ``asyncio.streams``.
    """
    ours = {id(before): (before, after) for before, after in _pairs()}
    done: list[tuple[dict[str, Any], str, Any, Any]] = []
    for module in _modules_of_asyncio():
        names = vars(module)
        for name, value in list(names.items()):
            if id(value) in ours and not name.startswith("_"):
                before, after = ours[id(value)]
                names[name] = after
                done.append((names, name, before, after))

    def undo() -> None:
        for names, name, before, after in done:
            if names.get(name) is after:  # not if somebody has replaced it since
                names[name] = before

    return undo


def _pairs() -> Iterator[tuple[Any, Any]]:
    """What asyncio has, and what takes its place."""
    for family in _FAMILIES:
        theirs = sys.modules[f"asyncio.{family}"]
        ours = importlib.import_module(f"{__package__}.{family}")
        for name in {*ours.__all__, *_public(theirs)}:
            before, after = getattr(theirs, name, None), getattr(ours, name, None)
            if before is not None and before is not after and not _is_never_replaced(before):
                yield before, after


def _public(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if not (name.startswith("_") or inspect.ismodule(value))]


def _is_never_replaced(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, _NEVER)


def _modules_of_asyncio() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name == "asyncio" or name.startswith("asyncio.")]
