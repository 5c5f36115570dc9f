"""A client for the chat server, on an asyncio protocol: sends what is typed, prints what the others say.

    python examples/chat_client.py NAME [--host 127.0.0.1] [--port 7000]

Standard input is watched by the loop itself, so it has to be a terminal or a pipe. Its end ends the client.
"""

import argparse
import asyncio
import os
import sys

READ_BYTES_MAX = 65536


class Client(asyncio.Protocol):
    """Prints whole lines as they arrive; `closed` is done when the connection is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rest = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.write(self.name.encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            print(line.decode(errors="replace"), flush=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.closed.set_result(None)
        else:
            self.closed.set_exception(exc)


async def main(name: str, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(name), host, port)
    keyboard = sys.stdin.fileno()

    def typed() -> None:
        if data := os.read(keyboard, READ_BYTES_MAX):
            client.transport.write(data)
        else:
            loop.remove_reader(keyboard)
            client.transport.write_eof()

    loop.add_reader(keyboard, typed)
    try:
        await client.closed
    finally:
        loop.remove_reader(keyboard)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7000)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.name, arguments.host, arguments.port))
