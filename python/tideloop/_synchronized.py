"""The decorator `synchronized`: of an object's methods, one runs at a time."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ._both import RLock

__all__ = ["synchronized"]

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)

LOCK_ATTRIBUTE = "_synchronized_lock"
"""Where an object has its lock; a class with __slots__ has to name it."""

_MARK = "_is_synchronized"

_NOT_WHILE_SUSPENDED = (
    (inspect.iscoroutinefunction, "a coroutine function"),
    (inspect.isasyncgenfunction, "an asynchronous generator"),
    (inspect.isgeneratorfunction, "a generator"),
)

# Held for a moment while an object is given its lock, so that two threads give it one.
_giving = threading.Lock()


class _ObjectLock(RLock):
    """A lock that a deep copy of its object does not share, and that does not keep the object from being pickled."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[_ObjectLock], tuple[()]]:
        return type(self), ()


def _lock() -> Any:
    return _ObjectLock()


@overload
def synchronized(function: _F, /) -> _F: ...
@overload
def synchronized(*methods: str) -> Callable[[_C], _C]: ...
def synchronized(*args: Any) -> Any:
    """One thread at a time, re-entrantly: a function, a method, or the methods of a class that are named.

    ``@synchronized("add", "remove")`` before a class: one of these methods at a time on one object, inherited ones that
    are synchronised included. ``@synchronized`` before a method, whose first parameter is called ``self``: the same,
    with the same lock. Before any other function: the function has a lock of its own.

    TypeError for a class or method that is synchronised already or named twice, and for one that can be suspended, such
    as a coroutine function: it would hold the lock meanwhile. AttributeError for a name that the class does not have. A
    class with ``__slots__`` and without a ``__dict__`` needs a slot called ``_synchronized_lock``.
    """
    if len(args) == 1 and not isinstance(args[0], str):
        (function,) = args
        if not inspect.isfunction(function):
            raise TypeError(
                f"@synchronized stands before a function, or before a class with the names of its methods, not before "
                f"{function!r}"
            )
        parameters = list(inspect.signature(function).parameters)
        return _method(function) if parameters[:1] == ["self"] else _function(function)
    if not args or not all(isinstance(name, str) for name in args):
        raise TypeError('the methods of a class are given by their names, as in @synchronized("add", "remove")')
    twice = sorted({name for name in args if args.count(name) > 1})
    if twice:
        raise TypeError(f"double locking: {', '.join(twice)} is named twice")
    return functools.partial(_class, args)


def _class(names: tuple[str, ...], cls: _C) -> _C:
    """The class, with these methods synchronised; nothing has changed when this raises."""
    if not isinstance(cls, type):
        raise TypeError(f"names of methods are for a class, not for {cls!r}")
    if _MARK in vars(cls):
        raise TypeError(f"double locking: class {cls.__qualname__} is synchronised already")
    methods = {}
    for name in names:
        method = inspect.getattr_static(cls, name)
        if not inspect.isfunction(method):
            raise TypeError(f"{cls.__qualname__}.{name} is no method that is written in Python and called on an object")
        methods[name] = _method(method)
    for name, method in methods.items():
        setattr(cls, name, method)
    setattr(cls, _MARK, True)
    return cls


def _method(method: _F) -> _F:
    _check(method)

    @functools.wraps(method)
    def locked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with _lock_of(self):
            return method(self, *args, **kwargs)

    setattr(locked, _MARK, True)
    return locked  # type: ignore[return-value]


def _function(function: _F) -> _F:
    _check(function)
    lock = _lock()

    @functools.wraps(function)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return function(*args, **kwargs)

    setattr(locked, _MARK, True)
    return locked  # type: ignore[return-value]


def _check(function: Any) -> None:
    if getattr(function, _MARK, False):
        raise TypeError(f"double locking: {function.__qualname__} is synchronised already")
    for is_one, kind in _NOT_WHILE_SUSPENDED:
        if is_one(function):
            raise TypeError(
                f"{function.__qualname__} is {kind}: it would hold the lock while it is suspended, and so keep the "
                "thread from everybody else; lock inside of it instead"
            )


def _lock_of(instance: Any) -> Any:
    # Past __getattr__, which may have something for every name.
    try:
        return object.__getattribute__(instance, LOCK_ATTRIBUTE)
    except AttributeError:
        return _give_lock(instance)


def _give_lock(instance: Any) -> Any:
    with _giving:
        try:
            return object.__getattribute__(instance, LOCK_ATTRIBUTE)
        except AttributeError:
            lock = _lock()
        try:
            object.__setattr__(instance, LOCK_ATTRIBUTE, lock)  # past a __setattr__ that refuses, as of frozen classes
        except AttributeError:
            name = type(instance).__qualname__
            raise TypeError(f"{name} has no place for its lock: add {LOCK_ATTRIBUTE!r} to its __slots__") from None
        return lock


# What stands between a method and whoever calls it.
wrappers = (_method, _function)
