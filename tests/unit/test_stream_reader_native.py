"""What is ours alone about StreamReader: several separators on every version, its coroutines, its memory."""

import asyncio
import gc
import inspect
import sys
import warnings

import pytest

from tideloop.streams import StreamReader


def stepped(coroutine):
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_the_first_of_several_separators_ends_a_message(loop):
    reader = StreamReader(loop=loop)
    reader.feed_data(b"a,b;c\r\nd\r\n\r\ne")
    both = (b";", b",")
    assert [stepped(reader.readuntil(both)) for _ in range(2)] == [b"a,", b"b;"]
    assert stepped(reader.readuntil((b"\r\n\r\n", b"\r\n"))) == b"c\r\n"
    assert stepped(reader.readuntil((bytearray(b"\r\n\r\n"), memoryview(b"nothing")))) == b"d\r\n\r\n"
    with pytest.raises(ValueError, match="Separator should contain at least one element"):
        reader.readuntil(()).send(None)
    with pytest.raises(ValueError, match="Separator should be at least one-byte string"):
        reader.readuntil((b"a", b"")).send(None)


def test_separators_that_come_in_pieces(loop):
    async def main():
        reader = StreamReader(limit=10)
        task = asyncio.create_task(reader.readuntil((b"END", b"STOP")))
        for byte in b"xyzSTO":
            await asyncio.sleep(0)
            reader.feed_data(bytes([byte]))
        await asyncio.sleep(0)
        assert not task.done()
        reader.feed_data(b"P")
        assert await task == b"xyzSTOP"
        reader.feed_data(b"0123456789abcd")
        with pytest.raises(asyncio.LimitOverrunError) as overrun:
            await reader.readuntil((b"END", b"STOP"))
        assert overrun.value.consumed == 11

    loop.run_until_complete(main())


def test_a_read_is_a_coroutine_with_asyncios_name(loop):
    reader = StreamReader(loop=loop)
    for read, name in [
        (reader.readline(), "readline"),
        (reader.read(1), "read"),
        (reader.read(), "read"),
        (reader.readexactly(1), "readexactly"),
        (reader.readexactly(-1), "readexactly"),
        (reader.readuntil(), "readuntil"),
        (reader.readuntil(b""), "readuntil"),
        (reader.__anext__(), "__anext__"),
    ]:
        assert (read.__name__, read.__qualname__) == (name, f"StreamReader.{name}")
        assert asyncio.iscoroutine(read)
        assert inspect.isawaitable(read)
        read.close()


def test_a_read_that_nobody_awaits_says_so(loop):
    reader = StreamReader(loop=loop)
    with pytest.warns(RuntimeWarning, match=r"coroutine 'StreamReader\.readline' was never awaited"):
        reader.readline()
    with warnings.catch_warnings(), pytest.raises(StopIteration):
        reader.feed_data(b"line\n")
        reader.readline().send(None)


def test_a_task_that_reads_says_what_it_waits_for(loop):
    async def main():
        reader = StreamReader()
        task = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        assert task._fut_waiter is reader._waiter
        assert (task._wait_reason, task._waits_for) == ("stream", reader)
        reader.feed_eof()
        assert await task == b""

    loop.run_until_complete(main())


def test_a_read_to_the_end_that_is_cancelled_puts_back_what_it_had(loop):
    async def main():
        for look in (False, True):
            reader = StreamReader()
            task = asyncio.create_task(reader.read())
            for data in (b"one", b"two"):
                await asyncio.sleep(0)
                reader.feed_data(data)
            await asyncio.sleep(0)
            if look:
                assert reader._buffer == b""
            reader.feed_data(b"three")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await reader.read(100) == b"onetwothree"

    loop.run_until_complete(main())


def test_a_read_closed_while_it_waits_leaves_the_reader_free(loop):
    reader = StreamReader(loop=loop)
    read = reader.readline()
    assert read.send(None) is reader._waiter
    read.close()
    assert reader._waiter is None
    reader.feed_data(b"line\n")
    assert stepped(reader.readline()) == b"line\n"


def test_reading_allocates_the_result_alone(loop):
    async def main():
        reader = StreamReader()
        for _ in range(300):
            reader.feed_data(b"line\n")
            await reader.readline()
        gc.collect()
        gc.disable()
        before = sys.getallocatedblocks()
        for _ in range(1000):
            reader.feed_data(b"line\n")
            await reader.readline()
        after = sys.getallocatedblocks()
        gc.enable()
        assert after - before < 20

    loop.run_until_complete(main())


def test_a_buffer_of_another_type_is_refused(loop):
    reader = StreamReader(loop=loop)
    with pytest.raises(TypeError, match="must be a bytearray"):
        reader._buffer = b"bytes"


def test_a_reader_whose_init_was_not_called_fails_gently():
    class Broken(StreamReader):
        def __init__(self):
            pass

    reader = Broken()
    with pytest.raises(RuntimeError, match="not initialized"):
        reader.readline().send(None)
    assert reader._loop is None
