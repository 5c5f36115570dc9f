"""A server that echoes, and a plain load on it."""

from __future__ import annotations

import socket
import time
from typing import Any

from tideloop._bench.workload import Address, Context, Measured, Served, WrongAnswer

MESSAGE = b"tide" * 25


class PlainLoad:
    """One connection on a blocking socket, one message at a time."""

    def connect(self, address: Address) -> None:
        assert isinstance(address, tuple)
        self.connection = socket.create_connection(address)

    def run(self, seconds: float) -> Measured:
        measured = Measured(0)
        until = time.perf_counter() + seconds
        while not measured.operations or time.perf_counter() < until:
            begun = time.perf_counter_ns()
            self.connection.sendall(MESSAGE)
            reply = self.connection.recv(len(MESSAGE), socket.MSG_WAITALL)
            if reply != MESSAGE:
                raise WrongAnswer(f"got {reply[:20]!r}")
            measured.latencies.add(time.perf_counter_ns() - begun)
            measured.operations += 1
        return measured

    def close(self) -> None:
        self.connection.close()


async def serve(asyncio: Any, context: Context) -> Address:
    class Echo(asyncio.Protocol):  # type: ignore[misc, name-defined]
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return host, port


WORKLOAD = Served("echo", serve, PlainLoad(), unit="message")
