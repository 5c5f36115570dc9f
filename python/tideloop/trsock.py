"""What get_extra_info("socket") gives: the names of :mod:`asyncio.trsock`."""

from asyncio.trsock import *

from ._names import complete as _complete

_complete("trsock")
