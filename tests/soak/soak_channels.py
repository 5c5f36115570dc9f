"""What the soak run does on the channels beside plain TCP: TLS, Unix sockets, datagrams, pipes, files, raw sockets and
child processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soak import Soak

CERTIFICATE = Path(__file__).parents[1] / "certificates" / "localhost.pem"
GARBAGE = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(1000))
DATAGRAM_WAIT_S = 0.02
CHILDREN_AT_FIRST = 40


class Counting(asyncio.Protocol):
    """Counts what comes, and tells of progress and of the end."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = asyncio.Event()
        self.progress = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.progress.set()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.data_received(data)

    def error_received(self, exc: OSError) -> None:
        self.progress.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.progress.set()
        self.lost.set()


class EchoDatagrams(asyncio.DatagramProtocol):
    """Answers each datagram with itself."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


class Channels:
    """The servers of these channels, and what a client needs to know of them."""

    def __init__(self, server_side: Callable[[], asyncio.Protocol]) -> None:
        self.server_side = server_side
        self.unix_name = f"\0tideloop-soak-{os.getpid()}"
        self.client_context = ssl.create_default_context(cafile=str(CERTIFICATE))
        self.tls_address: Any = None
        self.datagram_address: Any = None
        self._servers: list[Any] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        # Sessions that OpenSSL keeps for later would look like growth.
        context.num_tickets = 0
        tls = await loop.create_server(self.server_side, "127.0.0.1", 0, ssl=context, ssl_handshake_timeout=1)
        unix = await loop.create_unix_server(self.server_side, self.unix_name)
        datagrams, _ = await loop.create_datagram_endpoint(EchoDatagrams, ("127.0.0.1", 0))
        self.tls_address = tls.sockets[0].getsockname()
        self.datagram_address = datagrams.get_extra_info("sockname")
        self._servers = [tls, unix, datagrams]
        self._file.write(b"f" * 50_000)
        self._file.flush()
        # The pool of threads that start children is soon full: what they need is no growth.
        await asyncio.gather(*[_child() for _ in range(CHILDREN_AT_FIRST)])

    def close(self) -> None:
        """End it."""
        for server in self._servers:
            server.close()
        self._file.close()

    def connect_tls(self) -> Any:
        """A client over TLS."""
        loop = asyncio.get_running_loop()
        return loop.create_connection(
            Counting, *self.tls_address, ssl=self.client_context, server_hostname="localhost", ssl_shutdown_timeout=1
        )

    def connect_unix(self) -> Any:
        """A client over a Unix socket."""
        return asyncio.get_running_loop().create_unix_connection(Counting, self.unix_name)

    @property
    def file(self) -> Any:
        """A file of 50,000 bytes."""
        return self._file


async def _child() -> None:
    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
    await child.communicate(b"c" * 100_000)


async def _dialogue(soak: Soak, connect: Any) -> None:
    """Write some messages, see them come back or the server hang up, and leave politely or not."""
    transport, client = await connect
    sent = 0
    for _ in range(soak.random.randrange(1, 6)):
        data = b"x" * soak.random.choice((1, 100, 1024, 16_384, 100_000))
        sent += len(data)
        transport.write(data)
        if soak.random.random() < 0.5:
            await asyncio.sleep(0)
    if soak.random.random() < 0.8:
        while client.received < sent and not client.lost.is_set():
            client.progress.clear()
            await client.progress.wait()
    if soak.random.random() < 0.3:
        transport.abort()
    else:
        transport.close()
    await client.lost.wait()


async def tls(soak: Soak) -> None:
    """A dialogue over TLS, which the server may have reset in its handshake."""
    with contextlib.suppress(OSError):
        await _dialogue(soak, soak.channels.connect_tls())


async def unix(soak: Soak) -> None:
    """A dialogue over a Unix socket."""
    await _dialogue(soak, soak.channels.connect_unix())


async def cancel_tls(soak: Soak) -> None:
    """Cancel a handshake at a random moment."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(soak.channels.connect_tls())
    for _ in range(soak.random.randrange(12)):
        await asyncio.sleep(0)
    task.cancel()
    try:
        transport, client = await task
    except (asyncio.CancelledError, OSError):
        return
    transport.abort()
    await client.lost.wait()


async def garbage(soak: Soak) -> None:
    """Send to the TLS server what is no TLS, and hang up."""
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, soak.channels.tls_address)
        with contextlib.suppress(OSError):
            sock.send(soak.random.choice(GARBAGE))
        await asyncio.sleep(0.001)


async def datagrams(soak: Soak) -> None:
    """Some datagrams to the server, or to nobody; the answers are waited for a while."""
    loop = asyncio.get_running_loop()
    address = soak.channels.datagram_address if soak.random.random() < 0.9 else ("127.0.0.1", 9)
    transport, client = await loop.create_datagram_endpoint(Counting, remote_addr=address)
    sent = 0
    for _ in range(soak.random.randrange(1, 20)):
        data = b"d" * soak.random.randrange(1, 1400)
        sent += len(data)
        transport.sendto(data)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DATAGRAM_WAIT_S):
            while client.received < sent:
                client.progress.clear()
                await client.progress.wait()
    transport.close()
    await client.lost.wait()


async def pipes(soak: Soak) -> None:
    """Through a pipe and out again; now and then one end vanishes in the middle."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    source, reader = await loop.connect_read_pipe(Counting, os.fdopen(reading, "rb", 0))
    sink, writer = await loop.connect_write_pipe(Counting, os.fdopen(writing, "wb", 0))
    size = soak.random.choice((1, 1000, 200_000))
    sink.write(b"p" * size)
    if soak.random.random() < 0.2:
        source.close()
    sink.close()
    await reader.lost.wait()
    if not source.is_closing():
        assert reader.received == size
    source.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(writer.lost.wait(), 5)


async def raw_sockets(soak: Soak) -> None:
    """sock_connect, sock_sendall and sock_recv, the last one cancelled now and then."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, soak.address)
        with contextlib.suppress(OSError, TimeoutError):
            await loop.sock_sendall(sock, b"r" * 1000)
            async with asyncio.timeout(soak.random.choice((0, 0.001, 5))):
                received = 0
                while received < 1000 and (data := await loop.sock_recv(sock, 300)):
                    received += len(data)


async def children(soak: Soak) -> None:
    """A child that copies what it is told, waited for, killed, or given up."""
    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
    way = soak.random.random()
    if way < 0.7:
        data = b"c" * soak.random.choice((1, 1000, 200_000))
        output, _ = await child.communicate(data)
        assert output == data
    else:
        if way < 0.85:
            child.kill()
        child._transport.close()
        await child.wait()


async def files(soak: Soak) -> None:
    """Send a file over TCP or a Unix socket, and see it come back or the server hang up."""
    loop = asyncio.get_running_loop()
    if soak.random.random() < 0.5:
        transport, client = await soak.channels.connect_unix()
    else:
        transport, client = await loop.create_connection(Counting, *soak.address)
    offset = soak.random.randrange(40_000)
    with contextlib.suppress(OSError):
        sent = await loop.sendfile(transport, soak.channels.file, offset)
        while client.received < sent and not client.lost.is_set():
            client.progress.clear()
            await client.progress.wait()
    transport.close()
    await client.lost.wait()


ACTIONS: dict[Callable[[Soak], Awaitable[None]], int] = {
    tls: 8,
    cancel_tls: 3,
    garbage: 3,
    unix: 10,
    datagrams: 5,
    pipes: 5,
    raw_sockets: 5,
    files: 5,
    children: 2,
}
