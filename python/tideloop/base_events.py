"""What every loop of asyncio's shares, and the server: the names of :mod:`asyncio.base_events`."""

from asyncio.base_events import BaseEventLoop as BaseEventLoop
from asyncio.base_events import __all__ as __all__
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which loops return, to type checkers
    from asyncio.base_events import Server as Server
else:
    from ._server import Server as Server
