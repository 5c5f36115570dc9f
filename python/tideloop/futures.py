"""Futures: the names of :mod:`asyncio.futures`."""

import sys
from asyncio.futures import __all__ as __all__
from asyncio.futures import isfuture as isfuture
from asyncio.futures import wrap_future as wrap_future
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which loops return, to type checkers
    from asyncio.futures import Future as Future
else:
    from ._native import Future as Future

if sys.version_info >= (3, 14):
    from asyncio.futures import future_add_to_awaited_by as future_add_to_awaited_by
    from asyncio.futures import future_discard_from_awaited_by as future_discard_from_awaited_by
