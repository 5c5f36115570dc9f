"""asyncio's TLS over a transport: the names of :mod:`asyncio.sslproto`."""

from asyncio.sslproto import *

from ._names import complete as _complete

_complete("sslproto")
