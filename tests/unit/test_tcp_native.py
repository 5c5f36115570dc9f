"""What is Tideloop's own about TCP: when bytes leave, who owns a descriptor, and what an idle connection costs."""

import asyncio
import errno
import gc
import os
import select
import socket
import threading
import warnings
import weakref

import pytest

from support import Recorder, connected, gone, receive_all, reports, until
from tideloop import _native

LOCAL = "127.0.0.1"

#: Bytes of an object's head that only the collector sees.
COLLECTOR_HEAD_BYTES = 16


def waiting(peer: socket.socket) -> bytes:
    """What has arrived at the peer so far."""
    return peer.recv(1 << 20) if select.select([peer], [], [], 0)[0] else b""


def left(peer: socket.socket) -> bytes:
    """What has left the transport so far, and may still be on its way; meanwhile the loop stands still."""
    return peer.recv(1 << 20) if select.select([peer], [], [], 10)[0] else b""


async def accepted(loop, factory=Recorder):
    """A server's transport, its protocol, the server, and a plain socket at the other end."""
    made = []

    def make():
        made.append(factory())
        return made[-1]

    server = await loop.create_server(make, LOCAL, 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.settimeout(10)
    await until(lambda: made and made[0].transport is not None)
    return made[0].transport, made[0], server, peer


def test_small_writes_leave_together_at_the_end_of_the_turn(run):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"head ")
        transport.write(b"body")
        assert waiting(peer) == b""
        await asyncio.sleep(0)
        assert left(peer) == b"head body"
        transport.close()
        await gone(protocol)
        peer.close()

    run(main())


@pytest.mark.parametrize("sizes", [(64 * 1024,), (40_000, 40_000)])
def test_large_writes_leave_at_once(run, sizes):
    async def main():
        transport, protocol, peer = await connected()
        for size in sizes:
            transport.write(bytes(size))
        assert left(peer) != b""
        transport.abort()
        await gone(protocol)
        peer.close()

    run(main())


def test_writes_above_the_high_water_mark_leave_at_once(run):
    async def main():
        transport, protocol, peer = await connected()
        transport.set_write_buffer_limits(high=10)
        transport.write(b"0123456789")
        assert waiting(peer) == b""
        transport.write(b"a")
        assert left(peer) == b"0123456789a"
        assert "pause" not in protocol.events
        transport.close()
        await gone(protocol)
        peer.close()

    run(main())


def test_writes_while_the_loop_does_not_run_leave_at_once(run):
    transport, protocol, peer = run(connected())
    transport.write(b"between two runs")
    assert left(peer) == b"between two runs"
    transport.close()
    run(gone(protocol))
    peer.close()


def test_writes_of_another_thread_leave_although_the_loop_is_parked(run):
    async def main():
        transport, protocol, peer = await connected()
        writer = threading.Thread(target=transport.write, args=(b"from elsewhere",))
        received = asyncio.get_running_loop().run_in_executor(None, peer.recv, 100)
        writer.start()
        assert await received == b"from elsewhere"
        writer.join()
        transport.close()
        await gone(protocol)
        peer.close()

    run(main())


def test_instance_of_a_bytes_subclass_may_die_while_the_transport_sends(run):
    class Chunk(bytes):
        def __del__(self):
            transport.write(b"+")

    async def main():
        nonlocal transport
        transport, protocol, peer = await connected()
        transport.write(Chunk(b"a"))
        transport.writelines([Chunk(b"b"), Chunk(b"c")])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"abc+++"
        peer.close()

    transport = None
    run(main())


def test_accepted_connection_gives_its_descriptor_to_the_socket_that_is_asked_for(run, loop):
    async def main():
        transport, protocol, server, peer = await accepted(loop)
        wrapper = transport.get_extra_info("socket")
        assert wrapper is transport.get_extra_info("socket")
        assert wrapper.fileno() == transport._sock_fd
        assert wrapper.getpeername() == peer.getsockname()
        assert wrapper.gettimeout() == 0
        number = wrapper.fileno()
        transport.close()
        await gone(protocol)
        assert wrapper.fileno() == -1
        # Whoever gets the number next keeps it.
        reader, writer = os.pipe()
        assert number in (reader, writer)
        del transport, wrapper
        protocol.transport = None
        gc.collect()
        os.write(writer, b"x")
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        os.close(writer)
        peer.close()
        server.close()
        await server.wait_closed()

    run(main())


def test_closed_transport_that_was_never_asked_for_its_socket_gives_a_closed_one(run, loop):
    async def main():
        transport, protocol, server, peer = await accepted(loop)
        address = peer.getpeername()
        transport.close()
        await gone(protocol)
        assert transport.get_extra_info("socket").fileno() == -1
        assert transport.get_extra_info("sockname") == address
        assert transport.get_extra_info("peername") == peer.getsockname()
        peer.close()
        server.close()
        await server.wait_closed()

    run(main())


