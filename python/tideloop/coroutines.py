"""What a coroutine is: the names of :mod:`asyncio.coroutines`."""

from asyncio.coroutines import *
from asyncio.coroutines import __all__ as __all__
