"""Every kind of byte stream that a loop has, each with a blocking peer to speak to from a thread.

`open_channel(kind, protocol)` gives a transport of the loop under test, its protocol, and the peer. `small=True` asks
for the smallest buffers that the kernel gives, so that every write is cut short.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import sys
from pathlib import Path

from support import Recorder, connected, receive_all

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.pem"
SMALL = 4096

#: Channels that carry bytes both ways between this process and a blocking socket.
SOCKETS = ("tcp", "unix", "tls", "unix tls")


def server_context():
    """A context for a TLS server named localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_context():
    """A context for a client that trusts it."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


async def open_channel(kind, protocol=None, *, small=False):
    """A transport of the loop under test over `kind`, its protocol, and a plain blocking socket at the other end."""
    loop = asyncio.get_running_loop()
    protocol = Recorder() if protocol is None else protocol
    if kind == "tcp":
        return await connected(protocol, sndbuf=SMALL if small else None, rcvbuf=SMALL if small else None)
    ours, theirs = await (unix_pair(small) if kind.startswith("unix") else tcp_pair(small))
    if kind == "unix":
        transport, protocol = await loop.create_unix_connection(lambda: protocol, sock=ours)
        return transport, protocol, theirs
    accepting = asyncio.ensure_future(asyncio.to_thread(server_context().wrap_socket, theirs, server_side=True))
    connect = loop.create_unix_connection if kind == "unix tls" else loop.create_connection
    transport, protocol = await connect(lambda: protocol, sock=ours, ssl=client_context(), server_hostname="localhost")
    return transport, protocol, await accepting


async def unix_pair(small):
    """A connected pair of Unix sockets: ours non-blocking, theirs with a time-out."""
    ours, theirs = socket.socketpair()
    return _prepared(ours, theirs, small)


async def tcp_pair(small):
    """The same over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return _prepared(ours, theirs, small)


def _prepared(ours, theirs, small):
    if small:
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    ours.setblocking(False)
    theirs.settimeout(10)
    return ours, theirs


def hang_up(peer):
    """Close the peer's end, as rudely as it can be: no TLS farewell."""
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
    peer.close()


def read_to_end(peer):
    """Everything up to the end of the stream, and an answer to a TLS farewell."""
    data = receive_all(peer)
    if isinstance(peer, ssl.SSLSocket):
        with contextlib.suppress(OSError, ssl.SSLError):
            peer.unwrap()
    return data


#: A program that copies its input to its output, as slowly as pipes are.
CAT = (sys.executable, "-c", "import os\nwhile data := os.read(0, 1000):\n    os.write(1, data)")


def drain_pipe(fd):
    """Everything that comes out of a pipe, in small pieces, and close it."""
    chunks = []
    while chunk := os.read(fd, 1000):
        chunks.append(chunk)
    os.close(fd)
    return b"".join(chunks)


#: Channels that carry bytes one way, seen from the loop.
PIPES = ("write pipe", "read pipe")


async def open_pipe(kind, protocol=None, *, small=False):
    """A pipe transport of the loop under test, its protocol, and an unbuffered file object at the other end."""
    loop = asyncio.get_running_loop()
    protocol = Recorder() if protocol is None else protocol
    reading, writing = os.pipe()
    if small:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    if kind == "write pipe":
        connect, ours, theirs = loop.connect_write_pipe, os.fdopen(writing, "wb", 0), os.fdopen(reading, "rb")
    else:
        connect, ours, theirs = loop.connect_read_pipe, os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
    transport, protocol = await connect(lambda: protocol, ours)
    return transport, protocol, theirs
