"""A reactor of one's own on the loop: generators wait for plain sockets, and each client has a running total.

    python examples/reactor.py [--port 7002] [--clients 2]

No transports, protocols or streams: `readable` and `writable` are all that the clients' coroutines know of the loop. A
line with a number is answered by the total so far. The program ends when so many clients have come and gone.
"""

import argparse
import asyncio
import socket
import types
from collections.abc import Generator

RECEIVE_BYTES = 4096


class Writable:
    """`await Writable(sock)`: until the kernel takes bytes for it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __await__(self) -> Generator[object, None, None]:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self.sock, ready.set_result, None)
        try:
            yield from ready
        finally:
            loop.remove_writer(self.sock)


@types.coroutine
def readable(sock: socket.socket) -> Generator[object, None, None]:
    """Until there is something to receive, or to accept."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, ready.set_result, None)
    try:
        yield from ready
    finally:
        loop.remove_reader(sock)


async def client(number: int, sock: socket.socket) -> None:
    total, rest = 0, b""
    with sock:
        while True:
            await readable(sock)
            if not (data := sock.recv(RECEIVE_BYTES)):
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                total += int(line)
                await Writable(sock)
                sock.sendall(b"%d\n" % total)
    print(f"client {number}: {total}", flush=True)


async def main(port: int, clients: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.setblocking(False)
        print("listening on port", listener.getsockname()[1], flush=True)
        async with asyncio.TaskGroup() as group:
            for number in range(1, clients + 1):
                await readable(listener)
                sock, _ = listener.accept()
                sock.setblocking(False)
                group.create_task(client(number, sock))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7002, help="0 lets the system choose")
    parser.add_argument("--clients", type=int, default=2)
    asyncio.run(main(**vars(parser.parse_args())))
