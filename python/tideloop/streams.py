"""Streams: readers, writers, connections and servers under asyncio's names.

Corresponds to :mod:`asyncio.streams`.
"""

from __future__ import annotations

import asyncio.streams
import sys
from asyncio.streams import StreamReaderProtocol, StreamWriter, open_connection, start_server

from . import _native

__all__ = ["StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection", "start_server"]

if sys.platform != "win32":
    from asyncio.streams import open_unix_connection, start_unix_server

    __all__ += ["open_unix_connection", "start_unix_server"]


class StreamReader(_native.StreamReader, asyncio.streams.StreamReader):
    """Bytes that arrive, for one task at a time to read.

    *limit*, in bytes, is how long a line may be, and half of what is read ahead before the transport is paused. *loop*
    is the event loop; by default the current one. Raises ValueError for a limit that is not positive.
    Corresponds to :class:`asyncio.StreamReader`; readuntil() takes several separators on every version.
    """
