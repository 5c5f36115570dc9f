"""Stream connections: writers and servers; with asyncio's names and with Tideloop's."""

import asyncio
import gc
import os
import sys

import pytest
from stream_support import LOCAL, Served, echo, fill, hang_up

from support import until


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


@pytest.fixture(params=["tcp", "unix"])
def path(request, tmp_path):
    """Where a Unix server listens, or None for one on TCP."""
    return str(tmp_path / "socket") if request.param == "unix" else None


def test_the_classes_are_asyncios(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            reader, writer = await served.connect()
            assert type(reader) is aio.StreamReader
            assert isinstance(reader, asyncio.StreamReader)
            assert type(writer) is aio.StreamWriter
            assert isinstance(writer, asyncio.StreamWriter)
            assert isinstance(writer._protocol, asyncio.StreamReaderProtocol)
            assert writer.transport is writer._transport is writer._protocol._transport is reader._transport
            assert writer._reader is reader is writer._protocol._stream_reader
            assert writer.transport.get_protocol() is writer._protocol
            assert writer._loop is writer._protocol._loop is asyncio.get_running_loop()
            assert repr(writer) == f"<StreamWriter transport={writer.transport!r} reader={reader!r}>"
            await hang_up(writer)

    run(main())


def test_bytes_come_back(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            reader, writer = await served.connect()
            writer.write(b"one")
            writer.writelines([b"two", bytearray(b"three"), memoryview(b"four")])
            writer.write(bytearray(b"five"))
            writer.write(memoryview(b"six"))
            writer.write(data=b"seven")
            await writer.drain()
            assert await reader.readexactly(26) == b"onetwothreefourfivesixseven"[:26]
            assert await reader.readexactly(1) == b"n"
            assert writer.can_write_eof()
            writer.write_eof()
            assert await reader.read() == b""
            with pytest.raises(RuntimeError):
                writer.write(b"more")
            await hang_up(writer)

    run(main())


def test_what_cannot_be_written_is_refused(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            _, writer = await served.connect()
            for wrong in ("text", 1, None):
                with pytest.raises(TypeError):
                    writer.write(wrong)
            for arguments in ((), (b"", b"")):
                with pytest.raises(TypeError):
                    writer.write(*arguments)
            with pytest.raises(TypeError):
                writer.write(b"", more=1)
            await hang_up(writer)

    run(main())


def test_a_lot_of_data_each_way(aio, run, path):
    async def main():
        sent = os.urandom(3_000_000)
        async with Served(aio, path, echo) as served:
            reader, writer = await served.connect(limit=1000)

            async def send():
                for start in range(0, len(sent), 100_000):
                    writer.write(sent[start : start + 100_000])
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            assert await reader.read() == sent
            await sending
            await hang_up(writer)

    run(main())


def test_a_reader_that_is_full_pauses_its_transport(aio, run, path):
    async def main():
        async def flood(reader, writer):
            writer.write(b"x" * 100_000)
            await hang_up(writer)

        async with Served(aio, path, flood) as served:
            reader, writer = await served.connect(limit=1000)
            await until(lambda: reader._paused)
            assert not writer.transport.is_reading()
            received = 0
            while data := await reader.read(999):
                received += len(data)
            assert received == 100_000
            await hang_up(writer)

    run(main())


def test_drain_waits_until_the_transport_takes_more(aio, run, path):
    async def main():
        go_on = asyncio.Event()

        async def slow(reader, writer):
            await go_on.wait()
            while await reader.read(1_000_000):
                pass
            await hang_up(writer)

        async with Served(aio, path, slow, limit=1000) as served:
            _, writer = await served.connect()
            fill(writer)
            log = []

            async def drained(name):
                await writer.drain()
                log.append(name)

            waiting = [asyncio.ensure_future(drained(name)) for name in "abc"]
            for _ in range(5):
                await asyncio.sleep(0)
            assert log == []
            assert len(writer._protocol._drain_waiters) == 3
            waiting[1].cancel()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting[1]
            await asyncio.gather(waiting[0], waiting[2])
            assert log == ["a", "c"]
            assert len(writer._protocol._drain_waiters) == 0
            await hang_up(writer)

    run(main())


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_whoever_waits_in_drain_hears_of_the_loss(aio, run, how):
    async def main():
        peers = []

        async def stuck(reader, writer):
            peers.append(writer)
            await asyncio.sleep(0)

        async with Served(aio, None, stuck) as served:
            reader, writer = await served.connect()
            await until(lambda: peers)
            fill(writer)
            waiting = [asyncio.ensure_future(writer.drain()) for _ in range(2)]
            await asyncio.sleep(0)
            if how == "abort":
                writer.transport.abort()
                assert await asyncio.gather(*waiting) == [None, None]
                await writer.wait_closed()
            else:
                # Data that nobody has read: the kernel resets the connection.
                peers[0].transport.abort()
                outcomes = await asyncio.gather(*waiting, return_exceptions=True)
                assert all(isinstance(outcome, ConnectionError) for outcome in outcomes)
                with pytest.raises(ConnectionError):
                    await writer.wait_closed()
                assert isinstance(reader.exception(), ConnectionError)
                with pytest.raises(ConnectionError):
                    await reader.read()
            with pytest.raises(ConnectionError):
                await writer.drain()
            for peer in peers:
                peer.close()

    run(main())


def test_drain_after_the_end_says_so(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            _, writer = await served.connect()
            writer.close()
            assert writer.is_closing()
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                while True:
                    await writer.drain()
            await writer.wait_closed()
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                await writer._protocol._drain_helper()

    run(main())


def test_drain_raises_the_readers_exception(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            reader, writer = await served.connect()
            error = ZeroDivisionError("seen")
            reader.set_exception(error)
            with pytest.raises(ZeroDivisionError) as caught:
                await writer.drain()
            assert caught.value is error
            await hang_up(writer)

    run(main())


def test_wait_closed_of_several_and_after_a_cancellation(aio, run, path):
    async def main():
        async with Served(aio, path, echo) as served:
            _, writer = await served.connect()
            waiting = [asyncio.ensure_future(writer.wait_closed()) for _ in range(2)]
            await asyncio.sleep(0)
            writer.close()
            assert await asyncio.gather(*waiting) == [None, None]
            await writer.wait_closed()
            assert writer._protocol._closed.done()
            assert await writer._protocol._get_close_waiter(writer) is None

            _, writer = await served.connect()
            waiting = asyncio.ensure_future(writer.wait_closed())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            writer.close()
            # What was awaited is the protocol's own future.
            with pytest.raises(asyncio.CancelledError):
                await writer.wait_closed()

    run(main())


def test_the_order_of_events_at_the_end_of_a_connection(aio, run, path):
    async def main():
        log = []

        async with Served(aio, path, echo) as served:
            reader, writer = await served.connect()
            closed = asyncio.ensure_future(writer.wait_closed())
            closed.add_done_callback(lambda _: log.append("closed"))
            read = asyncio.ensure_future(reader.read())
            read.add_done_callback(lambda _: log.append("read"))
            await asyncio.sleep(0)
            writer.transport.abort()
            for turn in range(6):
                log.append(turn)
                await asyncio.sleep(0)
        return log

    log = run(main())
    assert [entry for entry in log if isinstance(entry, str)] == ["read", "closed"]
    assert log.index("read") == 3


def test_a_callback_that_is_no_coroutine(aio, run):
    async def main():
        seen = []
        server = await aio.start_server(lambda reader, writer: seen.append((reader, writer)), LOCAL, 0)
        reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: seen)
        seen[0][1].write(b"hello")
        await hang_up(seen[0][1])
        assert await reader.read() == b"hello"
        await hang_up(writer)
        server.close()
        await server.wait_closed()

    run(main())


def test_a_handler_that_fails_is_reported_and_its_connection_closed(aio, loop):
    reports = []
    loop.set_exception_handler(lambda _loop, context: reports.append(context))

    async def main():
        async def failing(_reader, _writer):
            raise ZeroDivisionError

        server = await aio.start_server(failing, LOCAL, 0)
        reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        await hang_up(writer)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    [report] = reports
    assert report["message"] == "Unhandled exception in client_connected_cb"
    assert isinstance(report["exception"], ZeroDivisionError)
    assert report["transport"].is_closing()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio leaves the connection open")
def test_a_handler_that_is_cancelled_leaves_no_connection(aio, loop):
    async def main():
        tasks = []

        async def waiting(reader, _writer):
            tasks.append(asyncio.current_task())
            await reader.read()

        server = await aio.start_server(waiting, LOCAL, 0)
        reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: tasks)
        tasks[0].cancel()
        assert await reader.read() == b""
        await hang_up(writer)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_the_handlers_task_is_kept(aio, run):
    async def main():
        async def handler(reader, writer):
            await reader.read()
            await hang_up(writer)

        async with Served(aio, None, handler) as served:
            reader, writer = await served.connect()
            await until(lambda: served.begun)
            gc.collect()
            assert served.ended == 0
            writer.write_eof()
            assert await reader.read() == b""
            await hang_up(writer)

    run(main())


def test_a_writer_that_nobody_closes_warns_and_closes(aio, run):
    async def main():
        async with Served(aio, None, echo) as served:
            reader, writer = await served.connect()
            with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
                del reader, writer
                gc.collect()

    run(main())
