"""Loads over TLS, with the interpreter's own OpenSSL on plain sockets: echoes, and handshakes."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from tideloop._bench.workload import Address, Histogram, Measured, WrongAnswer

__all__ = ["HandshakeLoad", "TlsLoad"]

SILENCE_SECONDS_MAX = 5.0
READ_BYTES_MAX = 1 << 16
EVENTS_MAX = 1024


def client_context() -> ssl.SSLContext:
    """Return a context that takes any certificate: what is measured is the server, and checking costs the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connected(context: ssl.SSLContext, address: Address) -> ssl.SSLSocket:
    """Connect and shake hands; the socket blocks, for a limited time."""
    plain = socket.create_connection(_host_and_port(address), SILENCE_SECONDS_MAX)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def _host_and_port(address: Address) -> tuple[str, int]:
    assert not isinstance(address, str), "TLS is over TCP"
    return address


def echo(connection: ssl.SSLSocket, request: bytes) -> None:
    """Send a message and wait for its echo."""
    connection.sendall(request)
    received = b""
    while len(received) < len(request):
        data = connection.recv(READ_BYTES_MAX)
        if not data:
            raise WrongAnswer("the server has closed a connection")
        received += data
    if received != request:
        raise WrongAnswer(f"the echo is {received[:40]!r}…")


@dataclass
class TlsLoad:
    """Echoes over TLS: each connection sends the message again when it has come back."""

    request: bytes
    connections: int = 100
    _open: dict[int, ssl.SSLSocket] = field(default_factory=dict, init=False, repr=False)
    _poll: select.epoll | None = field(default=None, init=False, repr=False)

    def connect(self, address: Address) -> None:
        """Open the connections, and have one message echoed on each."""
        context = client_context()
        self._poll = select.epoll()
        for _ in range(self.connections):
            connection = connected(context, address)
            self._open[connection.fileno()] = connection
            echo(connection, self.request)
            # The kernel takes a message at once, for there is never more than one on its way.
            connection.setblocking(False)
            self._poll.register(connection.fileno(), select.EPOLLIN)

    def run(self, seconds: float) -> Measured:
        """Keep the server busy for `seconds` and return when every reply has arrived."""
        assert self._poll is not None, "not connected"
        request, latencies, clock = self.request, Histogram(), time.perf_counter_ns
        received = dict.fromkeys(self._open, b"")
        begun = clock()
        end = begun + int(seconds * 1e9)
        sent_ns = {}
        for number, connection in self._open.items():
            sent_ns[number] = clock()
            self._send(connection)
        while sent_ns:
            ready = self._poll.poll(SILENCE_SECONDS_MAX, EVENTS_MAX)
            if not ready:
                raise WrongAnswer(
                    f"no reply for {SILENCE_SECONDS_MAX:g} s, and {len(sent_ns)} connections wait for one"
                )
            for number, _ in ready:
                data = received[number] + self._received(self._open[number])
                if data != request:
                    if not request.startswith(data):
                        raise WrongAnswer(f"the echo is {data[:40]!r}…")
                    received[number] = data
                    continue
                received[number] = b""
                now = clock()
                latencies.add(now - sent_ns[number])
                if now < end:
                    sent_ns[number] = now
                    self._send(self._open[number])
                else:
                    del sent_ns[number]
        return Measured(latencies.total, latencies, clock() - begun)

    def close(self) -> None:
        """Close everything."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
        if self._poll is not None:
            self._poll.close()

    def _send(self, connection: ssl.SSLSocket) -> None:
        if connection.send(self.request) != len(self.request):
            raise WrongAnswer("the kernel has no room for one message")

    @staticmethod
    def _received(connection: ssl.SSLSocket) -> bytes:
        try:
            data = connection.recv(READ_BYTES_MAX)
        except ssl.SSLWantReadError:
            return b""  # not yet a whole record
        if not data:
            raise WrongAnswer("the server has closed a connection")
        return data


@dataclass
class HandshakeLoad:
    """New connections, one after another: connect, shake hands, one echo, close. No session is taken up again."""

    request: bytes
    concurrency: int = 8
    _address: Address | None = field(default=None, init=False, repr=False)
    _context: ssl.SSLContext | None = field(default=None, init=False, repr=False)

    def connect(self, address: Address) -> None:
        """Make sure that the server answers."""
        self._address, self._context = address, client_context()
        self._once()

    def run(self, seconds: float) -> Measured:
        """Shake hands for `seconds`, from several threads, each at least once."""
        begun = time.perf_counter_ns()
        end = begun + int(seconds * 1e9)
        seen: list[int] = []
        failures: list[Exception] = []

        def work() -> None:
            try:
                while True:
                    now = time.perf_counter_ns()
                    self._once()
                    seen.append(time.perf_counter_ns() - now)
                    if failures or now + seen[-1] >= end:
                        break
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(self.concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return Measured(len(seen), Histogram((ns, 1) for ns in seen), time.perf_counter_ns() - begun)

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def _once(self) -> None:
        assert self._address is not None and self._context is not None, "not connected"
        with connected(self._context, self._address) as connection:
            echo(connection, self.request)
