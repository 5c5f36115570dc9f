"""Bugs that users of other loops met with TLS, each with its number: none of them may be ours."""

import asyncio
import os
import ssl

import pytest
from channels import client_context, open_channel, read_to_end, server_context

from support import BufferedRecorder, Recorder, gone, until

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")
OURS = pytest.mark.loop_kinds("tideloop")
PAYLOAD = os.urandom(300_000)


@OURS
def test_buffered_protocol_gets_what_was_sent_into_a_bytearray(loop):
    """cpython #156275: zeros, and the right number of them."""

    async def main():
        _transport, protocol, peer = await open_channel("tls", BufferedRecorder(100))
        await asyncio.to_thread(peer.sendall, PAYLOAD)
        await until(lambda: len(protocol.data) == len(PAYLOAD))
        assert protocol.data == PAYLOAD
        await asyncio.to_thread(read_to_end_quietly, peer)
        await gone(protocol)
        peer.close()

    def read_to_end_quietly(peer):
        try:
            peer.unwrap()
        except (OSError, ssl.SSLError):
            pass

    loop.run_until_complete(main())


class WritesWhenPaused(Recorder):
    """Writes from inside pause_writing and resume_writing, while the transport is at work."""

    def __init__(self):
        super().__init__()
        self.more = [b"p" * 1000, b"r" * 200_000, b"q" * 10]

    def pause_writing(self):
        super().pause_writing()
        if self.more:
            self.transport.write(self.more.pop(0))

    def resume_writing(self):
        super().resume_writing()
        if self.more:
            self.transport.write(self.more.pop(0))


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_protocol_that_writes_while_it_is_paused_and_resumed_loses_nothing(loop, kind):
    """asyncpg #700, picows #40, bitfinex #197: IndexError, deque index out of range, in _do_write."""

    async def main():
        transport, protocol, peer = await open_channel(kind, WritesWhenPaused(), small=True)
        transport.set_write_buffer_limits(50_000)
        transport.write(b"1" * 700_000)
        transport.write(b"2" * 10)
        received = asyncio.ensure_future(asyncio.to_thread(read_to_end, peer))
        await until(lambda: not protocol.more or transport.get_write_buffer_size() == 0)
        transport.close()
        data = await received
        await gone(protocol)
        peer.close()
        written = 700_010 + sum(map(len, [b"p" * 1000, b"r" * 200_000, b"q" * 10])) - sum(map(len, protocol.more))
        assert len(data) == written
        assert data.replace(b"p", b"")[:700_010] == b"1" * 700_000 + b"2" * 10

    loop.run_until_complete(main())


@OURS
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_writelines_obeys_the_flow_control(loop, kind):
    """cpython #127655: asyncio has it to 3.12.8 and 3.13.1."""

    async def main():
        transport, protocol, peer = await open_channel(kind, small=True)
        transport.set_write_buffer_limits(10_000)
        transport.writelines([PAYLOAD, PAYLOAD])
        transport.writelines([PAYLOAD])
        assert protocol.events == ["made", "pause"]
        transport.abort()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@OURS
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_writes_after_close_are_dropped(loop, kind):
    """zuvloop #17; asyncio's writelines() of 3.12.1 fails after close()."""

    async def main():
        transport, protocol, peer = await open_channel(kind)
        transport.write(b"before")
        transport.close()
        transport.write(b"after")
        transport.writelines([b"after"])
        assert await asyncio.to_thread(read_to_end, peer) == b"before"
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@BOTH
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_protocol_changed_in_the_middle_gets_all_that_follows(loop, kind):
    """cpython #77835."""

    class First(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.set_protocol(second)

    second = BufferedRecorder()
    second.events.append("made")

    async def main():
        transport, first, peer = await open_channel(kind, First())
        await asyncio.to_thread(peer.sendall, b"first")
        await until(lambda: first.data == b"first")
        await asyncio.to_thread(peer.sendall, b"second")
        await until(lambda: len(second.data) == 6)
        assert transport.get_protocol() is second
        transport.abort()
        await gone(second)
        assert "lost" not in first.events
        peer.close()

    loop.run_until_complete(main())


@OURS
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_streams_that_go_over_to_tls_keep_what_was_read_already(loop):
    """uvloop #707, #708, cpython #142352: a ClientHello that had come with the last line in clear was lost."""

    async def serve(reader, writer):
        assert await reader.readline() == b"PROXY\n"
        # The ClientHello is in the reader's buffer by now.
        await until(lambda: len(reader._buffer) > 100)
        await writer.start_tls(server_context(), ssl_handshake_timeout=5)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"PROXY\n")

        async def finish(call, *arguments):
            while True:
                try:
                    result = call(*arguments)
                    writer.write(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await asyncio.wait_for(reader.read(65536), 5))

        await finish(tls.do_handshake)
        await finish(tls.write, b"echo me\n")
        assert await finish(tls.read, 100) == b"echo me\n"
        writer.close()
        server.close()
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())
