"""Which functions make coroutines: asyncio's answer, and the native ones, which have no code object to tell by."""

from __future__ import annotations

import functools
import inspect
import sys
from asyncio import iscoroutinefunction as _of_asyncio
from types import BuiltinFunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["iscoroutinefunction"]


def iscoroutinefunction(func: Any) -> bool:
    """Tell whether *func* makes coroutines, as native ones such as ``tideloop.sleep`` do.

    Deprecated from Python 3.14 on. Counterpart: :func:`asyncio.iscoroutinefunction`.
    """
    return _of_asyncio(func) or _is_native(func)


def _is_native(func: Any) -> bool:
    while isinstance(func, functools.partial):
        func = func.func
    if isinstance(func, MethodType):
        func = func.__func__
    if isinstance(func, BuiltinFunctionType) and not isinstance(func.__self__, ModuleType | None):
        func = getattr(type(func.__self__), func.__name__, None)
    try:
        return func in _native_ones()
    except TypeError:  # not hashable
        return False


@functools.cache
def _native_ones() -> frozenset[Any]:
    """The functions of ours that are one, and every method that is one in a class of asyncio's above ours."""
    package = sys.modules[__package__]
    found = {getattr(package, name) for name in ("sleep", "wait", "wait_for")}
    for cls in vars(package).values():
        for base in cls.__mro__ if isinstance(cls, type) else ():
            found |= {getattr(cls, name) for name, value in vars(base).items() if inspect.iscoroutinefunction(value)}
    return frozenset(found)
