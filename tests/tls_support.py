"""Certificates made at test time, contexts, and peers that speak TLS byte by byte."""

import asyncio
import functools
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support import Recorder, until

LOCAL = "127.0.0.1"
HANDSHAKE_SECONDS_MAX = 20.0

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="certificates are made with the openssl command, which is not here"
)


@functools.cache
def certificate(*names: str) -> tuple[str, str]:
    """A self-signed certificate for these names and its key, as paths. Made once per process."""
    folder = Path(tempfile.mkdtemp(prefix="tideloop-certificates-"))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={names[0]}"]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    subprocess.run(command, check=True, capture_output=True)
    return str(certificate), str(key)


def server_context(*names: str, **options: Any) -> ssl.SSLContext:
    """A server's context with a certificate for `names` (localhost if there are none); attributes by keyword."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(*(names or ("localhost",))))
    for name, value in options.items():
        setattr(context, name, value)
    return context


def client_context(*names: str, **options: Any) -> ssl.SSLContext:
    """A client's context that trusts the certificate for `names`, and no other."""
    context = ssl.create_default_context(cafile=certificate(*(names or ("localhost",)))[0])
    for name, value in options.items():
        setattr(context, name, value)
    return context


async def serving(factory: Any, context: ssl.SSLContext | None = None, **options: Any) -> tuple[Any, tuple[str, int]]:
    """A TLS server on the running loop, and its address."""
    server = await asyncio.get_running_loop().create_server(
        factory, LOCAL, 0, ssl=context or server_context(), **options
    )
    return server, server.sockets[0].getsockname()


async def connecting(factory: Any, address: tuple[str, int], context: ssl.SSLContext | None = None, **options: Any):
    """A TLS client on the running loop: transport and protocol."""
    options.setdefault("server_hostname", "localhost")
    loop = asyncio.get_running_loop()
    return await loop.create_connection(factory, *address, ssl=context or client_context(), **options)


async def pair(
    server_protocol: Any = None, client_protocol: Any = None, contexts: Any = (None, None)
) -> tuple[Any, Any, Any]:
    """A server that is still listening, and the protocols (Recorders) of one connection to it."""
    server_protocol = Recorder() if server_protocol is None else server_protocol
    client_protocol = Recorder() if client_protocol is None else client_protocol
    server, address = await serving(lambda: server_protocol, contexts[0])
    await connecting(lambda: client_protocol, address, contexts[1])
    await until(lambda: server_protocol.transport is not None)
    return server, server_protocol, client_protocol


async def ended(server: Any, *protocols: Any) -> None:
    """Close the protocols' transports and the server, and wait for all of them."""
    for protocol in protocols:
        protocol.transport.close()
    server.close()
    await until(lambda: all("lost" in protocol.events for protocol in protocols))
    await server.wait_closed()


class Peer:
    """TLS at the other end of a blocking socket, one record at a time: what it says and leaves out is the test's."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hostname = None if server_side else "localhost"
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=hostname)

    def _repeat(self, call: Any, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    raise EOFError("the connection has ended") from None
                self.incoming.write(data)
            finally:
                self.flush()

    def flush(self) -> None:
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def handshake(self) -> None:
        self._repeat(self.tls.do_handshake)

    def records(self, *parts: bytes) -> bytes:
        """The ciphertext of these parts, a record each, for the test to send."""
        for part in parts:
            self.tls.write(part)
        return self.outgoing.read()

    def close_notify(self) -> bytes:
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def unwrap(self) -> None:
        """Exchange close_notify. A socket that is closed before resets the connection for what it has not read."""
        self._repeat(self.tls.unwrap)

    def send(self, data: bytes) -> None:
        self._repeat(self.tls.write, data)

    def recv(self, size: int = 65536) -> bytes:
        return self._repeat(self.tls.read, size)

    def recv_exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += self.recv(size - len(data))
        return bytes(data)


async def with_peer(protocol: Any, *, server_side: bool, context: ssl.SSLContext | None = None, **options: Any):
    """A transport of the loop under test over a socket pair, its protocol, and a `Peer` that has shaken hands."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.settimeout(HANDSHAKE_SECONDS_MAX)
    peer_context = client_context() if server_side else server_context()
    peer = Peer(theirs, context or peer_context, server_side=not server_side)
    shaking = loop.run_in_executor(None, peer.handshake)
    if server_side:
        made = loop.connect_accepted_socket(lambda: protocol, ours, ssl=server_context(), **options)
    else:
        made = loop.create_connection(
            lambda: protocol, sock=ours, ssl=client_context(), server_hostname="localhost", **options
        )
    transport, _ = await made
    await shaking
    return transport, protocol, peer
