"""A client of a service, which is a thread that adds one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tideloop._bench.workload import Context, Requests, Service, check


@contextmanager
def increment(folder: Path) -> Iterator[Any]:
    assert folder.is_dir()
    if os.environ.get("LABORATORY_SERVICE") == "broken":
        raise OSError("no room")

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall(b"%d\n" % (int(line) + 1))

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()


@asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    pairs = [await asyncio.open_connection(*context.service) for _ in range(3)]

    async def one(number: int) -> None:
        reader, writer = pairs[number]
        writer.write(b"%d\n" % number)
        check(await reader.readline() == b"%d\n" % (number + 1))

    yield one
    for _, writer in pairs:
        writer.close()


WORKLOAD = Requests("increment", connected, concurrency=3, service=Service("increment", increment), unit="request")