def test_protocol_that_only_looks_buffered_is_read_into_its_buffer(run):
    class Filled:
        def __init__(self):
            self.buffer = bytearray(8)
            self.filled = []

        def connection_made(self, transport):
            pass

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            self.filled.append(bytes(self.buffer[:nbytes]))

        def eof_received(self):
            return False

        def connection_lost(self, exc):
            self.filled.append(exc)

    async def main():
        _, protocol, peer = await connected(Filled())
        peer.sendall(b"received")
        await until(lambda: protocol.filled)
        peer.close()
        await until(lambda: protocol.filled == [b"received", None])

    run(main())


def test_answer_of_several_writes_leaves_in_one_system_call(run, loop):
    class Answers(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"head ")
            self.transport.writelines([b"bo", bytearray(b"dy")])

    async def main():
        # A socket that keeps apart what was sent apart.
        ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        protocol = Answers()
        transport = _native.SocketTransport(loop, ours, protocol)
        peer.send(b"question")
        assert await loop.run_in_executor(None, peer.recv, 100) == b"head body"
        transport.close()
        await gone(protocol)
        peer.close()

    run(main())


def test_answer_before_an_error_in_data_received_still_arrives(run, loop):
    class Fails(Recorder):
        def data_received(self, data):
            self.transport.write(b"sorry")
            raise LookupError("no answer")

    async def main():
        _, protocol, peer = await connected(Fails())
        peer.sendall(b"question")
        await gone(protocol)
        assert receive_all(peer) == b"sorry"
        peer.close()

    with reports(loop) as seen:
        run(main())
        assert isinstance(seen[0]["exception"], LookupError)
        seen.clear()


def test_idle_transport_is_small():
    assert _native.SocketTransport.__basicsize__ + COLLECTOR_HEAD_BYTES <= 250


def test_transport_without_a_socket_is_harmless():
    transport = _native.SocketTransport.__new__(_native.SocketTransport)
    assert transport.is_closing()
    assert not transport.is_reading()
    assert transport.get_protocol() is None
    assert transport.get_extra_info("peername") is None
    assert transport.get_extra_info("sockname") is None
    assert transport.get_extra_info("socket").fileno() == -1
    assert repr(transport) == "<SocketTransport closed fd=-1>"
    for method in (transport.close, transport.abort, transport.pause_reading, transport.resume_reading):
        method()
    transport.write(b"nowhere")
    transport.set_write_buffer_limits(0)
    with pytest.raises(RuntimeError):
        transport._make_empty_waiter()


def test_transport_takes_one_socket_only(run, loop):
    async def main():
        transport, protocol, peer = await connected()
        with pytest.raises(RuntimeError, match="has a socket already"):
            transport.__init__(loop, socket.socket(), protocol)
        transport.close()
        await gone(protocol)
        peer.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(main())
        gc.collect()


def test_ten_thousand_forgotten_transports_in_cycles_are_collected_and_closed(loop):
    batch, batches = 1_000, 10
    loop.run_until_complete(asyncio.sleep(0))
    before = len(os.listdir("/proc/self/fd"))
    deaths = []

    async def forget():
        for _ in range(batch):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.close()
            protocol = Recorder()
            transport = _native.SocketTransport(loop, ours, protocol)
            weakref.finalize(transport, deaths.append, None)
            await asyncio.sleep(0)
            transport.pause_reading()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(1, batches + 1):
            loop.run_until_complete(forget())
            gc.collect()
            assert len(deaths) == number * batch
        unclosed = [w for w in caught if str(w.message).startswith("unclosed transport <SocketTransport fd=")]
        assert len(unclosed) == batch * batches
        # The warnings' sources hold the transports; closed they are all the same.
        assert len(os.listdir("/proc/self/fd")) == before


def test_transport_that_is_brought_back_to_life_by_its_warning_is_closed_and_stays_silent(loop):
    async def forget():
        transport, _, peer = await connected()
        transport.pause_reading()
        transport.get_protocol().transport = None
        return peer

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peer = loop.run_until_complete(forget())
        gc.collect()
        assert peer.recv(1) == b""
        peer.close()
        back = caught[0].source
        assert isinstance(back, _native.SocketTransport)
        assert back.is_closing()
        back.write(b"too late")
        back.close()
        back.abort()
        caught.clear()
        del back
        gc.collect()
        assert caught == []


def test_loop_lives_on_when_a_transport_cannot_be_watched(run, loop):
    async def main():
        transport, protocol, peer = await connected()
        number = transport._sock_fd
        spare = os.dup(number)
        os.close(number)
        transport.write(b"x")
        await gone(protocol)
        assert protocol.lost.errno == errno.EBADF
        os.close(spare)
        peer.close()

    with reports(loop) as seen:
        run(main())
        # Python's socket cannot close what is closed already.
        assert [context["exception"].errno for context in seen] == [errno.EBADF]
        seen.clear()
