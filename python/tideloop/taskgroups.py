"""Groups of tasks: the names of :mod:`asyncio.taskgroups`."""

from asyncio.taskgroups import *
from asyncio.taskgroups import __all__ as __all__
