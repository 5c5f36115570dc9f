"""What primitives share: the names of :mod:`asyncio.mixins`."""

from asyncio.mixins import *

from ._names import complete as _complete

_complete("mixins")
