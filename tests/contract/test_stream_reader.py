"""StreamReader by itself, fed by hand: what it gives, raises and shows; asyncio's and ours."""

import asyncio
import gc
import weakref

import pytest

import tideloop.streams


@pytest.fixture(params=[asyncio.StreamReader, tideloop.streams.StreamReader], ids=["stock", "native"])
def reader_class(request):
    return request.param


class Transport:
    """What a reader needs of one."""

    def __init__(self, error=None):
        self.calls, self.error = [], error

    def pause_reading(self):
        self.calls.append("pause")
        if self.error:
            raise self.error

    def resume_reading(self):
        self.calls.append("resume")


def stepped(coroutine):
    """The result of a coroutine that does not suspend."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_what_is_there_is_returned_without_suspending(loop, reader_class):
    reader = reader_class(loop=loop)
    reader.feed_data(b"one\ntwo\nthree;four")
    assert stepped(reader.readline()) == b"one\n"
    assert stepped(reader.__anext__()) == b"two\n"
    assert stepped(reader.readuntil(b";")) == b"three;"
    assert stepped(reader.readexactly(2)) == b"fo"
    assert stepped(reader.read(100)) == b"ur"
    assert stepped(reader.read(0)) == stepped(reader.readexactly(0)) == b""
    reader.feed_eof()
    assert stepped(reader.read()) == stepped(reader.read(5)) == stepped(reader.readline()) == b""


def test_a_message_takes_one_turn(loop, reader_class):
    async def main():
        reader = reader_class()
        lines = []

        async def read():
            async for line in reader:
                lines.append(line)

        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        for number in range(3):
            reader.feed_data(b"%d\n" % number)
            assert len(lines) == number
            await asyncio.sleep(0)
            assert lines[-1] == b"%d\n" % number
        reader.feed_eof()
        await task

    loop.run_until_complete(main())


def test_two_coroutines_cannot_wait_at_once(loop, reader_class):
    async def main():
        reader = reader_class()
        first = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        for read, name in [
            (reader.read(1), "read"),
            (reader.read(), "read"),
            (reader.readline(), "readuntil"),
            (reader.readuntil(b"x"), "readuntil"),
            (reader.readexactly(3), "readexactly"),
        ]:
            with pytest.raises(RuntimeError) as refused:
                await read
            text = f"{name}() called while another coroutine is already waiting for incoming data"
            assert str(refused.value) == text
        reader.feed_data(b"line\n")
        assert await first == b"line\n"

    loop.run_until_complete(main())


@pytest.mark.parametrize("read", [("read", 10), ("readline",), ("readuntil", b"\n"), ("readexactly", 5)])
def test_a_cancelled_read_loses_nothing(loop, reader_class, read):
    async def main():
        reader = reader_class()
        for fed in (b"", b"on"):
            task = asyncio.create_task(getattr(reader, read[0])(*read[1:]))
            await asyncio.sleep(0)
            reader.feed_data(fed)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert reader._waiter is None
        reader.feed_data(b"e\n")
        assert await reader.read(10) == b"one\n"

    loop.run_until_complete(main())


def test_the_transport_is_paused_above_twice_the_limit_and_resumed_at_it(loop, reader_class):
    reader, transport = reader_class(limit=4, loop=loop), Transport()
    reader.set_transport(transport)
    reader.feed_data(b"12345678")
    assert transport.calls == []
    reader.feed_data(b"9")
    reader.feed_data(b"0")
    assert (transport.calls, reader._paused) == (["pause"], True)
    assert stepped(reader.read(5)) == b"12345"
    assert transport.calls == ["pause"]
    assert stepped(reader.read(1)) == b"6"
    assert (transport.calls, reader._paused) == (["pause", "resume"], False)


def test_who_waits_has_the_transport_resumed(loop, reader_class):
    async def main():
        reader, transport = reader_class(limit=4), Transport()
        reader.set_transport(transport)
        reader.feed_data(b"123456789")
        task = asyncio.create_task(reader.readexactly(12))
        await asyncio.sleep(0)
        assert transport.calls == ["pause", "resume"]
        reader.feed_data(b"abc")
        assert await task == b"123456789abc"
        assert transport.calls == ["pause", "resume", "pause", "resume"]

    loop.run_until_complete(main())


def test_a_transport_that_cannot_be_paused_is_forgotten(loop, reader_class):
    reader, transport = reader_class(limit=4, loop=loop), Transport(NotImplementedError())
    reader.set_transport(transport)
    reader.feed_data(b"123456789")
    reader.feed_data(b"0")
    assert (transport.calls, reader._transport, reader._paused) == (["pause"], None, False)


def test_an_exception_reaches_who_waits_and_all_who_read_later(loop, reader_class):
    async def main():
        reader = reader_class()
        task = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0)
        error = ConnectionResetError("gone")
        reader.set_exception(error)
        for read in (task, reader.read(1), reader.read(), reader.readline(), reader.readexactly(1)):
            with pytest.raises(ConnectionResetError) as raised:
                await read
            assert raised.value is error
        assert reader.exception() is reader._exception is error

    loop.run_until_complete(main())


def test_too_long_a_line_is_refused_and_dropped(loop, reader_class):
    async def main():
        reader = reader_class(limit=3)
        reader.feed_data(b"long\nb\n")
        with pytest.raises(ValueError, match="Separator is found, but chunk is longer than limit") as refused:
            await reader.readline()
        assert type(refused.value) is ValueError
        assert type(refused.value.__context__) is asyncio.LimitOverrunError
        assert await reader.readline() == b"b\n"
        reader.feed_data(b"12345")
        with pytest.raises(asyncio.LimitOverrunError, match="Separator is not found") as overrun:
            await reader.readuntil(b"\n")
        assert overrun.value.consumed == 5
        assert bytes(reader._buffer) == b"12345"
        with pytest.raises(ValueError, match="Separator is not found, and chunk exceed the limit"):
            await reader.readline()
        assert bytes(reader._buffer) == b""

    loop.run_until_complete(main())


def test_the_end_in_the_middle(loop, reader_class):
    async def main():
        for read, partial, expected in [(("readexactly", 5), b"abc", 5), (("readuntil", b"\n"), b"abc", None)]:
            reader = reader_class()
            reader.feed_data(b"abc")
            reader.feed_eof()
            assert not reader.at_eof()
            with pytest.raises(asyncio.IncompleteReadError) as cut:
                await getattr(reader, read[0])(*read[1:])
            assert (cut.value.partial, cut.value.expected) == (partial, expected)
            assert reader.at_eof()
            with pytest.raises(AssertionError, match="feed_data after feed_eof"):
                reader.feed_data(b"more")

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (("read", "1"), TypeError),
        (("read", None), TypeError),
        (("read", 1.5), TypeError),
        (("readexactly", -1), ValueError),
        (("readexactly", "1"), TypeError),
        (("readuntil", b""), ValueError),
        (("readuntil", "\n"), TypeError),
        (("readuntil", 10), TypeError),
    ],
)
def test_arguments_that_make_no_sense_are_refused_when_awaited(loop, reader_class, read, error):
    reader = reader_class(loop=loop)
    reader.feed_data(b"data")
    coroutine = getattr(reader, read[0])(*read[1:])
    with pytest.raises(error):
        loop.run_until_complete(coroutine)


def test_what_libraries_do_to_the_buffer(loop, reader_class):
    async def main():
        reader = reader_class()
        reader.feed_data(b"one two three")
        assert isinstance(reader._buffer, bytearray)
        assert reader._buffer == b"one two three"
        del reader._buffer[:4]
        assert await reader.readuntil(b" ") == b"two "
        reader._buffer.extend(b" four\n")
        assert await reader.readline() == b"three four\n"
        reader.feed_data(b"x" * 10)
        reader._buffer.clear()
        task = asyncio.create_task(reader.readexactly(3))
        await asyncio.sleep(0)
        assert isinstance(reader._waiter, asyncio.Future)
        reader._buffer.extend(b"12")
        reader.feed_data(b"34")
        assert await task == b"123"
        reader._buffer = bytearray(b"a;b;")
        reader._limit = 100
        reader._eof = True
        assert await reader.readuntil(b";") == b"a;"
        assert await reader.read() == b"b;"

    loop.run_until_complete(main())


def test_attributes_can_be_set(loop, reader_class):
    reader, transport = reader_class(loop=loop), Transport()
    assert (reader._limit, reader._eof, reader._waiter, reader._paused) == (65536, False, None, False)
    assert (reader._exception, reader._transport, reader._loop, reader._source_traceback) == (None, None, loop, None)
    reader.set_transport(transport)
    with pytest.raises(AssertionError, match="Transport already set"):
        reader.set_transport(transport)
    reader._transport = None
    reader.set_transport(transport)
    reader._limit = float("inf")
    reader.feed_data(b"x" * 1000)
    assert (reader._limit, transport.calls) == (float("inf"), [])
    reader._limit = 10
    reader.feed_data(b"x")
    assert transport.calls == ["pause"]
    reader.other = 1
    assert weakref.ref(reader)() is reader


def test_what_can_be_fed(loop, reader_class):
    reader = reader_class(loop=loop)
    for data in (b"ab", bytearray(b"cd"), memoryview(b"ef"), b"", [103, 104]):
        reader.feed_data(data)
    assert stepped(reader.read(100)) == b"abcdefgh"
    with pytest.raises(TypeError):
        reader.feed_data(5)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(loop, reader_class, limit):
    with pytest.raises(ValueError, match="Limit cannot be <= 0"):
        reader_class(limit=limit, loop=loop)


def test_representations(loop, reader_class):
    reader = reader_class(loop=loop)
    assert repr(reader) == "<StreamReader>"
    reader = reader_class(limit=5, loop=loop)
    reader._transport = "transport"
    reader._paused = True
    reader.feed_data(b"abc")
    reader.feed_eof()
    reader.set_exception(OSError(1))
    assert repr(reader) == "<StreamReader 3 bytes eof limit=5 exception=OSError(1) transport='transport' paused>"


def test_debug_mode_remembers_where_a_reader_was_made(loop, reader_class):
    loop.set_debug(True)
    reader = reader_class(loop=loop)
    assert reader._source_traceback[-1].name == "test_debug_mode_remembers_where_a_reader_was_made"


def test_a_derived_class_is_heard(loop, reader_class):
    calls = []

    class Derived(reader_class):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = "extra"

        async def read(self, n=-1):
            calls.append(("read", n))
            return await super().read(n)

        async def readuntil(self, separator=b"\n"):
            calls.append(("readuntil", separator))
            return await super().readuntil(separator)

        def feed_data(self, data):
            calls.append(("feed_data", data))
            super().feed_data(data)

    async def main():
        reader = Derived(limit=100)
        reader.feed_data(b"one\ntwo\nthree")
        assert await reader.readline() == b"one\n"
        async for line in reader:
            assert line == b"two\n"
            break
        reader.feed_eof()
        assert await reader.read() == b"three"

    loop.run_until_complete(main())
    assert calls == [
        ("feed_data", b"one\ntwo\nthree"),
        ("readuntil", b"\n"),
        ("readuntil", b"\n"),
        ("read", -1),
        ("read", 100),
        ("read", 100),
    ]


def test_a_derived_class_may_wait_with_asyncios_own_means(loop, reader_class):
    class Derived(reader_class):
        async def read_word(self):
            while b" " not in self._buffer:
                await self._wait_for_data("read_word")
            length = self._buffer.index(b" ")
            word = bytes(self._buffer[:length])
            del self._buffer[: length + 1]
            self._maybe_resume_transport()
            return word

    async def main():
        reader = Derived()
        task = asyncio.create_task(reader.read_word())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"readuntil\(\) called while another coroutine"):
            await reader.readline()
        reader.feed_data(b"on")
        await asyncio.sleep(0)
        reader.feed_data(b"e two ")
        assert await task == b"one"
        assert await reader.read_word() == b"two"
        assert reader._waiter is None

    loop.run_until_complete(main())


def test_an_exception_knows_the_one_that_was_being_handled(loop, reader_class):
    async def main():
        reader = reader_class(limit=1)
        reader.feed_data(b"ab")
        for read in (reader.readuntil(), reader.readexactly(3)):
            try:
                raise KeyError
            except KeyError as handled:
                with pytest.raises((asyncio.LimitOverrunError, asyncio.IncompleteReadError)) as raised:
                    await read
                assert raised.value.__context__ is handled
            reader.feed_eof()

    loop.run_until_complete(main())


def test_a_forgotten_reader_is_collected(loop, reader_class):
    reader, transport = reader_class(loop=loop), Transport()
    transport.reader = reader
    reader.set_transport(transport)
    gone = weakref.ref(reader)
    del reader, transport
    gc.collect()
    assert gone() is None
