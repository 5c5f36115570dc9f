"""A child process's transport: the names of :mod:`asyncio.base_subprocess`."""

from asyncio.base_subprocess import *

from ._names import complete as _complete

_complete("base_subprocess")
