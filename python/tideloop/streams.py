"""Streams: readers, writers, connections and servers under asyncio's names.

Corresponds to :mod:`asyncio.streams`.
"""

from __future__ import annotations

import sys
from asyncio.streams import StreamReader, StreamReaderProtocol, StreamWriter, open_connection, start_server

__all__ = ["StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection", "start_server"]

if sys.platform != "win32":
    from asyncio.streams import open_unix_connection, start_unix_server

    __all__ += ["open_unix_connection", "start_unix_server"]
