"""Reading: pausing and resuming, buffered protocols, changing the protocol, protocols that raise."""

import asyncio
import socket
import sys

import pytest

from support import BufferedRecorder, Recorder, connected, gone, receive_all, reports, until


def test_paused_transport_reads_nothing_until_it_is_resumed(loop):
    async def main():
        transport, protocol, peer = await connected()
        assert transport.is_reading() is True
        transport.pause_reading()
        assert transport.is_reading() is False
        peer.sendall(b"waiting")
        await asyncio.sleep(0.01)
        assert protocol.data == b""
        transport.resume_reading()
        assert transport.is_reading() is True
        await until(lambda: protocol.data == b"waiting")
        transport.close()
        assert transport.is_reading() is False
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_pausing_and_resuming_twice_is_harmless(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.resume_reading()
        transport.pause_reading()
        transport.pause_reading()
        transport.resume_reading()
        transport.resume_reading()
        peer.sendall(b"x")
        await until(lambda: protocol.data == b"x")
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_pausing_inside_data_received_stops_the_data_at_once(loop):
    class Protocol(Recorder):
        calls = 0

        def data_received(self, data):
            super().data_received(data)
            self.calls += 1
            self.transport.pause_reading()

    async def main():
        transport, protocol, peer = await connected(Protocol())
        await asyncio.to_thread(peer.sendall, b"x" * 1_000_000)
        await until(lambda: protocol.calls == 1)
        await asyncio.sleep(0.01)
        assert protocol.calls == 1
        while len(protocol.data) < 1_000_000:
            calls = protocol.calls
            transport.resume_reading()
            await until(lambda calls=calls: protocol.calls > calls)
        assert protocol.data == b"x" * 1_000_000
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_transport_paused_in_connection_made_stays_paused(loop, loop_kind):
    if loop_kind == "asyncio" and sys.version_info < (3, 11, 7):
        pytest.skip("the first releases of 3.11 start reading all the same, by mistake")

    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async def main():
        transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"early")
        await asyncio.sleep(0.01)
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"early")
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_paused_transport_sees_the_end_of_file_after_it_is_resumed(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.pause_reading()
        peer.sendall(b"data")
        peer.close()
        await asyncio.sleep(0.01)
        assert protocol.events == ["made"]
        transport.resume_reading()
        await gone(protocol)
        assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_buffered_protocol_is_read_into_its_buffer(loop):
    async def main():
        _transport, protocol, peer = await connected(BufferedRecorder())
        peer.sendall(b"hello")
        await until(lambda: protocol.data == b"hello")
        peer.sendall(b" world")
        peer.close()
        await gone(protocol)
        assert protocol.data == b"hello world"
        assert protocol.events == ["made", "data", "eof", "lost"]
        assert set(protocol.hints) == {-1}

    loop.run_until_complete(main())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_small_buffer_gets_everything_piece_by_piece(loop, size):
    sent = bytes(range(256)) * 10

    async def main():
        _transport, protocol, peer = await connected(BufferedRecorder(size))
        peer.sendall(sent)
        peer.close()
        await gone(protocol)
        assert protocol.data == sent

    loop.run_until_complete(main())


def test_buffer_may_be_a_memoryview_or_an_array(loop):
    import array

    for make in (lambda: memoryview(bytearray(100)), lambda: array.array("B", bytes(100))):

        async def main(make=make):
            protocol = BufferedRecorder()
            protocol.buffer = make()
            _transport, protocol, peer = await connected(protocol)
            peer.sendall(b"any buffer")
            peer.close()
            await gone(protocol)
            assert bytes(memoryview(protocol.buffer)[:10]) == b"any buffer"

        loop.run_until_complete(main())


def failing(loop, protocol):
    """Feed a protocol that fails; the contexts that the exception handler got."""

    async def main():
        transport, _, peer = await connected(protocol)
        peer.sendall(b"x")
        await gone(protocol)
        assert transport.is_closing()
        assert receive_all_or_reset(peer) == b""
        peer.close()
        return transport

    with reports(loop) as seen:
        transport = loop.run_until_complete(main())
    contexts = list(seen)
    seen.clear()
    assert all(context["transport"] is transport and "protocol" in context for context in contexts)
    return contexts


def receive_all_or_reset(peer):
    try:
        return receive_all(peer)
    except ConnectionResetError:
        return b""


def test_get_buffer_that_raises_is_fatal(loop):
    class Protocol(BufferedRecorder):
        def get_buffer(self, sizehint):
            raise LookupError("no buffer")

    protocol = Protocol()
    (context,) = failing(loop, protocol)
    assert context["message"] == "Fatal error: protocol.get_buffer() call failed."
    assert isinstance(context["exception"], LookupError)
    assert protocol.lost is context["exception"]


def test_empty_buffer_is_fatal(loop):
    protocol = BufferedRecorder(0)
    (context,) = failing(loop, protocol)
    assert context["message"] == "Fatal error: protocol.get_buffer() call failed."
    assert isinstance(context["exception"], RuntimeError)
    assert str(context["exception"]) == "get_buffer() returned an empty buffer"
    assert protocol.lost is context["exception"]


@pytest.mark.parametrize("buffer", [None, b"read only", "text", 5], ids=repr)
def test_buffer_that_cannot_be_written_to_is_fatal(loop, buffer):
    class Protocol(BufferedRecorder):
        def get_buffer(self, sizehint):
            return buffer

    protocol = Protocol()
    (context,) = failing(loop, protocol)
    assert context["message"].startswith("Fatal ")
    assert isinstance(context["exception"], (TypeError, BufferError, ValueError))
    assert protocol.lost is context["exception"]


def test_buffer_updated_that_raises_is_fatal(loop):
    class Protocol(BufferedRecorder):
        def buffer_updated(self, nbytes):
            raise LookupError("not updated")

    protocol = Protocol()
    (context,) = failing(loop, protocol)
    assert context["message"] == "Fatal error: protocol.buffer_updated() call failed."
    assert protocol.lost is context["exception"]


def test_data_received_that_raises_is_fatal(loop):
    class Protocol(Recorder):
        def data_received(self, data):
            raise LookupError("not received")

    protocol = Protocol()
    (context,) = failing(loop, protocol)
    assert context["message"] == "Fatal error: protocol.data_received() call failed."
    assert isinstance(context["exception"], LookupError)
    assert context["protocol"] is protocol
    assert protocol.lost is context["exception"]
    assert protocol.events == ["made", "lost"]


def test_eof_received_that_raises_is_fatal(loop):
    class Protocol(Recorder):
        def eof_received(self):
            raise LookupError("no end")

    protocol = Protocol()

    async def main():
        _transport, _, peer = await connected(protocol)
        peer.close()
        await gone(protocol)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert [context["message"] for context in seen] == ["Fatal error: protocol.eof_received() call failed."]
    assert protocol.lost is seen[0]["exception"]
    seen.clear()


def test_connection_made_that_raises_is_reported_and_the_transport_works_on(loop):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise LookupError("not made")

    async def main():
        transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"x")
        await until(lambda: protocol.data == b"x")
        transport.close()
        await gone(protocol)
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert len(seen) == 1
    assert isinstance(seen[0]["exception"], LookupError)
    seen.clear()


