"""The demo's load: a process of its own that keeps HTTP connections busy and checks every answer.

    python load.py URL --connections N --seconds S [--warm-up S] [--pid SERVER]

Each connection sends its next request as soon as the answer to the last one is whole and right, on plain sockets and
one epoll set, which costs a fraction of what the server spends. Prints one JSON object. It stands alone, without
tideloop, so that the same load can be put on any server.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from array import array
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Load", "Wrong"]

READ_BYTES_MAX = 65536
POLL_TIMEOUT_S = 5.0  # a server that is silent for so long is stuck


class Wrong(Exception):
    """An answer that is not the one that the first request got."""


class Load:
    """`connections` connections to one address, each with one request in flight."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self.answer_bytes, self.body_bytes = self._ask_once()
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.sent_ns: dict[int, int] = {}
        self.parts: dict[int, bytes] = {}
        for _ in range(connections):
            connection = socket.create_connection(self.address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self.sockets[connection.fileno()] = connection
            self.poll.register(connection, select.EPOLLIN)

    def _ask_once(self) -> tuple[int, int]:
        """Return the sizes of the whole answer and of its body, after looking at the answer closely."""
        with socket.create_connection(self.address) as connection:
            connection.settimeout(POLL_TIMEOUT_S)
            connection.sendall(self.request)
            answer = b""
            while True:
                data = connection.recv(READ_BYTES_MAX)
                answer += data
                head, end, body = answer.partition(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
                if end and lengths and len(body) >= lengths[0]:
                    break
                if not data:
                    raise Wrong(f"the connection ended after {answer[:200]!r}")
        self._check(answer, len(answer), len(body))
        return len(answer), len(body)

    @staticmethod
    def _check(answer: bytes, answer_bytes: int, body_bytes: int) -> None:
        head_end = answer.find(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200 ") or len(answer) != answer_bytes:
            raise Wrong(f"instead of {answer_bytes} bytes with status 200: {answer[:200]!r}")
        if len(answer) - head_end - 4 != body_bytes:
            raise Wrong(f"instead of a body of {body_bytes} bytes: {answer[:200]!r}")

    def start(self) -> None:
        """Send the first request on every connection."""
        for fd, connection in self.sockets.items():
            self.sent_ns[fd] = time.perf_counter_ns()
            connection.send(self.request)

    def run(self, seconds: float) -> tuple[array[int], float]:
        """Keep all connections busy for so long; return the latencies in ns of what was answered, and the seconds."""
        latencies = array("q")
        clock, request = time.perf_counter_ns, self.request
        started = clock()
        deadline = now = started + int(seconds * 1e9)
        now = started
        while now < deadline:
            events = self.poll.poll(POLL_TIMEOUT_S)
            if not events:
                raise Wrong(f"no answer for {POLL_TIMEOUT_S} s")
            for fd, _ in events:
                connection = self.sockets[fd]
                answer = connection.recv(READ_BYTES_MAX)
                if not answer:
                    raise Wrong("the server closed a connection")
                if fd in self.parts:
                    answer = self.parts.pop(fd) + answer
                if len(answer) < self.answer_bytes:
                    self.parts[fd] = answer
                    continue
                self._check(answer, self.answer_bytes, self.body_bytes)
                now = clock()
                latencies.append(now - self.sent_ns[fd])
                self.sent_ns[fd] = now
                connection.send(request)
        return latencies, (now - started) / 1e9

    def close(self) -> None:
        """Close every connection and the epoll set."""
        for connection in self.sockets.values():
            connection.close()
        self.poll.close()


def cpu_ns(pid: int) -> int:
    """Return the processor time in ns that the threads of a process have used, those that ended left out."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--warm-up", type=float, default=0.2, metavar="SECONDS", help="not counted")
    parser.add_argument("--pid", type=int, help="the server, whose processor time is read")
    options = parser.parse_args()
    load = Load(options.url, options.connections)
    load.start()
    load.run(options.warm_up)
    before, own_before = cpu_ns(options.pid) if options.pid else 0, time.process_time_ns()
    latencies, seconds = load.run(options.seconds)
    after, own_after = cpu_ns(options.pid) if options.pid else 0, time.process_time_ns()
    load.close()
    ordered, requests = sorted(latencies), len(latencies)
    result = {
        "requests": requests,
        "requests_per_s": requests / seconds,
        "server_cpu_us": (after - before) / requests / 1e3,
        "load_cpu_us": (own_after - own_before) / requests / 1e3,
        "p50_ms": ordered[requests // 2] / 1e6,
        "p99_ms": ordered[requests * 99 // 100] / 1e6,
        "body_bytes": load.body_bytes,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    try:
        main()
    except (Wrong, OSError) as error:
        sys.exit(f"load: {error}")
