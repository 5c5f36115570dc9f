"""Every callback of a protocol comes in the context that its connection was made in, whoever caused it.

asyncio calls connection_lost() in the context of whoever closes, and pause_writing() in that of whoever writes; uvloop
and Tideloop do not (uvloop's tests/test_context.py).
"""

import asyncio
import contextvars
import os
import socket

import pytest

VAR = contextvars.ContextVar("VAR", default="default")


class Watched(asyncio.Protocol):
    def __init__(self):
        self.seen = []
        self.ended = asyncio.get_running_loop().create_future()

    def note(self, name):
        self.seen.append((name, VAR.get()))

    def pause_writing(self):
        self.note("pause")

    def resume_writing(self):
        self.note("resume")

    def connection_lost(self, exc):
        self.note("lost")
        self.ended.set_result(None)


async def elsewhere(function, *args):
    """Call a function in a context of its own, where VAR is another."""

    async def call():
        VAR.set("elsewhere")
        function(*args)

    await asyncio.create_task(call())


async def connect(kind, ours, loop):
    if kind == "datagram":
        return await loop.create_datagram_endpoint(Watched, sock=ours)
    if kind == "pipe":
        return await loop.connect_write_pipe(Watched, open(os.dup(ours.fileno()), "wb", buffering=0))
    return await loop.create_connection(Watched, sock=ours)


@pytest.mark.parametrize("kind", ["stream", "datagram", "pipe"])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_connection_lost_comes_in_the_context_of_the_connecting(run, kind, end):
    async def main():
        VAR.set("connecting")
        ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        with ours, theirs:
            transport, protocol = await connect(kind, ours, asyncio.get_running_loop())
            VAR.set("changed")
            await elsewhere(getattr(transport, end))
            await protocol.ended
        return protocol.seen

    assert run(main()) == [("lost", "connecting")]


@pytest.mark.parametrize("kind", ["stream", "datagram", "pipe"])
def test_pause_and_resume_writing_come_in_the_context_of_the_connecting(run, kind):
    async def main():
        loop = asyncio.get_running_loop()
        VAR.set("connecting")
        ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        with ours, theirs:
            theirs.setblocking(False)
            transport, protocol = await connect(kind, ours, loop)
            transport.set_write_buffer_limits(high=0)

            def fill():
                while not transport.get_write_buffer_size():
                    if kind == "datagram":
                        transport.sendto(b"x" * 1000)
                    else:
                        transport.write(b"x" * 65536)

            await elsewhere(fill)
            while len(protocol.seen) < 2:
                await loop.sock_recv(theirs, 65536)
                await asyncio.sleep(0)
            await elsewhere(transport.abort)
            await protocol.ended
        return protocol.seen

    assert run(main()) == [("pause", "connecting"), ("resume", "connecting"), ("lost", "connecting")]


def test_pause_writing_may_come_while_its_context_is_entered(run):
    """data_received() runs in that very context, and writes more than the kernel takes."""

    async def main():
        loop = asyncio.get_running_loop()
        VAR.set("connecting")

        class Answers(Watched):
            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                VAR.set("reading")
                while not self.transport.get_write_buffer_size():
                    self.transport.write(b"x" * 65536)

        ours, theirs = socket.socketpair()
        with ours, theirs:
            transport, protocol = await loop.create_connection(Answers, sock=ours)
            transport.set_write_buffer_limits(high=0)
            theirs.send(b"?")
            while not protocol.seen:
                await asyncio.sleep(0)
            transport.abort()
            await protocol.ended
        return protocol.seen

    assert run(main())[0] == ("pause", "reading")
