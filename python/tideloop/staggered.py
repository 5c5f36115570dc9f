"""Attempts that start one after the other: the names of :mod:`asyncio.staggered`."""

from asyncio.staggered import *
from asyncio.staggered import __all__ as __all__

from ._names import complete as _complete

_complete("staggered")
