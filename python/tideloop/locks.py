"""Locks, events, conditions, semaphores and barriers: the names of :mod:`asyncio.locks`."""

from asyncio.locks import *
from asyncio.locks import __all__ as __all__
