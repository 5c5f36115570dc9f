"""How the listener accepts: in batches, with a pause when the system is out of descriptors, and never after its end."""

import asyncio
import errno
import resource
import socket

import pytest

from support import Recorder, gone, reports, until
from tideloop import _native

LOCAL = "127.0.0.1"


def test_system_out_of_descriptors_makes_the_listener_wait_a_second(run, loop, monkeypatch):
    retries = []

    def call_later(delay, callback, *args):
        if not retries and getattr(callback, "__name__", "") == "_resume":
            retries.append((delay, callback))
            return loop.call_soon(int)
        return _native.EventLoop.call_later(loop, delay, callback, *args)

    async def main():
        made = []

        class Kept(Recorder):
            def __init__(self):
                super().__init__()
                made.append(self)

        server = await loop.create_server(Kept, LOCAL, 0)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        peer = socket.create_connection(server.sockets[0].getsockname())
        # Below every descriptor that is open: accept() finds no number left.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await until(lambda: retries)
            for _ in range(20):
                await asyncio.sleep(0.001)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert made == []
        delay, again = retries[0]
        assert delay == 1.0
        again()
        await until(lambda: made and made[0].transport is not None)
        made[0].transport.close()
        await gone(made[0])
        peer.close()
        server.close()
        await server.wait_closed()

    monkeypatch.setattr(loop, "call_later", call_later, raising=False)
    with reports(loop) as seen:
        run(main())
        assert [context["message"] for context in seen] == ["socket.accept() out of system resource"]
        assert seen[0]["exception"].errno == errno.EMFILE
        assert isinstance(seen[0]["socket"], asyncio.trsock.TransportSocket)
        seen.clear()


def test_listener_that_is_closed_while_it_waits_never_accepts_again(run, loop):
    async def main():
        sock = socket.create_server((LOCAL, 0))
        sock.setblocking(False)
        made = []
        listener = _native.Listener(loop, sock, lambda: made.append(1), None, 10)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        peer = socket.create_connection(sock.getsockname())
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard[1]))
        try:
            await until(lambda: seen)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, hard)
        assert loop._timers_pending() >= 1
        timers = loop._timers_pending()
        listener.close()
        listener.close()
        assert loop._timers_pending() == timers - 1
        assert repr(listener) == f"<Listener fd={sock.fileno()} idle>"
        peer.close()
        sock.close()
        assert made == []

    with reports(loop) as seen:
        run(main())
        seen.clear()


def test_factory_that_closes_the_listener_ends_the_batch(run, loop):
    async def main():
        sock = socket.create_server((LOCAL, 0))
        sock.setblocking(False)
        made = []

        def factory():
            listener.close()
            made.append(Recorder())
            return made[-1]

        peers = [socket.create_connection(sock.getsockname()) for _ in range(3)]
        listener = _native.Listener(loop, sock, factory, None, 10)
        await until(lambda: made)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(made) == 1
        made[0].transport.abort()
        await gone(made[0])
        for peer in peers:
            peer.close()
        sock.close()

    run(main())


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt])
def test_factory_that_exits_leaves_the_loop_and_the_server_goes_on(loop, leaving):
    made = []

    def factory():
        made.append(Recorder())
        if len(made) == 1:
            raise leaving
        return made[-1]

    server = loop.run_until_complete(loop.create_server(factory, LOCAL, 0))
    peers = [socket.create_connection(server.sockets[0].getsockname())]
    with pytest.raises(leaving):
        loop.run_forever()
    peers.append(socket.create_connection(server.sockets[0].getsockname()))
    loop.run_until_complete(until(lambda: len(made) == 2 and made[1].transport is not None))
    assert peers[0].recv(1) == b""
    made[1].transport.close()
    loop.run_until_complete(gone(made[1]))
    server.close()
    loop.run_until_complete(server.wait_closed())
    for peer in peers:
        peer.close()


def test_server_whose_attach_fails_leaves_no_connection_behind(run, loop):
    class Refuses:
        def _attach(self, transport):
            raise LookupError("full")

    async def main():
        sock = socket.create_server((LOCAL, 0))
        sock.setblocking(False)
        listener = _native.Listener(loop, sock, Recorder, Refuses(), 10)
        peer = socket.create_connection(sock.getsockname())
        await until(lambda: seen)
        assert peer.recv(1) == b""
        peer.close()
        listener.close()
        sock.close()

    with reports(loop) as seen:
        run(main())
        assert isinstance(seen[0]["exception"], LookupError)
        assert isinstance(seen[0]["protocol"], Recorder)
        seen.clear()
