"""The ``__class__`` of a future or task whose class derives from a native one.

``isinstance(task, asyncio.Task)`` asks the object's class, which cannot derive from asyncio's (both have a layout of
their own), and then the object's ``__class__``. An instance of a native class itself answers with asyncio's class; one
of ``class Mine(tideloop.Task)`` should answer with ``Mine``, for ``self.__class__.attribute`` and for reprs, and with
something derived from ``asyncio.Task``. It gets a class that is derived from ``asyncio.Task`` and passes everything
else on to ``Mine``. What it cannot be is identical with ``Mine``: compare with ``type(task)``, or by ``==``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["stand_in"]

_ATTRIBUTE = "_tideloop_stand_in"


class _StandIn(type):
    """The class of stand-ins: each behaves as the class it stands for."""

    def __getattribute__(cls, name: str) -> Any:
        return getattr(_real(cls), name)

    def __setattr__(cls, name: str, value: Any) -> None:
        setattr(_real(cls), name, value)

    def __delattr__(cls, name: str) -> None:
        delattr(_real(cls), name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real(cls)(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real(cls))

    def __eq__(cls, other: object) -> bool:
        return other is _real(cls) or other is cls

    def __hash__(cls) -> int:
        return hash(_real(cls))

    def __repr__(cls) -> str:
        return repr(_real(cls))

    def __dir__(cls) -> list[str]:
        return dir(_real(cls))


def _real(stand_in: type) -> type:
    """The class that a stand-in stands for."""
    real: type = type.__getattribute__(stand_in, "_tideloop_real")
    return real


def stand_in(real: type, base: type) -> type:
    """A class derived from ``base`` that is ``real`` in all other respects: always the same for a class."""
    found: type | None = real.__dict__.get(_ATTRIBUTE)
    if found is None:
        found = type.__new__(_StandIn, real.__name__, (base,), {"_tideloop_real": real, "__module__": real.__module__})
        type.__setattr__(real, _ATTRIBUTE, found)
    return found