def test_connection_lost_that_raises_is_reported_and_the_socket_closed(loop):
    class Protocol(Recorder):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise LookupError("not lost")

    async def main():
        transport, protocol, peer = await connected(Protocol())
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b""
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert [type(context["exception"]) for context in seen] == [LookupError]
    seen.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_data_received_leaves_the_loop(loop, error):
    class Protocol(Recorder):
        def data_received(self, data):
            raise error

    async def main():
        transport, protocol, peer = await connected(Protocol())
        kept.append((transport, protocol, peer))
        peer.sendall(b"x")
        await asyncio.sleep(3600)

    async def finish():
        task.cancel()
        await asyncio.wait([task])
        transport, protocol, peer = kept.pop()
        transport.abort()
        await gone(protocol)
        peer.close()

    kept = []
    task = loop.create_task(main())
    with reports(loop) as seen:
        with pytest.raises(error):
            loop.run_until_complete(task)
        loop.run_until_complete(finish())
    assert not seen


def test_protocol_can_be_changed_and_is_given_back(loop):
    """cpython #77835; rloop raises."""

    async def main():
        transport, first, peer = await connected()
        assert transport.get_protocol() is first
        second = Recorder()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        peer.sendall(b"for the second")
        await until(lambda: second.data == b"for the second")
        assert first.data == b""
        peer.close()
        await gone(second)
        assert first.events == ["made"]
        assert second.events == ["data", "eof", "lost"]

    loop.run_until_complete(main())


