"""Exceptions, which are asyncio's own: the names of :mod:`asyncio.exceptions`."""

from asyncio.exceptions import *
from asyncio.exceptions import __all__ as __all__
