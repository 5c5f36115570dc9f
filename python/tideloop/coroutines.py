"""What a coroutine is: the names of :mod:`asyncio.coroutines`."""

from asyncio.coroutines import __all__ as __all__
from asyncio.coroutines import iscoroutine as iscoroutine
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what asyncio's overloads say
    from asyncio.coroutines import iscoroutinefunction as iscoroutinefunction
else:
    from ._coroutine_functions import iscoroutinefunction as iscoroutinefunction
