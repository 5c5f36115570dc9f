"""What comes together with the end of the handshake is delivered after start_tls() has returned.

asyncio hands it over first: a protocol that answers through the transport that start_tls() is about to return answers
in the clear, on the old one. uvloop's test_first_data_after_wakeup.
"""

import asyncio
import socket
import ssl

from channels import client_context, server_context


class Echo(asyncio.Protocol):
    """Goes over to TLS at once, and sends back what it is told, through the transport that it knows of."""

    def __init__(self, context):
        self.context = context
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.upgrade = asyncio.ensure_future(self.begin())

    async def begin(self):
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, self.context, server_side=True)

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.ended.set_result(None)


async def talk(sock):
    """Shake hands, sending the first data together with the last of the handshake; return the answer."""
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")

    async def until_done(call, *args):
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    await loop.sock_sendall(sock, outgoing.read())
                incoming.write(await loop.sock_recv(sock, 65536))

    await until_done(tls.do_handshake)
    tls.write(b"first")
    await loop.sock_sendall(sock, outgoing.read())
    return await until_done(tls.read, 100)


def test_answer_to_the_first_data_goes_through_the_transport_of_start_tls(run):
    async def main():
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with theirs:
            _, protocol = await asyncio.get_running_loop().create_connection(lambda: Echo(server_context()), sock=ours)
            assert await talk(theirs) == b"first"
            protocol.transport.abort()
            await protocol.ended

    run(main())
