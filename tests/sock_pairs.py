"""Pairs of plain sockets for the tests of sock_* calls."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def stream_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A non-blocking stream socket, and its peer, which gives up after 10 s."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.settimeout(10)
    with ours, peer:
        yield ours, peer


def fill(sock: socket.socket) -> int:
    """Send until the kernel takes no more; return how much that was."""
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            total += sock.send(b"f" * 65536)
    return total


def drain(sock: socket.socket) -> bytes:
    """Receive what is there, if anything."""
    sock.setblocking(False)
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""
