"""TCP with the loop's calls on plain sockets: `sock_accept`, `sock_recv`, `sock_sendall`."""

from __future__ import annotations

import socket
from typing import Any

from tideloop._bench.echoes import BACKLOG, HOST, READ_BYTES_MAX
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def echo(loop: Any, connection: socket.socket) -> None:
    """Echo on one connection, to its end."""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await loop.sock_recv(connection, READ_BYTES_MAX):
            await loop.sock_sendall(connection, data)


async def accept(loop: Any, listener: socket.socket) -> None:
    """Accept for ever, with a task for each connection."""
    tasks = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        task = loop.create_task(echo(loop, connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve with a task that accepts."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setblocking(False)
    context.keep.append(loop.create_task(accept(loop, listener)))
    host, port = listener.getsockname()
    return host, port


WORKLOAD = Served(
    "TCP, `sock_recv` and `sock_sendall`: 1 KiB, 100 connections",
    serve,
    StreamLoad(message(1024), connections=100),
    unit="message",
    needs=("sock",),
    floor=True,
    names=False,
)