def test_plain_protocol_can_be_changed_for_a_buffered_one_and_back(loop):
    """cpython #77835."""

    async def main():
        transport, plain, peer = await connected()
        peer.sendall(b"one")
        await until(lambda: plain.data == b"one")
        buffered = BufferedRecorder()
        buffered.events.append("set")
        transport.set_protocol(buffered)
        peer.sendall(b"two")
        await until(lambda: buffered.data == b"two")
        again = Recorder()
        transport.set_protocol(again)
        peer.sendall(b"three")
        await until(lambda: again.data == b"three")
        peer.close()
        await gone(again)
        assert plain.data == b"one"
        assert buffered.data == b"two"

    loop.run_until_complete(main())


def test_protocol_changed_inside_data_received_gets_the_next_data(loop):
    class First(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.second = BufferedRecorder()
            self.second.events.append("set")
            self.transport.set_protocol(self.second)

    async def main():
        _transport, first, peer = await connected(First())
        peer.sendall(b"one")
        await until(lambda: first.data == b"one")
        peer.sendall(b"two")
        peer.close()
        await gone(first.second)
        assert first.second.data == b"two"
        assert first.events == ["made", "data"]

    loop.run_until_complete(main())


def test_protocol_that_is_neither_kind_is_called_as_a_plain_one(loop):
    class Duck:
        def __init__(self):
            self.events = []

        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.events.append(data)

        def eof_received(self):
            pass

        def connection_lost(self, exc):
            self.events.append("lost")

    async def main():
        _transport, duck, peer = await connected(Duck())
        peer.sendall(b"quack")
        await until(lambda: duck.events)
        peer.close()
        await gone(duck)
        assert duck.events == [b"quack", "lost"]

    loop.run_until_complete(main())


def test_method_replaced_on_the_protocol_is_used(loop):
    async def main():
        transport, protocol, peer = await connected()
        got = []
        transport.set_protocol(protocol)
        protocol.data_received = got.append
        transport.set_protocol(protocol)
        peer.sendall(b"x")
        await until(lambda: got)
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_one_busy_connection_does_not_starve_the_others(loop):
    async def main():
        _busy, busy, busy_peer = await connected(rcvbuf=1 << 20)
        _quiet, quiet, quiet_peer = await connected()
        stop = asyncio.Event()

        def flood():
            while not stop.is_set():
                try:
                    busy_peer.sendall(b"x" * 100_000)
                except OSError:
                    return

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        await until(lambda: len(busy.data) > 1_000_000)
        quiet_peer.sendall(b"heard")
        await until(lambda: quiet.data == b"heard")
        stop.set()
        busy.transport.abort()
        quiet.transport.abort()
        await gone(busy, quiet)
        await flooding
        busy_peer.close()
        quiet_peer.close()

    loop.run_until_complete(main())


def test_socket_pair_half_closed_by_both_sides_ends_once(loop):
    async def main():
        transport, protocol, peer = await connected(Recorder(keep_open=True))
        transport.write_eof()
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in protocol.events)
        assert receive_all(peer) == b""
        transport.close()
        await gone(protocol)
        assert protocol.events == ["made", "eof", "lost"]
        peer.close()

    loop.run_until_complete(main())
