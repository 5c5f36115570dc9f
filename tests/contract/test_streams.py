"""The standard library's streams over the loop's transports."""

import asyncio
import socket
import struct
import sys

import pytest

from support import reset, until

LOCAL = "127.0.0.1"


def served(loop, handler, client, **options):
    """Run a client coroutine against a stream server with this handler, until all of both have ended."""
    serving = []

    async def counted(reader, writer):
        serving.append(writer)
        try:
            await handler(reader, writer)
        finally:
            serving.remove(writer)

    async def main():
        server = await asyncio.start_server(counted, LOCAL, 0, **options)
        address = server.sockets[0].getsockname()
        try:
            return await asyncio.wait_for(client(address), 30)
        finally:
            await until(lambda: not serving)
            server.close()
            await server.wait_closed()

    return loop.run_until_complete(main())


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def hang_up(writer):
    writer.close()
    await writer.wait_closed()


def test_echo_dialogue_is_byte_exact(loop):
    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        for number in range(100):
            message = b"message %d" % number * number
            writer.write(message)
            await writer.drain()
            assert await reader.readexactly(len(message)) == message
        await hang_up(writer)

    served(loop, echo, client)


def test_lines_are_read_one_by_one(loop):
    async def handler(reader, writer):
        writer.write(b"one\ntwo\r\n\nlast without end")
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        lines = [line async for line in reader]
        assert await reader.readline() == b""
        assert reader.at_eof()
        await hang_up(writer)
        return lines

    assert served(loop, handler, client) == [b"one\n", b"two\r\n", b"\n", b"last without end"]


def test_readexactly_of_too_little_is_an_incomplete_read_error(loop):
    async def handler(reader, writer):
        writer.write(b"short")
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(10)
        assert (caught.value.partial, caught.value.expected) == (b"short", 10)
        await hang_up(writer)

    served(loop, handler, client)


def test_readuntil_finds_a_separator_across_packets(loop):
    async def handler(reader, writer):
        for part in (b"head", b"er\r", b"\n\r\nbody"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.readuntil(b"\r\n\r\n") == b"header\r\n\r\n"
        assert await reader.read() == b"body"
        await hang_up(writer)

    served(loop, handler, client)


def test_line_longer_than_the_limit_is_an_error(loop):
    async def handler(reader, writer):
        writer.write(b"x" * 1000 + b"\n")
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address, limit=100)
        with pytest.raises(ValueError, match="limit"):
            await reader.readline()
        writer.transport.abort()

    served(loop, handler, client)


def test_drain_waits_while_the_peer_does_not_read(loop):
    async def handler(reader, writer):
        await release.wait()
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        totals.append(total)
        await hang_up(writer)

    async def client(address):
        nonlocal release
        release = asyncio.Event()
        _reader, writer = await asyncio.open_connection(*address)
        sent, draining = 0, None
        # One that has only just ended, late on a busy machine, is no sign that the kernel takes no more.
        while draining is None or draining.done():
            writer.write(b"x" * 100_000)
            sent += 100_000
            draining = asyncio.ensure_future(writer.drain())
            await asyncio.wait([draining], timeout=0.1)
        assert writer.transport.get_write_buffer_size() > 0
        release.set()
        await draining
        await hang_up(writer)
        await until(lambda: totals)
        assert totals == [sent]

    release, totals = None, []
    served(loop, handler, client, limit=1000)


def test_reader_that_is_not_read_stops_the_transport(loop):
    async def client(address):
        reader, writer = await asyncio.open_connection(*address, limit=1000)
        await until(lambda: not writer.transport.is_reading())
        total = 0
        while data := await reader.read(10_000):
            total += len(data)
        await hang_up(writer)
        return total

    async def handler(_reader, writer):
        writer.write(b"x" * 1_000_000)
        await hang_up(writer)

    assert served(loop, handler, client) == 1_000_000


def test_write_eof_is_seen_as_the_end(loop):
    async def handler(reader, writer):
        data = await reader.read()
        writer.write(data[::-1])
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        assert writer.can_write_eof()
        writer.write(b"abc")
        writer.write_eof()
        answer = await reader.read()
        await hang_up(writer)
        return answer

    assert served(loop, handler, client) == b"cba"


