"""Random chunks and random reads: our StreamReader gives byte for byte what asyncio's gives, exceptions included."""

import asyncio
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tideloop.streams import StreamReader

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

# Few different bytes, so that separators are found, and found in part.
chunks = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"aaaaaaaa", b"a" * 40]), max_size=8).map(
    b"".join
)
one_separator = st.sampled_from([b"\n", b"\r\n", b"a\r\n", b"b", b"\r\nb\r\n", b""])
# Below 3.13 asyncio knows only one.
separators = (
    one_separator if sys.version_info < (3, 13) else one_separator | st.lists(one_separator, max_size=3).map(tuple)
)
reads = st.one_of(
    st.tuples(st.just("readline")),
    st.tuples(st.just("__anext__")),
    st.tuples(st.just("readuntil"), separators),
    st.tuples(st.just("read"), st.sampled_from([-1, 0, 1, 2, 5, 20, 1000, 1 << 70, True, 2.5])),
    st.tuples(st.just("readexactly"), st.sampled_from([-1, 0, 1, 2, 5, 20, 50, "1"])),
)
steps = st.one_of(
    st.tuples(st.just("feed"), chunks),
    st.tuples(st.just("feed"), chunks),
    st.tuples(st.just("read"), reads),
    st.tuples(st.just("read"), reads),
    st.tuples(st.just("second read"), reads),
    st.tuples(st.just("turn")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("eof")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("limit"), st.integers(1, 30)),
    st.tuples(st.just("look"), st.booleans()),
    st.tuples(st.just("clear")),
    st.tuples(st.just("cut"), st.integers(1, 5)),
)


class Pausable:
    """A transport, as far as a reader is concerned."""

    def __init__(self, log):
        self.log = log

    def __repr__(self):
        return "<Pausable>"

    def pause_reading(self):
        self.log.append("pause")

    def resume_reading(self):
        self.log.append("resume")


def shown(error):
    """All that a program can tell of an exception."""
    context = error.__context__ and (type(error.__context__), error.__context__.args)
    return type(error), error.args, getattr(error, "partial", None), getattr(error, "consumed", None), context


async def tried(reader, name, *arguments):
    try:
        return await getattr(reader, name)(*arguments)
    except asyncio.CancelledError:
        return "cancelled"
    except Exception as error:
        return shown(error)


class Machine:
    """One reader, one task that reads, and a log of everything that can be seen."""

    def __init__(self, reader_class, limit):
        self.log = []
        self.reader = reader_class(limit=limit, loop=asyncio.get_running_loop())
        self.reader.set_transport(Pausable(self.log))
        self.task = None
        self.reads_all = False  # which, cancelled, loses what it has read, with asyncio

    def look(self):
        text = re.sub(r"waiter=<.*?>( |>)", r"waiter\1", repr(self.reader).replace("<Pausable>", "pausable"))
        self.log.append((text, self.reader.at_eof(), str(self.reader.exception())))
        if self.task is not None and self.task.done():
            self.log.append("never began" if self.task.cancelled() else self.task.result())
            self.task = None

    def reading(self, read):
        return tried(self.reader, *read)

    async def do(self, name, argument=None):
        if name == "feed":
            try:
                self.reader.feed_data(argument)
            except AssertionError as error:
                self.log.append(shown(error))
        elif name == "read" and self.task is None:
            self.task = asyncio.create_task(self.reading(argument))
            self.reads_all = argument == ("read", -1)
        elif name == "second read" and self.reader._waiter is not None:
            self.log.append(await self.reading(argument))
        elif name == "turn":
            await asyncio.sleep(0)
        elif name == "cancel" and self.task is not None and not self.reads_all:
            self.task.cancel()
        elif name == "eof":
            self.reader.feed_eof()
        elif name == "fail" and not self.reads_all:
            self.reader.set_exception(ConnectionResetError("broken"))
        elif name == "limit":
            self.reader._limit = argument
        elif name == "look":
            self.log.append(bytes(self.reader._buffer))
        elif name == "clear":
            self.reader._buffer.clear()
        elif name == "cut":
            del self.reader._buffer[:argument]

    async def run(self, program):
        for step in program:
            await self.do(*step)
            self.look()
        for _ in range(3):
            await asyncio.sleep(0)
            self.look()
        if self.task is not None:
            self.reader.feed_eof() if self.reads_all else self.task.cancel()
            await asyncio.wait([self.task])
        self.look()
        self.log.append(bytes(self.reader._buffer))
        return self.log


@SETTINGS
@given(program=st.lists(steps, max_size=25), limit=st.sampled_from([1, 3, 10, 25, 1 << 16]))
def test_our_reader_behaves_as_asyncios(loop, program, limit):
    async def main():
        return [await Machine(kind, limit).run(program) for kind in (asyncio.StreamReader, StreamReader)]

    expected, got = loop.run_until_complete(main())
    assert got == expected
