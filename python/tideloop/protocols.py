"""The base classes of protocols, which are asyncio's own: the names of :mod:`asyncio.protocols`."""

from asyncio.protocols import *
from asyncio.protocols import __all__ as __all__
