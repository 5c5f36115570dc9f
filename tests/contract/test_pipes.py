"""connect_read_pipe and connect_write_pipe: bytes, order of callbacks, ends, errors."""

import asyncio
import contextvars
import gc
import io
import logging
import os

import pytest

from pipe_ends import Reader, Writer, drain, filled, is_open, read_pipe, write_pipe
from support import gone, reports, run_until, turn, until


def test_bytes_arrive_and_the_end_ends_it(run):
    async def main():
        transport, protocol, write = await read_pipe()
        assert protocol.transport is transport
        os.write(write, b"one")
        await until(lambda: protocol.data == b"one")
        os.write(write, b"two")
        os.close(write)
        await gone(protocol)
        assert protocol.data == b"onetwo"
        assert protocol.events == ["made", "data", "eof", "lost"]
        assert protocol.lost is None
        assert transport.is_closing() and not transport.is_reading()

    run(main())


def test_what_the_transports_are(run):
    async def main():
        reader, _, write = await read_pipe()
        writer, _, read = await write_pipe()
        assert isinstance(reader, asyncio.ReadTransport)
        assert not isinstance(reader, asyncio.WriteTransport)
        assert isinstance(writer, asyncio.WriteTransport)
        for transport in (reader, writer):
            pipe = transport.get_extra_info("pipe")
            assert pipe.fileno() >= 0
            assert transport.get_extra_info("socket") is None
            assert transport.get_extra_info("socket", "none") == "none"
            assert not transport.is_closing()
            transport.close()
            assert transport.is_closing()
        os.close(write)
        os.close(read)
        await asyncio.sleep(0)
        assert writer.get_extra_info("pipe").closed

    run(main())


def test_the_pipe_is_closed_once_and_only_with_the_loss(run):
    class File:
        def __init__(self, fd):
            self.fd, self.closings = fd, 0

        def fileno(self):
            return self.fd

        def close(self):
            self.closings += 1
            os.close(self.fd)

    async def main():
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        files = File(read), File(write)
        reader, told_reader = await loop.connect_read_pipe(Reader, files[0])
        writer, told_writer = await loop.connect_write_pipe(Writer, files[1])
        writer.close()
        writer.close()
        assert files[1].closings == 0
        await gone(told_reader, told_writer)
        reader.close()
        writer.close()
        await asyncio.sleep(0)
        assert [file.closings for file in files] == [1, 1]
        assert told_writer.events == ["made", "lost"]

    run(main())


def test_reading_is_paused_and_resumed(run):
    async def main():
        transport, protocol, write = await read_pipe()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        os.write(write, b"later")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not protocol.data
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        await until(lambda: protocol.data == b"later")
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        await gone(protocol)
        os.close(write)
        assert protocol.events == ["made", "data", "lost"]

    run(main())


