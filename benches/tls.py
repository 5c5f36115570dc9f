"""TLS: the memory of an idle connection, and the processor's time for a gigabyte sent and received.

    python benches/tls.py [LOOP …] [--json] [--repeat 3]

The memory is the slope between 500 and 1,500 connections of the server's proportional set size. For the transfers the
loop is the server that sends, then the client that receives; the other end is another process with a blocking socket,
whose time does not count. Every byte is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench
from memory import BATCH_TIMEOUT_S, pss_bytes, raise_descriptor_limit

CONNECTIONS = [500, 1_500]
CONNECT_BATCH = 100
MIB = 1 << 20
CHUNK_BYTES = 256 * 1024
KEY_AND_CERTIFICATE = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=localhost"


def server_context() -> ssl.SSLContext:
    """A context with a certificate made for this run."""
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "localhost.pem"
        command = ["openssl", *KEY_AND_CERTIFICATE.split(), "-keyout", str(pem), "-out", f"{pem}.crt"]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{pem}.crt", pem)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def other_end(role: str, port: int, size: int = 0) -> subprocess.Popen[bytes]:
    """This file in another process, as one of OTHER_ENDS."""
    command = [sys.executable, __file__, "--other-end", role, str(port), str(size)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def hold_connections(port: int, _size: int) -> None:
    """Open as many connections as standard input says, again and again."""
    held = []
    context = client_context()
    while word := sys.stdin.buffer.read(4):
        for _ in range(struct.unpack("!I", word)[0]):
            held.append(context.wrap_socket(socket.create_connection(("127.0.0.1", port))))
            held[-1].sendall(b"!")  # what is received first tells the server that the handshake is over


def download(port: int, size: int) -> None:
    """Receive so many bytes and acknowledge them."""
    buffer = bytearray(CHUNK_BYTES)
    with client_context().wrap_socket(socket.create_connection(("127.0.0.1", port))) as connection:
        received = 0
        while received < size and (count := connection.recv_into(buffer)):
            received += count
        connection.sendall(struct.pack("!Q", received))
        connection.recv(1)


def serve_download(_port: int, size: int) -> None:
    """Say the port, and send so many bytes to the one who connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
        with server_context().wrap_socket(connection, server_side=True) as tls:
            chunk = bytes(CHUNK_BYTES)
            for _ in range(size // CHUNK_BYTES):
                tls.sendall(chunk)
            tls.recv(1)


OTHER_ENDS = {"hold": hold_connections, "download": download, "serve": serve_download}


class Idle(asyncio.Protocol):
    """Counts the connections that have said something."""

    talked = 0
    awaited = 0
    reached: asyncio.Future[None]

    def data_received(self, data: bytes) -> None:
        Idle.talked += 1
        if Idle.talked == Idle.awaited:
            Idle.reached.set_result(None)


def idle_bytes(name: str, counts: list[int]) -> float:
    """The slope in bytes per idle connection."""
    loop = bench.new_event_loop(name)

    async def main() -> float:
        server = await loop.create_server(Idle, "127.0.0.1", 0, backlog=1024, ssl=server_context())
        client = other_end("hold", server.sockets[0].getsockname()[1])
        assert client.stdin is not None
        sizes = []
        for count in counts:
            while Idle.talked < count:
                Idle.awaited = min(count, Idle.talked + CONNECT_BATCH)
                Idle.reached = loop.create_future()
                client.stdin.write(struct.pack("!I", Idle.awaited - Idle.talked))
                client.stdin.flush()
                async with asyncio.timeout(BATCH_TIMEOUT_S):
                    await Idle.reached
            sizes.append(pss_bytes())
        client.kill()
        client.wait()
        return (sizes[1] - sizes[0]) / (counts[1] - counts[0])

    return loop.run_until_complete(main())


class Sender(asyncio.Protocol):
    """Sends `size` bytes as fast as flow control lets it, and keeps what the peer says it got."""

    size: int
    answer: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport  # no loop's but asyncio's own is a WriteTransport to isinstance
        self.left, self.chunk, self.paused = self.size, bytes(CHUNK_BYTES), False
        self.resume_writing()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.left -= CHUNK_BYTES
            self.transport.write(self.chunk)

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(data)
        self.transport.close()


def send_s(name: str, size: int) -> float:
    """Processor time of a server that sends so many bytes, in seconds."""
    loop = bench.new_event_loop(name)

    async def main() -> float:
        Sender.size, Sender.answer = size, loop.create_future()
        server = await loop.create_server(Sender, "127.0.0.1", 0, ssl=server_context())
        started = time.process_time()
        client = other_end("download", server.sockets[0].getsockname()[1], size)
        answer = await Sender.answer
        spent = time.process_time() - started
        assert struct.unpack("!Q", answer)[0] == size
        server.close()
        await loop.run_in_executor(None, client.wait)
        return spent

    return loop.run_until_complete(main())


class Receiver(asyncio.Protocol):
    """Counts what it is sent, up to `size` bytes."""

    def __init__(self, size: int, everything: asyncio.Future[None]) -> None:
        self.left, self.everything = size, everything

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left == 0:
            self.everything.set_result(None)


def receive_s(name: str, size: int) -> float:
    """Processor time of a client that receives so many bytes, in seconds."""
    loop = bench.new_event_loop(name)

    async def main() -> float:
        server = other_end("serve", 0, size)
        assert server.stdout is not None
        port = int(server.stdout.readline())
        everything = loop.create_future()
        started = time.process_time()
        transport, _ = await loop.create_connection(
            lambda: Receiver(size, everything), "127.0.0.1", port, ssl=client_context()
        )
        await everything
        spent = time.process_time() - started
        transport.close()
        await loop.run_in_executor(None, server.wait)
        return spent

    return loop.run_until_complete(main())


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    size = options.mib * MIB
    parts = {
        "idle_bytes": lambda: idle_bytes(name, options.connections),
        "send_s": lambda: send_s(name, size),
        "receive_s": lambda: receive_s(name, size),
    }
    if options.part:
        return {options.part: [parts[options.part]()]}
    figures: bench.Figures = {part: [] for part in parts}
    for _ in range(options.repeat):
        for part in figures:  # each in a process of its own, as in memory.py
            command = [sys.executable, *sys.argv, "--part", part]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            figures[part] += json.loads(done.stdout)[part]
    return figures


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=int, default=3, help="times; the median is shown")
    parser.add_argument("--mib", type=int, default=1024, help="what is sent and received, in MiB")
    parser.add_argument("--connections", type=int, nargs=2, default=CONNECTIONS, metavar=("LOW", "HIGH"))
    parser.add_argument("--part", choices=("idle_bytes", "send_s", "receive_s"), help=argparse.SUPPRESS)


if __name__ == "__main__":
    raise_descriptor_limit()
    if sys.argv[1:2] == ["--other-end"]:
        OTHER_ENDS[sys.argv[2]](int(sys.argv[3]), int(sys.argv[4]))
    else:
        columns = {
            "idle_bytes": ("bytes/idle connection", ",.0f"),
            "send_s": ("sending, s", ".2f"),
            "receive_s": ("receiving, s", ".2f"),
        }
        bench.run(__file__, "TLS: memory, and CPU for what is sent and received.", measure, columns, add_options)
