"""The base classes of transports, which are asyncio's own: the names of :mod:`asyncio.transports`."""

from asyncio.transports import *
from asyncio.transports import __all__ as __all__
