"""The logger, which is asyncio's own: the names of :mod:`asyncio.log`."""

from asyncio.log import *

from ._names import complete as _complete

_complete("log")
