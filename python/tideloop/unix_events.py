"""asyncio's loop for Unix: the names of :mod:`asyncio.unix_events`."""

from asyncio.unix_events import *
from asyncio.unix_events import __all__ as __all__

from ._names import complete as _complete

_complete("unix_events")
