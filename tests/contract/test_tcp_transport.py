"""A TCP transport and its protocol: the callbacks, their order, closing and aborting."""

import asyncio
import errno
import socket

import pytest

from support import Recorder, connected, gone, receive_all, reports, reset, until


def test_callbacks_come_once_each_and_in_order(loop):
    async def main():
        _transport, protocol, peer = await connected()
        assert protocol.events == ["made"]
        peer.sendall(b"hello")
        await until(lambda: protocol.data == b"hello")
        peer.close()
        await gone(protocol)
        assert protocol.events == ["made", "data", "eof", "lost"]
        assert protocol.lost is None

    loop.run_until_complete(main())


def test_connection_made_comes_before_create_connection_returns_and_data_after_it(loop):
    order = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            order.append("made")

        def data_received(self, data):
            order.append("data")

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await loop.create_connection(Protocol, *listener.getsockname())
            order.append("returned")
            peer, _ = listener.accept()
            peer.sendall(b"x")
            await until(lambda: "data" in order)
            transport.close()
            peer.close()
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert order == ["made", "returned", "data"]


def test_written_bytes_arrive_in_order_and_whole(loop):
    async def main():
        transport, protocol, peer = await connected()
        parts = [bytes([number % 256]) * (number * 37 % 5000) for number in range(300)]
        reading = asyncio.create_task(asyncio.to_thread(receive_all, peer))
        for part in parts:
            transport.write(part)
        transport.close()
        assert await reading == b"".join(parts)
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_large_stream_arrives_in_order_and_whole(loop):
    sent = bytes(range(256)) * 4096 * 8

    async def main():
        _transport, protocol, peer = await connected()

        def send():
            peer.sendall(sent)
            peer.close()

        await asyncio.to_thread(send)
        await gone(protocol)
        assert protocol.data == sent
        assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_data_received_gets_bytes(loop):
    types = set()

    class Protocol(Recorder):
        def data_received(self, data):
            types.add(type(data))
            super().data_received(data)

    async def main():
        transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"x" * 100_000)
        await until(lambda: len(protocol.data) == 100_000)
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())
    assert types == {bytes}


def test_close_sends_what_was_written_and_then_reports_none(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"last words")
        transport.close()
        assert transport.is_closing()
        assert "lost" not in protocol.events
        await gone(protocol)
        assert protocol.lost is None
        assert receive_all(peer) == b"last words"
        peer.close()

    loop.run_until_complete(main())


def test_close_waits_for_a_full_buffer_to_be_sent(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        sent = b"x" * 3_000_000
        transport.write(sent)
        transport.close()
        assert transport.get_write_buffer_size() > 0
        assert await asyncio.to_thread(receive_all, peer) == sent
        await gone(protocol)
        assert protocol.lost is None
        peer.close()

    loop.run_until_complete(main())


def test_close_twice_reports_once(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.close()
        transport.close()
        await gone(protocol)
        transport.close()
        await asyncio.sleep(0)
        assert protocol.events == ["made", "lost"]
        peer.close()

    loop.run_until_complete(main())


def test_close_never_calls_connection_lost_inside_the_call(loop):
    async def main():
        for method in ("close", "abort"):
            transport, protocol, peer = await connected()
            getattr(transport, method)()
            assert protocol.events == ["made"]
            await gone(protocol)
            peer.close()

    loop.run_until_complete(main())


def test_no_data_is_received_after_close(loop):
    async def main():
        transport, protocol, peer = await connected()
        peer.sendall(b"too late")
        transport.close()
        await gone(protocol)
        assert protocol.events == ["made", "lost"]
        peer.close()

    loop.run_until_complete(main())


def test_close_inside_data_received_stops_the_data(loop):
    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"bye")
            self.transport.close()

    async def main():
        _transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"one")
        await gone(protocol)
        assert protocol.data == b"one"
        assert protocol.events == ["made", "data", "lost"]
        assert receive_all(peer) == b"bye"
        peer.close()

    loop.run_until_complete(main())


def test_abort_inside_data_received_reports_none(loop):
    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.abort()

    async def main():
        _transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"one")
        await gone(protocol)
        assert protocol.events == ["made", "data", "lost"]
        assert protocol.lost is None
        peer.close()

    loop.run_until_complete(main())


def test_close_inside_connection_made_is_seen_by_the_peer(loop):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.close()

    async def main():
        _transport, protocol, peer = await connected(Protocol())
        await gone(protocol)
        assert protocol.events == ["made", "lost"]
        assert receive_all(peer) == b""
        peer.close()

    loop.run_until_complete(main())


def test_abort_drops_what_was_not_sent_and_reports_none(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 3_000_000)
        assert transport.get_write_buffer_size() > 0
        transport.abort()
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        await gone(protocol)
        assert protocol.lost is None
        assert len(await asyncio.to_thread(receive_all, peer)) < 3_000_000
        peer.close()

    loop.run_until_complete(main())


def test_small_write_before_abort_still_arrives(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"still delivered")
        transport.abort()
        await gone(protocol)
        assert receive_all(peer) == b"still delivered"
        peer.close()

    loop.run_until_complete(main())


def test_abort_after_close_drops_the_buffer(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 3_000_000)
        transport.close()
        transport.abort()
        await gone(protocol)
        assert protocol.events.count("lost") == 1
        assert len(await asyncio.to_thread(receive_all, peer)) < 3_000_000
        peer.close()

    loop.run_until_complete(main())


