"""Queues: the names of :mod:`asyncio.queues`."""

from asyncio.queues import *
from asyncio.queues import __all__ as __all__
