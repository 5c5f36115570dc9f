"""CPU time of loop.sendfile over TCP, beside a bare os.sendfile loop in the same run; every byte is counted.

    python benches/sendfile.py [LOOP …] [--mib N] [--rounds N] [--json]

The receiver is a process of its own that throws away what it reads. A round sends the file once by the loop and once by
the bare loop, which waits with poll() where the socket is full; the figure is the median of the rounds' ratios.
uvloop has no sendfile: it is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import bench

# Accepts one connection after another and says how much came over each.
RECEIVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    buffer = bytearray(1 << 20)
    while True:
        connection, _ = server.accept()
        with connection:
            received = 0
            while count := connection.recv_into(buffer):
                received += count
            connection.sendall(b"%d" % received)
"""


def bare(file: Any, port: int, size: int) -> float:
    """Send the file by hand; return the CPU seconds."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setblocking(False)
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        started, sent = time.process_time(), 0
        while sent < size:
            try:
                sent += os.sendfile(sock.fileno(), file.fileno(), sent, size - sent)
            except BlockingIOError:
                poller.poll()
        taken = time.process_time() - started
        check(sock, size)
    return taken


def by_loop(loop: asyncio.AbstractEventLoop, file: Any, port: int, size: int) -> float:
    """Send the file by loop.sendfile; return the CPU seconds."""

    async def main() -> float:
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        with transport.get_extra_info("socket").dup() as sock:
            started = time.process_time()
            sent = await loop.sendfile(transport, file, fallback=False)
            taken = time.process_time() - started
            assert sent == size
            transport.pause_reading()
            transport.abort()
            check(sock, size)
        return taken

    return loop.run_until_complete(main())


def check(sock: socket.socket, size: int) -> None:
    sock.setblocking(True)
    sock.settimeout(60)
    sock.shutdown(socket.SHUT_WR)
    received = int(sock.recv(100))
    assert received == size, f"{received} bytes arrived of {size}"


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    size = options.mib << 20
    loop = bench.new_event_loop(name)
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        with tempfile.TemporaryFile() as file:
            block = os.urandom(1 << 20)
            for _ in range(options.mib):
                file.write(block)
            file.flush()
            rounds = [(by_loop(loop, file, port, size), bare(file, port, size)) for _ in range(options.rounds)]
    finally:
        receiver.kill()
        receiver.communicate()
        loop.close()
    return {
        "mib": options.mib,
        "loop_ms": statistics.median(loop_s for loop_s, _ in rounds) * 1e3,
        "bare_ms": statistics.median(bare_s for _, bare_s in rounds) * 1e3,
        "ratio": statistics.median(loop_s / bare_s for loop_s, bare_s in rounds),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--rounds", type=int, default=5)


if __name__ == "__main__":
    bench.run(
        __file__,
        "CPU time to send a file over TCP.",
        measure,
        {
            "loop_ms": ("loop.sendfile, ms", ",.0f"),
            "bare_ms": ("os.sendfile, ms", ",.0f"),
            "ratio": ("ratio", ".2f"),
        },
        add_options,
        names=("asyncio", "tideloop"),
    )