def test_paused_in_connection_made_nothing_is_read_before_it_is_resumed(run):
    class Paused(Reader):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async def main():
        read, write = os.pipe()
        os.write(write, b"early")
        transport, protocol = await asyncio.get_running_loop().connect_read_pipe(Paused, io.FileIO(read, "r"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not protocol.data
        transport.resume_reading()
        await until(lambda: protocol.data == b"early")
        os.close(write)
        await gone(protocol)

    run(main())


def test_large_amounts_arrive_whole(run):
    data = os.urandom(1 << 20) * 4

    async def main():
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        _, told = await loop.connect_read_pipe(Reader, io.FileIO(read, "r"))
        writer, _ = await loop.connect_write_pipe(Writer, io.FileIO(write, "w"))
        writer.write(data[:100])
        writer.write(bytearray(data[100:5000]))
        writer.write(memoryview(data)[5000:])
        writer.writelines([b"", b"end", b"."])
        writer.close()
        await gone(told)
        assert told.data == data + b"end."

    run(main())


def test_what_was_written_may_change_afterwards(run):
    async def main():
        transport, protocol, read = await write_pipe()
        total = await filled(transport)
        mutable = bytearray(b"before")
        transport.write(mutable)
        transport.write(memoryview(mutable))
        mutable[:] = b"after!"
        transport.write_eof()
        data = await asyncio.to_thread(drain, read, total + 12)
        assert data.endswith(b"beforebefore")
        await gone(protocol)
        assert os.read(read, 1) == b""
        os.close(read)

    run(main())


def test_the_protocol_is_paused_above_the_high_mark_and_resumed_below_the_low(run):
    async def main():
        transport, protocol, read = await write_pipe()
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.set_write_buffer_limits(high=1000, low=100)
        assert transport.get_write_buffer_limits() == (100, 1000)
        total = await filled(transport)
        assert protocol.events == ["made", "pause"]
        data = await asyncio.to_thread(drain, read, total)
        assert len(data) == total
        await until(lambda: "resume" in protocol.events)
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await gone(protocol)
        os.close(read)
        assert protocol.events == ["made", "pause", "resume", "lost"]

    run(main())


def test_marks_that_contradict_each_other(run):
    async def main():
        transport, protocol, read = await write_pipe()
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
            transport.set_write_buffer_limits(high=1, low=2)
        transport.close()
        await gone(protocol)
        os.close(read)

    run(main())


def test_closing_waits_for_what_was_written(run):
    async def main():
        transport, protocol, read = await write_pipe()
        total = await filled(transport)
        assert transport.can_write_eof()
        transport.write_eof()
        assert transport.is_closing()
        transport.write(b"too late")
        transport.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert protocol.lost == "not lost"
        assert len(await asyncio.to_thread(drain, read, total)) == total
        await gone(protocol)
        assert protocol.lost is None
        assert os.read(read, 1) == b""
        os.close(read)

    run(main())


def test_aborting_throws_away_what_was_not_written(run):
    async def main():
        transport, protocol, read = await write_pipe()
        total = await filled(transport)
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        await gone(protocol)
        assert protocol.lost is None
        os.set_blocking(read, False)
        left = 0
        while chunk := os.read(read, 1 << 20):
            left += len(chunk)
        assert 0 < left < total
        os.close(read)

    run(main())


def test_a_reader_that_goes_away_is_noticed(run):
    async def main():
        transport, protocol, read = await write_pipe()
        os.close(read)
        await gone(protocol)
        assert protocol.lost is None
        assert transport.is_closing()

    run(main())


def test_a_reader_that_goes_away_with_bytes_unwritten_is_a_broken_pipe(run):
    async def main():
        transport, protocol, read = await write_pipe()
        await filled(transport)
        os.close(read)
        await gone(protocol)
        assert isinstance(protocol.lost, BrokenPipeError)

    run(main())


def test_writing_where_nobody_reads_is_a_broken_pipe(run, caplog):
    async def main():
        transport, protocol, read = await write_pipe()
        os.close(read)
        transport.write(b"x")
        assert transport.is_closing()
        for _ in range(4):
            transport.write(b"x")
        with caplog.at_level(logging.WARNING, "asyncio"):
            transport.write(b"x")
        assert caplog.messages == ["pipe closed by peer or os.write(pipe, data) raised exception."]
        await gone(protocol)
        assert isinstance(protocol.lost, BrokenPipeError)

    run(main())


def test_a_factory_that_raises_leaves_the_pipe_alone(run):
    def factory():
        raise ZeroDivisionError

    async def main():
        read, write = os.pipe()
        with pytest.raises(ZeroDivisionError):
            await asyncio.get_running_loop().connect_read_pipe(factory, io.FileIO(read, "r", closefd=False))
        assert is_open(read)
        os.close(read)
        os.close(write)

    run(main())


@pytest.mark.parametrize("connect", ["connect_read_pipe", "connect_write_pipe"])
def test_cancelled_while_connecting_the_pipe_is_closed(loop, connect):
    read, write = os.pipe()
    file, other = (io.FileIO(read, "r"), write) if connect == "connect_read_pipe" else (io.FileIO(write, "w"), read)
    protocol = Reader()
    task = loop.create_task(getattr(loop, connect)(lambda: protocol, file))
    turn(loop)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    run_until(loop, lambda: file.closed)
    os.close(other)
    assert protocol.events == ["made", "lost"]


def test_another_protocol_takes_over(run):
    async def main():
        transport, first, write = await read_pipe()
        second = Reader()
        second.events.append("given")
        assert transport.get_protocol() is first
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        os.write(write, b"x")
        os.close(write)
        await gone(second)
        assert second.events == ["given", "data", "eof", "lost"]
        assert first.events == ["made"]

    run(main())


def test_a_protocol_that_raises_is_reported_and_the_pipe_goes_on(loop):
    class Raising(Reader):
        def data_received(self, data):
            super().data_received(data)
            raise ZeroDivisionError

    async def main():
        read, write = os.pipe()
        _, protocol = await loop.connect_read_pipe(Raising, io.FileIO(read, "r"))
        os.write(write, b"one")
        await until(lambda: protocol.data == b"one")
        os.write(write, b"two")
        await until(lambda: protocol.data == b"onetwo")
        os.close(write)
        await gone(protocol)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError] * 2


def test_callbacks_run_in_the_context_of_the_connect(run):
    variable = contextvars.ContextVar("variable", default="nothing")

    class Seeing(Reader):
        def connection_made(self, transport):
            self.seen = [variable.get()]
            super().connection_made(transport)

        def data_received(self, data):
            self.seen.append(variable.get())
            super().data_received(data)

    async def main():
        variable.set("mine")
        read, write = os.pipe()
        _, protocol = await asyncio.get_running_loop().connect_read_pipe(Seeing, io.FileIO(read, "r"))
        variable.set("another")
        os.write(write, b"x")
        os.close(write)
        await gone(protocol)
        assert protocol.seen[0] == "mine" and len(protocol.seen) == 2

    run(main())


def test_an_unclosed_transport_warns_and_closes_the_pipe(run):
    class File:
        """Without a warning of its own."""

        def __init__(self, fd):
            self.fd = fd

        def fileno(self):
            return self.fd

        def close(self):
            os.close(self.fd)

    async def main():
        read, write = os.pipe()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(Reader, File(read))
        # Watched, it would be kept alive by the loop.
        transport.pause_reading()
        await asyncio.sleep(0)
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport, _
            gc.collect()
        assert not is_open(read)
        os.close(write)

    run(main())


def test_writing_end_has_nothing_to_read(run):
    async def main():
        transport, protocol, read = await write_pipe()
        for name in ("pause_reading", "resume_reading", "is_reading"):
            with pytest.raises(NotImplementedError):
                getattr(transport, name)()
        transport.abort()
        await gone(protocol)
        os.close(read)

    run(main())
