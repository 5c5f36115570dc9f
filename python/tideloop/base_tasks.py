"""What tasks share: the names of :mod:`asyncio.base_tasks`."""

from asyncio.base_tasks import *

from ._names import complete as _complete

_complete("base_tasks")
