"""A descriptor is closed and its number given out again at once: whoever has it now hears of its own events only.

Each kind of owner is ended while an event for it is on its way, and followed by each kind of owner under the same
number. uvloop #645, aiohttp #10362, aiohappyeyeballs #93, #105: a late event or a second close reached the next owner,
and responses went to the wrong request.
"""

import asyncio
import contextlib
import errno
import os
import socket

import pytest

from support import BufferedRecorder, Recorder, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

QUIET_TURNS = 4
OWN = b"own"


def is_open(number):
    try:
        os.fstat(number)
    except OSError as exc:
        assert exc.errno == errno.EBADF
        return False
    return True


def at_number(number, sock):
    """The same socket under another number, which is free."""
    if number is None or sock.fileno() == number:
        return sock
    assert not is_open(number)
    os.dup2(sock.fileno(), number)
    family, kind = sock.family, sock.type
    sock.close()
    return socket.socket(family, kind, fileno=number)


class Owner:
    """Somebody who has a descriptor in the loop: `start`, `poke` (data for it), `heard`, `end` (at once), `finish`."""

    async def start(self, number=None):
        self.loop = asyncio.get_running_loop()
        ours, self.peer = socket.socketpair()
        self.ours = at_number(number, ours)
        self.ours.setblocking(False)
        self.number = self.ours.fileno()
        await self.own()

    def poke(self):
        self.peer.send(OWN)

    async def finish(self):
        self.end()
        await until(lambda: not is_open(self.number))
        self.peer.close()


class Transport(Owner):
    protocol_class = Recorder

    async def own(self):
        self.transport, self.protocol = await self.loop.create_connection(self.protocol_class, sock=self.ours)

    def heard(self):
        return bytes(self.protocol.data) + b"lost" * ("lost" in self.protocol.events)

    def end(self):
        self.transport.abort()


class BufferedTransport(Transport):
    protocol_class = BufferedRecorder


class WritingTransport(Transport):
    """Its number is watched for room to write as well."""

    async def own(self):
        await super().own()
        with contextlib.suppress(BlockingIOError):
            while True:
                self.ours.send(bytes(1 << 20))
        self.transport.write(b"!")

    def end(self):
        # Room to write, and then the end: both events are on their way.
        self.peer.recv(1 << 20)
        self.transport.abort()


class Listener(Owner):
    async def start(self, number=None):
        self.loop = asyncio.get_running_loop()
        self.ours = at_number(number, socket.create_server(("127.0.0.1", 0)))
        self.number = self.ours.fileno()
        self.address = self.ours.getsockname()
        self.accepted = []
        self.server = await self.loop.create_server(self.protocol, sock=self.ours)
        self.peer = socket.socket()

    def protocol(self):
        self.accepted.append(Recorder())
        return self.accepted[-1]

    def poke(self):
        self.peer.connect(self.address)
        self.peer.send(OWN)

    def heard(self):
        return b"".join(bytes(protocol.data) for protocol in self.accepted)

    def end(self):
        self.server.close()

    async def finish(self):
        await super().finish()
        await asyncio.sleep(0)
        for protocol in self.accepted:
            protocol.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class Datagram(Owner):
    class Protocol(asyncio.DatagramProtocol):
        def __init__(self):
            self.data = b""

        def datagram_received(self, data, address):
            self.data += data

        def error_received(self, exc):
            self.data += b"error"

        def connection_lost(self, exc):
            self.data += b"lost"

    async def start(self, number=None):
        self.loop = asyncio.get_running_loop()
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ours.bind(("127.0.0.1", 0))
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.connect(ours.getsockname())
        self.ours = at_number(number, ours)
        self.ours.setblocking(False)
        self.number = self.ours.fileno()
        self.transport, self.protocol = await self.loop.create_datagram_endpoint(self.Protocol, sock=self.ours)

    def heard(self):
        return self.protocol.data

    def end(self):
        self.transport.abort()


class ReadPipe(Owner):
    async def own(self):
        self.transport, self.protocol = await self.loop.connect_read_pipe(Recorder, self.ours)

    def heard(self):
        return bytes(self.protocol.data) + b"lost" * ("lost" in self.protocol.events)

    def end(self):
        if not self.transport.is_closing():
            self.transport.close()


class WritePipe(Owner):
    """It hears of nothing but the end of its reader."""

    async def own(self):
        self.transport, self.protocol = await self.loop.connect_write_pipe(Recorder, self.ours)

    def poke(self):
        self.peer.close()

    def heard(self):
        return OWN * ("lost" in self.protocol.events)

    def end(self):
        if not self.transport.is_closing():
            self.transport.abort()


class Reader(Owner):
    async def own(self):
        self.data = b""
        self.loop.add_reader(self.ours, self.read)

    def read(self):
        # Called without anything to read, this raises, and the loop reports it.
        self.data += self.ours.recv(100)

    def heard(self):
        return self.data

    def end(self):
        if self.ours.fileno() != -1:
            self.loop.remove_reader(self.ours)
            self.ours.close()


class ClosedReader(Reader):
    """Closed before it is removed, as programs do that do not read the documentation."""

    def end(self):
        if self.ours.fileno() != -1:
            self.ours.close()
            self.loop.remove_reader(self.number)


class SockRecv(Owner):
    async def own(self):
        self.data = b""
        self.task = self.loop.create_task(self.read())
        await asyncio.sleep(0)

    async def read(self):
        try:
            while True:
                self.data += await self.loop.sock_recv(self.ours, 100)
        finally:
            self.ours.close()

    def heard(self):
        return self.data

    def end(self):
        self.task.cancel()


OWNERS = [
    *(Transport, BufferedTransport, WritingTransport, Listener, Datagram, ReadPipe, WritePipe),
    *(Reader, ClosedReader, SockRecv),
]


@pytest.mark.parametrize("before", OWNERS, ids=lambda owner: owner.__name__)
def test_late_event_reaches_no_other_owner_of_the_number(loop, before):
    async def succeed(after):
        first, second = before(), after()
        trigger, pull = socket.socketpair()
        ended = loop.create_future()

        def end():
            trigger.recv(1)
            first.end()
            ended.set_result(None)

        await first.start()
        loop.add_reader(trigger, end)
        # Both are ready in the same turn: the end comes first, and the event for who was ended is late.
        pull.send(b"!")
        first.poke()
        await ended
        loop.remove_reader(trigger)
        while is_open(first.number):
            await asyncio.sleep(0)
        await second.start(first.number)
        for _ in range(QUIET_TURNS):
            assert second.heard() == b""
            await asyncio.sleep(0)
        second.poke()
        await until(second.heard)
        assert second.heard() == OWN
        first.peer.close()
        await second.finish()
        trigger.close()
        pull.close()

    async def main():
        for after in OWNERS:
            await succeed(after)

    loop.run_until_complete(main())
