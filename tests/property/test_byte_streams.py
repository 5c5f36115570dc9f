"""Random writes in random pieces, read in random pieces, with flow control: the bytes arrive, all and in order."""

import asyncio
import random
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import BufferedRecorder, Recorder, connected, gone, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

# Early releases of 3.12 and 3.13 forget to go on sending after some calls of writelines.
STOCK_WRITELINES_HANGS = (3, 12) <= sys.version_info[:2] <= (3, 13)

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

sizes = st.one_of(st.integers(0, 10), st.integers(0, 5000), st.integers(60_000, 70_000), st.integers(0, 400_000))
kinds = st.sampled_from(["bytes", "bytearray", "memoryview", "writelines", "turn", "size"])
scripts = st.lists(st.tuples(kinds, sizes), max_size=25)
limits = st.one_of(st.none(), st.tuples(st.integers(0, 1000), st.integers(1000, 300_000)))


def stream(seed, size):
    return random.Random(seed).randbytes(size)


def read_slowly(peer, seed):
    """Everything that arrives, in pieces of random sizes."""
    sizes_of_reads = random.Random(seed)
    chunks = []
    while chunk := peer.recv(sizes_of_reads.choice((1, 100, 5000, 1 << 16, 1 << 18))):
        chunks.append(chunk)
    return b"".join(chunks)


async def act(transport, sent, kind, data):
    if kind == "turn":
        await asyncio.sleep(0)
        return
    if kind == "size":
        low, high = transport.get_write_buffer_limits()
        assert low <= high
        assert transport.get_write_buffer_size() >= 0
        return
    sent += data
    if kind == "bytes":
        transport.write(data)
    elif kind == "bytearray":
        mutable = bytearray(data)
        transport.write(mutable)
    elif kind == "memoryview":
        transport.write(memoryview(data))
    elif STOCK_WRITELINES_HANGS and isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        transport.write(data)
    else:
        third = len(data) // 3
        transport.writelines(part for part in (data[:third], data[third:]) if part)


@given(script=scripts, marks=limits, seed=st.integers(0, 1000), end=st.sampled_from(["close", "write_eof"]))
@SETTINGS
def test_what_is_written_arrives(new_loop, script, marks, seed, end):
    async def main():
        transport, protocol, peer = await connected(sndbuf=16384, rcvbuf=16384)
        if marks:
            transport.set_write_buffer_limits(low=marks[0], high=marks[1])
        reading = asyncio.ensure_future(asyncio.to_thread(read_slowly, peer, seed))
        sent = bytearray()
        for number, (kind, size) in enumerate(script):
            await act(transport, sent, kind, stream(number, size))
        getattr(transport, end)()
        assert await reading == sent
        peer.close()
        await gone(protocol)
        pauses = [event for event in protocol.events if event in ("pause", "resume")]
        assert pauses == ["pause", "resume"] * (len(pauses) // 2), "pauses and resumes alternate"
        assert protocol.lost is None

    run(new_loop, main())


@given(
    pieces=st.lists(sizes, max_size=15),
    buffered=st.booleans(),
    buffer=st.sampled_from([1, 100, 65536, 300_000]),
    pauses=st.booleans(),
    seed=st.integers(0, 1000),
)
@SETTINGS
def test_what_the_peer_sends_is_received(new_loop, pieces, buffered, buffer, pauses, seed):
    if buffered and buffer == 1:
        pieces = [size % 5000 for size in pieces]
    sent = [stream(number, size) for number, size in enumerate(pieces)]

    async def main():
        transport, protocol, peer = await connected(BufferedRecorder(buffer) if buffered else Recorder())

        def send():
            for piece in sent:
                peer.sendall(piece)
            peer.close()

        thread = threading.Thread(target=send)
        thread.start()
        chance = random.Random(seed)
        while pauses and "lost" not in protocol.events and chance.random() < 0.9:
            transport.pause_reading()
            await asyncio.sleep(0)
            count = len(protocol.data)
            await asyncio.sleep(0)
            assert len(protocol.data) == count
            transport.resume_reading()
            await asyncio.sleep(0)
        await gone(protocol)
        await asyncio.to_thread(thread.join)
        assert protocol.data == b"".join(sent)
        assert protocol.events == ["made", "data", "eof", "lost"] or not protocol.data

    run(new_loop, main())


@given(script=st.lists(st.tuples(st.booleans(), st.integers(1, 30_000)), min_size=1, max_size=20))
@SETTINGS
def test_streams_carry_lines_and_blocks_mixed(new_loop, script):
    async def echo(reader, writer):
        while data := await reader.read(10_000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        ended.append(True)

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for as_line, size in script:
            data = b"x" * size + b"\n"
            writer.write(data)
            await writer.drain()
            assert await (reader.readline() if as_line else reader.readexactly(len(data))) == data
        writer.close()
        await writer.wait_closed()
        await until(lambda: ended)
        server.close()
        await server.wait_closed()

    ended = []
    run(new_loop, main())


def run(new_loop, coroutine):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(coroutine)
