"""asyncio's selector loop: the names of :mod:`asyncio.selector_events`."""

from asyncio.selector_events import *
from asyncio.selector_events import __all__ as __all__

from ._names import complete as _complete

_complete("selector_events")