def test_reset_by_the_peer_is_raised_from_the_read(loop):
    async def main():
        with socket.create_server((LOCAL, 0)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            peer, _ = listener.accept()
            loop.call_later(0.005, reset, peer)
            with pytest.raises(ConnectionResetError):
                await reader.read(10)
            with pytest.raises(ConnectionResetError):
                writer.write(b"x")
                await writer.drain()
            writer.close()
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()

    loop.run_until_complete(main())


def test_drain_after_the_loss_is_a_connection_reset_error(loop):
    async def handler(_reader, writer):
        writer.transport.abort()

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.transport.abort()
        await until(lambda: writer._protocol._connection_lost)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            await writer.drain()

    served(loop, handler, client)


def test_hundred_simultaneous_clients_keep_their_own_state(loop):
    async def handler(reader, writer):
        mode = "sum"
        while line := (await reader.readline()).decode().strip():
            if line in ("sum", "product"):
                mode = line
                continue
            one, two = map(int, line.split())
            writer.write(b"%d\n" % (one + two if mode == "sum" else one * two))
            await writer.drain()
        await hang_up(writer)

    async def talk(address, number):
        reader, writer = await asyncio.open_connection(*address)
        mode = "sum" if number % 2 else "product"
        writer.write(mode.encode() + b"\n")
        for other in range(10):
            writer.write(b"%d %d\n" % (number, other))
            expected = number + other if mode == "sum" else number * other
            assert int(await reader.readline()) == expected
        await hang_up(writer)

    async def client(address):
        await asyncio.gather(*[talk(address, number) for number in range(100)])

    served(loop, handler, client)


def test_handler_that_raises_is_reported(loop):
    from support import reports

    async def handler(_reader, writer):
        writer.close()
        raise LookupError("handler")

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        await hang_up(writer)
        await until(lambda: seen)

    with reports(loop) as seen:
        served(loop, handler, client)
    # The first releases of 3.11 say only that nobody asked the handler's task for its exception.
    early = ["Task exception was never retrieved"] if sys.version_info < (3, 11, 7) else []
    assert seen[0]["message"] in ["Unhandled exception in client_connected_cb", *early]
    assert isinstance(seen[0]["exception"], LookupError)
    seen.clear()


def test_extra_information_passes_through_the_writer(loop):
    async def client(address):
        _reader, writer = await asyncio.open_connection(*address)
        assert writer.get_extra_info("peername") == address
        assert isinstance(writer.get_extra_info("socket"), asyncio.trsock.TransportSocket)
        assert isinstance(writer.transport, asyncio.Transport)
        assert not writer.is_closing()
        writer.close()
        assert writer.is_closing()
        await writer.wait_closed()

    served(loop, echo, client)


def test_framed_messages_of_every_size_pass(loop):
    sizes = [0, 1, 2, 1023, 1024, 65535, 65536, 65537, 262143, 262144, 262145, 1_000_000]

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)

        async def send():
            for size in sizes:
                writer.write(struct.pack("!I", size))
                writer.writelines([b"a" * (size // 2), b"b" * (size - size // 2)])
                await writer.drain()

        sending = asyncio.create_task(send())
        for size in sizes:
            (announced,) = struct.unpack("!I", await reader.readexactly(4))
            assert announced == size
            assert await reader.readexactly(size) == b"a" * (size // 2) + b"b" * (size - size // 2)
        await sending
        await hang_up(writer)

    served(loop, echo, client)


def test_open_connection_to_nobody_is_refused(loop):
    async def main():
        with socket.socket() as sock:
            sock.bind((LOCAL, 0))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*sock.getsockname())

    loop.run_until_complete(main())


def test_cancelled_read_loses_no_data(loop):
    async def handler(reader, writer):
        await reader.readexactly(1)
        writer.write(b"kept")
        await hang_up(writer)

    async def client(address):
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.005)
        writer.write(b"!")
        assert await reader.readexactly(4) == b"kept"
        await hang_up(writer)

    served(loop, handler, client)


def test_start_serving_on_a_serving_stream_server_is_harmless(loop):
    """rloop closed the listening descriptor here."""

    async def main():
        server = await asyncio.start_server(echo, LOCAL, 0)
        await server.start_serving()
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await hang_up(writer)
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
