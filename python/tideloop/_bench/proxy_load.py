"""A load on a TCP proxy: as much as goes through, both ways at once, from a client to a server behind the proxy.

Both ends are in this process. The proxy is told where to go by the client's first line: the port of the server, on
127.0.0.1. What goes either way is known at each position, and is compared.
"""

from __future__ import annotations

import random
import select
import socket
import time
from dataclasses import dataclass, field

from tideloop._bench.workload import Address, Measured, WrongAnswer

__all__ = ["ProxyLoad"]

MIB = 1 << 20
SILENCE_SECONDS_MAX = 5.0
CHUNK_BYTES = 256 << 10
#: The data repeat after so many bytes. No buffer's size divides that, so what is lost, doubled or swapped is found.
PERIOD_BYTES = MIB + 7


class _End:
    """One end of the connection through the proxy: what it sends, and what it is to receive."""

    def __init__(self, connection: socket.socket, sends: bytes, receives: bytes) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.sent = self.received = 0
        self._sends = memoryview(sends)
        self._receives = receives

    def send(self, until: int) -> None:
        """Send once, up to the position `until`."""
        at = self.sent % PERIOD_BYTES
        self.sent += self.connection.send(self._sends[at : at + min(CHUNK_BYTES, until - self.sent)])

    def receive(self) -> None:
        """Receive once, and compare."""
        data = self.connection.recv(CHUNK_BYTES)
        if not data:
            raise WrongAnswer(f"closed after {self.received:,} bytes")
        if not self._receives.startswith(data, self.received % PERIOD_BYTES):
            raise WrongAnswer(f"wrong bytes between {self.received:,} and {self.received + len(data):,}")
        self.received += len(data)


@dataclass
class ProxyLoad:
    """Both ends send all the time. An operation is one MiB each way; a slice has at least `least_mib` of them."""

    least_mib: int
    _ends: list[_End] = field(default_factory=list, init=False, repr=False)

    def connect(self, address: Address) -> None:
        """Open the connection through the proxy, and have a MiB go each way."""
        there, back = (random.Random(seed).randbytes(PERIOD_BYTES) for seed in (1, 2))
        # Twice the beginning, so that each piece of a period is one slice of the whole.
        there, back = there + there[:CHUNK_BYTES], back + back[:CHUNK_BYTES]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SILENCE_SECONDS_MAX)
            assert not isinstance(address, str), "a proxy of TCP"
            client = socket.create_connection(address, SILENCE_SECONDS_MAX)
            client.sendall(b"%d\n" % listener.getsockname()[1])
            try:
                server, _ = listener.accept()
            except TimeoutError:
                client.close()
                raise WrongAnswer("the proxy does not connect to the server behind it") from None
        self._ends = [_End(client, there, back), _End(server, back, there)]
        self._pump(0.0, 1)

    def run(self, seconds: float) -> Measured:
        """Send for `seconds` and return when every byte has arrived."""
        begun = time.perf_counter_ns()
        return Measured(self._pump(seconds, self.least_mib), wall_ns=time.perf_counter_ns() - begun)

    def close(self) -> None:
        """Close both ends."""
        for end in self._ends:
            end.connection.close()
        self._ends.clear()

    def _pump(self, seconds: float, least_mib: int) -> int:
        """Send and receive; how many MiB went each way."""
        first = self._ends[0].sent
        until, sending = 1 << 62, True
        deadline = time.perf_counter() + seconds
        ends = {end.connection.fileno(): end for end in self._ends}
        with select.epoll() as poll:
            for number in ends:
                poll.register(number, select.EPOLLIN | select.EPOLLOUT)
            while any(end.received < until for end in self._ends):
                ready = poll.poll(SILENCE_SECONDS_MAX)
                if not ready:
                    raise WrongAnswer(f"nothing has arrived for {SILENCE_SECONDS_MAX:g} s")
                if sending and time.perf_counter() >= deadline:
                    # From here on both ends send up to the same whole MiB.
                    most = max(end.sent for end in self._ends) - first
                    until, sending = first + max(-(-most // MIB), least_mib) * MIB, False
                for number, events in ready:
                    end = ends[number]
                    if events & ~select.EPOLLOUT:
                        end.receive()
                    if events & select.EPOLLOUT:
                        if end.sent < until:
                            end.send(until)
                        else:
                            poll.modify(number, select.EPOLLIN)
        return (until - first) // MIB
