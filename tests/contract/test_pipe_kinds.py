"""What counts as a pipe: sockets, FIFOs, terminals, character devices; and streams over them."""

import asyncio
import io
import os
import pty
import socket
import tty

import pytest

from pipe_ends import Reader, Writer, drain, filled, is_open
from support import gone, until


def test_a_socket_is_a_pipe_too(run):
    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, protocol = await loop.connect_write_pipe(Writer, ours)
        transport.write(b"over a socket")
        assert theirs.recv(100) == b"over a socket"
        theirs.close()
        await gone(protocol)
        assert ours.fileno() == -1

        ours, theirs = socket.socketpair()
        reader, told = await loop.connect_read_pipe(Reader, ours)
        theirs.sendall(b"back")
        theirs.close()
        await gone(told)
        assert told.data == b"back"
        assert reader.is_closing()

    run(main())


def test_a_named_fifo(run, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)

    async def main():
        loop = asyncio.get_running_loop()
        read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        write = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        transport, protocol = await loop.connect_write_pipe(Writer, io.FileIO(write, "w"))
        transport.write(b"unread")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not transport.is_closing()
        assert os.read(read, 100) == b"unread"
        os.close(read)
        await gone(protocol)
        assert protocol.lost is None

    run(main())


def test_both_directions_of_a_terminal_over_one_descriptor(run):
    async def main():
        loop = asyncio.get_running_loop()
        master, slave = pty.openpty()
        tty.setraw(slave)
        reader, told = await loop.connect_read_pipe(Reader, io.FileIO(slave, "r", closefd=False))
        writer, _ = await loop.connect_write_pipe(Writer, io.FileIO(slave, "w"))
        writer.write(b"out")
        assert os.read(master, 10) == b"out"
        os.write(master, b"in")
        await until(lambda: told.data == b"in")
        total = await filled(writer, b"y" * 1024)
        got = await asyncio.to_thread(drain, master, total)
        assert got == b"y" * total
        os.write(master, b"again")
        await until(lambda: told.data == b"inagain")
        reader.close()
        await gone(told)
        writer.close()
        await asyncio.sleep(0.01)
        os.close(master)
        assert not is_open(slave)

    run(main())


def test_a_terminal_whose_other_end_is_closed(run):
    async def main():
        loop = asyncio.get_running_loop()
        master, slave = pty.openpty()
        tty.setraw(slave)
        _, told = await loop.connect_read_pipe(Reader, io.FileIO(master, "r"))
        os.write(slave, b"last words")
        os.close(slave)
        await gone(told)
        assert told.data == b"last words"
        assert told.events == ["made", "data", "lost"]
        assert isinstance(told.lost, OSError)

    run(main())


def test_a_character_device(run):
    async def main():
        loop = asyncio.get_running_loop()
        file = io.FileIO("/dev/null", "w")
        # epoll refuses /dev/null, but a write pipe needs no poll as long as everything is taken.
        transport, protocol = await loop.connect_write_pipe(Writer, file)
        transport.write(b"nowhere" * 100_000)
        transport.close()
        await gone(protocol)
        assert protocol.lost is None and file.closed

    run(main())


@pytest.mark.parametrize(
    ("connect", "text"),
    [
        ("connect_read_pipe", "Pipe transport is for pipes/sockets only."),
        ("connect_write_pipe", "Pipe transport is only for pipes, sockets and character devices"),
    ],
)
def test_a_regular_file_is_refused_and_left_alone(run, tmp_path, connect, text):
    async def main():
        with open(tmp_path / "file", "w+b", 0) as file:
            with pytest.raises(ValueError, match=text.replace(".", r"\.")):
                await getattr(asyncio.get_running_loop(), connect)(Reader, file)
            assert not file.closed

    run(main())


def test_streams_over_pipes(run):
    async def main():
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), io.FileIO(read, "r"))
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, io.FileIO(write, "w"))
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        data = os.urandom(1 << 20)

        async def send():
            for start in range(0, len(data), 10_000):
                writer.write(data[start : start + 10_000])
                await writer.drain()
            writer.close()

        sending = asyncio.create_task(send())
        assert await reader.read() == data
        await sending

    run(main())
