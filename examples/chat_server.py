"""A chat server on asyncio protocols: lines of text, the first of which is the name.

    python examples/chat_server.py [--host 127.0.0.1] [--port 7000]

Whoever reads too slowly is dropped instead of filling the server's memory. SIGINT or SIGTERM ends it with status 0.
"""

import argparse
import asyncio
import signal

LINE_BYTES_MAX = 1024


class Chat(asyncio.Protocol):
    """One guest. All guests share `room`, which maps those who gave a name to their transports."""

    def __init__(self, room: "dict[Chat, asyncio.Transport]") -> None:
        self.room = room
        self.name = ""
        self.rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line_received(line.decode(errors="replace").strip())
        if len(self.rest) > LINE_BYTES_MAX:
            self.transport.abort()

    def line_received(self, line: str) -> None:
        if self.name:
            self.tell_all(f"{self.name}: {line}")
        elif line:
            self.name = line
            self.room[self] = self.transport
            self.tell_all(f"* {self.name} joined, {len(self.room)} here")

    def tell_all(self, text: str) -> None:
        for transport in self.room.values():
            transport.write(text.encode() + b"\n")

    def pause_writing(self) -> None:
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.room.pop(self, None):
            self.tell_all(f"* {self.name} left, {len(self.room)} here")


async def main(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    room: dict[Chat, asyncio.Transport] = {}
    server = await loop.create_server(lambda: Chat(room), host, port)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()
    for transport in list(room.values()):
        transport.close()
    await server.wait_closed()
    print("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7000, help="0 lets the system choose")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.host, arguments.port))
