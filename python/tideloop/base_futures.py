"""What futures share: the names of :mod:`asyncio.base_futures`."""

from asyncio.base_futures import *
from asyncio.base_futures import __all__ as __all__

from ._names import complete as _complete

_complete("base_futures")
