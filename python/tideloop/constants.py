"""Limits and intervals: the names of :mod:`asyncio.constants`."""

from asyncio.constants import *

from ._names import complete as _complete

_complete("constants")
