"""Tells :func:`inspect.signature` how a native class is called: as its counterpart in asyncio.

A native class that others may derive from takes any arguments in its ``__new__`` and looks at them in its ``__init__``,
and no text signature can say so.
"""

from __future__ import annotations

import inspect
from asyncio import AbstractEventLoop
from collections.abc import Iterable
from typing import Any

__all__ = ["share_signatures"]


class _Signature:
    """The ``__signature__`` of a class, and of those derived from it that are made in the same way."""

    __slots__ = ("_counterpart", "_of")

    def __init__(self, of: type, counterpart: type) -> None:
        self._of, self._counterpart = of, counterpart

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        of: Any = self._of
        if instance is not None or owner.__init__ is not of.__init__ or owner.__new__ is not of.__new__:
            raise AttributeError("__signature__")
        return inspect.signature(self._counterpart)


def share_signatures(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Give each class of ours the signature of asyncio's. *pairs* are asyncio's and ours; others are left alone.

    So are loops, which are made in ways of their own.
    """
    for theirs, ours in pairs:
        if isinstance(theirs, type) and isinstance(ours, type) and not issubclass(theirs, AbstractEventLoop):
            setattr(ours, "__signature__", _Signature(ours, theirs))
