"""How callbacks and stacks are shown: the names of :mod:`asyncio.format_helpers`."""

from asyncio.format_helpers import *

from ._names import complete as _complete

_complete("format_helpers")
