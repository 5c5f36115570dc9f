"""Names that /etc/hosts answers, looked up 20 at once."""

from __future__ import annotations

import socket
from functools import cache
from typing import Any

from tideloop._bench.workload import Operations, check

AT_ONCE = 20
NAME = "localhost"
FIRST_PORT = 8000


@cache
def expected(port: int) -> list[Any]:
    """What the C library answers."""
    return socket.getaddrinfo(NAME, port, type=socket.SOCK_STREAM)


async def look_up(asyncio: Any, n: int) -> None:
    """Make n lookups and compare each answer."""
    look_up_one = asyncio.get_running_loop().getaddrinfo
    ports = range(FIRST_PORT, FIRST_PORT + AT_ONCE)
    for _ in range(n // AT_ONCE):
        found = await asyncio.gather(*(look_up_one(NAME, port, type=socket.SOCK_STREAM) for port in ports))
        check(found == [expected(port) for port in ports], f"{NAME} is {found}")


WORKLOAD = Operations(
    "`loop.getaddrinfo` of localhost, 20 at once", look_up, operations=100, wall=True, unit="lookup", needs=("dns",)
)
