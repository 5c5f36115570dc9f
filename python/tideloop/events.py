"""Loops, handles and policies: the names of :mod:`asyncio.events`."""

import sys
from asyncio.events import AbstractEventLoop as AbstractEventLoop
from asyncio.events import AbstractServer as AbstractServer
from asyncio.events import __all__ as __all__
from asyncio.events import _get_running_loop as _get_running_loop
from asyncio.events import _set_running_loop as _set_running_loop
from asyncio.events import get_event_loop_policy as get_event_loop_policy
from asyncio.events import get_running_loop as get_running_loop
from asyncio.events import set_event_loop as set_event_loop
from asyncio.events import set_event_loop_policy as set_event_loop_policy
from typing import TYPE_CHECKING

from ._current import get_event_loop as get_event_loop
from ._loop import new_event_loop as new_event_loop

if TYPE_CHECKING:  # which loops return, to type checkers
    from asyncio.events import Handle as Handle
    from asyncio.events import TimerHandle as TimerHandle
else:
    from ._native import Handle as Handle
    from ._native import TimerHandle as TimerHandle

if sys.version_info < (3, 14):
    from asyncio.events import AbstractEventLoopPolicy as AbstractEventLoopPolicy
    from asyncio.events import get_child_watcher as get_child_watcher
    from asyncio.events import set_child_watcher as set_child_watcher
