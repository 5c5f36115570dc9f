"""A load on a WebSocket server that echoes: one message in flight on each of some connections."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass, field

from tideloop._bench.workload import Address, Measured, WrongAnswer

__all__ = ["WebSocketLoad"]

# A server that says nothing for so long has failed.
SILENCE_SECONDS_MAX = 5.0
READ_BYTES_MAX = 65536


@dataclass(eq=False)
class _Connection:
    sock: socket.socket
    sent_ns: int = 0
    received: bytes = b""


@dataclass
class WebSocketLoad:
    """Send the text on `connections` connections, and again whenever it has come back; every byte is compared.

    The library `websockets` opens the connections and makes the frames, once: what is sent and compared are bytes.
    """

    text: str
    connections: int
    _open: list[_Connection] = field(default_factory=list, init=False)
    _selector: selectors.BaseSelector | None = field(default=None, init=False)

    def connect(self, address: Address) -> None:
        """Open the connections and have one message echoed on each."""
        from websockets.frames import Frame, Opcode

        frame = Frame(Opcode.TEXT, self.text.encode())
        self._request, self._reply = frame.serialize(mask=True), frame.serialize(mask=False)
        self._selector = selectors.DefaultSelector()
        for _ in range(self.connections):
            connection = _Connection(_opened(address))
            self._open.append(connection)
            self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        self.run(0)

    def run(self, seconds: float) -> Measured:
        """Keep the server busy for `seconds` and return when every reply has arrived."""
        assert self._selector is not None
        measured = Measured(0)
        started = time.perf_counter_ns()
        end = started + int(seconds * 1e9)
        for connection in self._open:
            self._send(connection)
        in_flight = len(self._open)
        while in_flight:
            ready = self._selector.select(SILENCE_SECONDS_MAX)
            if not ready:
                raise WrongAnswer(f"no reply for {SILENCE_SECONDS_MAX:g} s")
            for key, _ in ready:
                if not self._has_reply(key.data):
                    continue
                now = time.perf_counter_ns()
                measured.latencies.add(now - key.data.sent_ns)
                measured.operations += 1
                if now < end:
                    self._send(key.data)
                else:
                    in_flight -= 1
        measured.wall_ns = time.perf_counter_ns() - started
        return measured

    def close(self) -> None:
        """Close everything."""
        for connection in self._open:
            connection.sock.close()
        self._open.clear()
        if self._selector is not None:
            self._selector.close()

    def _send(self, connection: _Connection) -> None:
        connection.sent_ns = time.perf_counter_ns()
        connection.sock.sendall(self._request)

    def _has_reply(self, connection: _Connection) -> bool:
        """Read, and say whether the reply is complete."""
        data = connection.sock.recv(READ_BYTES_MAX)
        connection.received += data
        if not data or not self._reply.startswith(connection.received):
            raise WrongAnswer(f"the reply is {connection.received[:100]!r}, then {data[:100]!r}")
        if len(connection.received) < len(self._reply):
            return False
        connection.received = b""
        return True


def _opened(address: Address) -> socket.socket:
    """A connection that has become one of WebSocket's."""
    assert isinstance(address, tuple | list)
    host, port = address
    sock = socket.create_connection((host, port), SILENCE_SECONDS_MAX)
    try:
        _shake_hands(sock, f"ws://{host}:{port}/")
    except BaseException:
        sock.close()
        raise
    return sock


def _shake_hands(sock: socket.socket, uri: str) -> None:
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    protocol = ClientProtocol(parse_uri(uri))
    protocol.send_request(protocol.connect())
    for data in protocol.data_to_send():
        sock.sendall(data)
    while not protocol.events_received():
        data = sock.recv(READ_BYTES_MAX)
        if not data:
            raise WrongAnswer("the server has closed the connection in the handshake")
        protocol.receive_data(data)
    if protocol.handshake_exc is not None:
        raise WrongAnswer(f"no WebSocket: {protocol.handshake_exc}")