def test_reset_by_the_peer_is_the_reason_of_the_loss(loop):
    """zuvloop: connection_lost(None)."""

    async def main():
        transport, protocol, peer = await connected()
        reset(peer)
        await gone(protocol)
        assert isinstance(protocol.lost, ConnectionResetError)
        assert protocol.lost.errno == errno.ECONNRESET
        assert protocol.events == ["made", "lost"]
        assert transport.is_closing()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert not seen, "a connection that breaks is no error of the program"


def test_reset_while_writing_is_the_reason_of_the_loss(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.pause_reading()
        transport.write(b"x" * 3_000_000)
        reset(peer)
        await gone(protocol)
        assert isinstance(protocol.lost, (ConnectionResetError, BrokenPipeError))
        assert transport.get_write_buffer_size() == 0

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert not seen


def test_end_of_file_closes_by_default(loop):
    async def main():
        transport, protocol, peer = await connected()
        peer.shutdown(socket.SHUT_WR)
        await gone(protocol)
        assert protocol.events == ["made", "eof", "lost"]
        assert transport.is_closing()
        assert receive_all(peer) == b""
        peer.close()

    loop.run_until_complete(main())


def test_end_of_file_that_is_kept_open_allows_writing(loop):
    async def main():
        transport, protocol, peer = await connected(Recorder(keep_open=True))
        peer.sendall(b"question")
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in protocol.events)
        for _ in range(10):
            await asyncio.sleep(0)
        assert protocol.events == ["made", "data", "eof"], "end of file is reported once"
        assert not transport.is_closing()
        transport.write(b"answer")
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"answer"
        assert protocol.lost is None
        peer.close()

    loop.run_until_complete(main())


def test_write_eof_sends_what_was_written_and_keeps_reading(loop):
    async def main():
        transport, protocol, peer = await connected()
        assert transport.can_write_eof() is True
        transport.write(b"request")
        transport.write_eof()
        assert receive_all(peer) == b"request"
        assert not transport.is_closing()
        peer.sendall(b"response")
        peer.close()
        await gone(protocol)
        assert protocol.data == b"response"
        assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_write_eof_waits_for_a_full_buffer(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        sent = b"x" * 3_000_000
        transport.write(sent)
        transport.write_eof()
        assert await asyncio.to_thread(receive_all, peer) == sent
        peer.close()
        await gone(protocol)

    loop.run_until_complete(main())


def test_write_after_write_eof_is_a_runtime_error(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write_eof()
        transport.write_eof()
        with pytest.raises(RuntimeError, match=r"^Cannot call write\(\) after write_eof\(\)$"):
            transport.write(b"x")
        with pytest.raises(RuntimeError, match=r"^Cannot call write(lines)?\(\) after write_eof\(\)$"):
            transport.writelines([b"x"])
        peer.close()
        await gone(protocol)

    loop.run_until_complete(main())


def test_write_eof_after_close_is_harmless(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.close()
        transport.write_eof()
        await gone(protocol)
        transport.write_eof()
        peer.close()

    loop.run_until_complete(main())


def test_writes_after_the_loss_are_dropped_with_a_warning_after_five(loop, caplog):
    """uvloop #506."""

    async def main():
        transport, protocol, peer = await connected()
        peer.close()
        await gone(protocol)
        for _ in range(10):
            transport.write(b"dropped")
        assert transport.get_write_buffer_size() == 0

    loop.run_until_complete(main())
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert set(warnings) == {"socket.send() raised exception."}
    assert len(warnings) == 6


def test_write_after_close_is_dropped_in_silence(loop, caplog):
    """uvloop #506, zuvloop #17."""

    async def main():
        transport, protocol, peer = await connected()
        transport.close()
        transport.write(b"dropped")
        await gone(protocol)
        assert receive_all(peer) == b""
        peer.close()

    loop.run_until_complete(main())
    assert not caplog.records


def test_transport_is_dead_but_answers_after_the_loss(loop):
    async def main():
        transport, protocol, peer = await connected()
        peername = transport.get_extra_info("peername")
        transport.close()
        await gone(protocol)
        await asyncio.sleep(0)
        assert transport.is_closing()
        assert transport.is_reading() is False
        assert transport.get_write_buffer_size() == 0
        assert transport.get_extra_info("peername") == peername
        assert "closed" in repr(transport)
        transport.pause_reading()
        transport.resume_reading()
        transport.abort()
        transport.close()
        transport.set_write_buffer_limits(high=10)
        assert transport.get_protocol() is protocol or transport.get_protocol() is None
        peer.close()

    loop.run_until_complete(main())


def test_protocol_is_let_go_after_the_loss(loop):
    import gc
    import weakref

    async def main():
        _transport, protocol, peer = await connected()
        seen = weakref.ref(protocol)
        peer.close()
        await gone(protocol)
        await asyncio.sleep(0)
        protocol.transport = None
        return seen

    seen = loop.run_until_complete(main())
    gc.collect()
    assert seen() is None


def test_unclosed_transport_gives_a_resource_warning(loop):
    import gc

    async def main():
        _transport, protocol, peer = await connected()
        peer.close()
        return protocol

    protocol = loop.run_until_complete(main())
    protocol.transport.pause_reading()
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del protocol
        gc.collect()


def test_loop_closed_under_an_open_transport_lets_it_be_closed(loop):
    async def main():
        transport, _protocol, peer = await connected()
        return transport, peer

    transport, peer = loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert receive_all(peer) == b""
    peer.close()
