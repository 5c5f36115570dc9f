"""Clients that connect, say one thing, and then are silent: a program of its own, which `idle_memory` starts.

Reads lines with a number: so many connections are opened to the port of 127.0.0.1 that is its argument, and each has
one message echoed. Ends, with all connections, when its input does.
"""

from __future__ import annotations

import socket
import sys

SILENCE_SECONDS_MAX = 30.0
GREETING = b"here I am, and now I am silent\n"
#: Opened before the first of them is waited for: fewer switches between the two processes.
OPENED_AT_ONCE = 64


def main() -> None:
    """Open connections until there is no more input."""
    kept: list[socket.socket] = []
    for line in sys.stdin:
        until = len(kept) + int(line)
        while len(kept) < until:
            kept += opened(min(OPENED_AT_ONCE, until - len(kept)))


def opened(count: int) -> list[socket.socket]:
    """Open some connections, and have a message echoed on each."""
    address = ("127.0.0.1", int(sys.argv[1]))
    connections = [socket.create_connection(address, SILENCE_SECONDS_MAX) for _ in range(count)]
    for connection in connections:
        connection.sendall(GREETING)
    for connection in connections:
        if connection.recv(len(GREETING), socket.MSG_WAITALL) != GREETING:
            sys.exit("the echo is wrong")
    return connections


if __name__ == "__main__":
    main()
