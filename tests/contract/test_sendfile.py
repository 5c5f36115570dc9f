"""Files over transports and plain sockets: sendfile() and sock_sendfile()."""

import asyncio
import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import Recorder, connected, receive_all, reset, until

CONTENT = bytes(range(256)) * 4096  # 1 MiB: more than small buffers take at once
SMALL = 16 * 1024  # bytes of the kernel's buffers

Run = Callable[[Any], Any]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


async def socket_pair(loop: asyncio.AbstractEventLoop) -> tuple[socket.socket, socket.socket]:
    """A non-blocking stream socket with a small buffer, and its blocking peer."""
    ours, peer = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    ours.setblocking(False)
    return ours, peer


def test_sendfile_sends_everything_between_what_is_written_before_and_after(run: Run, file: Any) -> None:
    """uvloop #228, #549: NotImplementedError."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        received = loop.run_in_executor(None, receive_all, peer)
        transport.write(b"head" * 10_000)
        assert await loop.sendfile(transport, file) == len(CONTENT)
        transport.write(b"tail" * 10_000)
        transport.close()
        assert await received == b"head" * 10_000 + CONTENT + b"tail" * 10_000
        assert file.tell() == len(CONTENT)
        peer.close()

    run(main())


def test_sendfile_over_a_unix_transport(run: Run, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, peer = await socket_pair(loop)
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        received = loop.run_in_executor(None, receive_all, peer)
        assert await loop.sendfile(transport, file, 100, len(CONTENT) - 200) == len(CONTENT) - 200
        transport.close()
        assert await received == CONTENT[100:-100]
        await until(lambda: "lost" in protocol.events)
        peer.close()

    run(main())


@pytest.mark.parametrize(
    ("offset", "count", "sent"),
    [
        (0, 1, 1),
        (1000, 100, 100),
        (len(CONTENT) - 10, None, 10),
        (len(CONTENT) - 10, 100, 10),
        (len(CONTENT), None, 0),
        (len(CONTENT) + 5, None, 0),
        (len(CONTENT) + 5, 5, 0),
    ],
)
@pytest.mark.parametrize("way", ["transport", "socket"])
def test_a_part_of_a_file_and_what_lies_beyond_its_end(
    run: Run, file: Any, way: str, offset: int, count: int | None, sent: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        file.seek(7)
        if way == "transport":
            transport, _, peer = await connected()
            assert await loop.sendfile(transport, file, offset, count) == sent
            transport.close()
        else:
            ours, peer = await socket_pair(loop)
            assert await loop.sock_sendfile(ours, file, offset, count) == sent
            ours.close()
        assert await loop.run_in_executor(None, receive_all, peer) == CONTENT[offset : offset + sent]
        # Nothing sent: up to 3.13 the position is what it was.
        assert file.tell() == (offset + sent if sent or sys.version_info >= (3, 14) else 7)
        peer.close()

    run(main())


@pytest.mark.parametrize("way", ["transport", "socket"])
def test_an_empty_file(run: Run, tmp_path: Path, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        (tmp_path / "empty").touch()
        with (tmp_path / "empty").open("rb") as empty:
            transport, _, peer = await connected()
            if way == "transport":
                assert await loop.sendfile(transport, empty) == 0
            else:
                ours, theirs = await socket_pair(loop)
                assert await loop.sock_sendfile(ours, empty) == 0
                ours.close()
                theirs.close()
        transport.close()
        peer.close()

    run(main())


def test_a_file_in_memory_is_read_and_written(run: Run) -> None:
    """uvloop #228, #549: NotImplementedError, even with fallback=True."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        file = io.BytesIO(CONTENT)
        transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        received = loop.run_in_executor(None, receive_all, peer)
        with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
            await loop.sendfile(transport, file, fallback=False)
        assert transport.is_reading()
        transport.write(b"head")
        assert await loop.sendfile(transport, file, 10, len(CONTENT) - 10) == len(CONTENT) - 10
        assert transport.is_reading()
        assert transport.get_protocol() is protocol
        assert file.tell() == len(CONTENT)
        transport.close()
        assert await received == b"head" + CONTENT[10:]
        peer.close()

    run(main())


def test_sock_sendfile_of_a_file_in_memory(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        file = io.BytesIO(CONTENT)
        ours, peer = await socket_pair(loop)
        received = loop.run_in_executor(None, receive_all, peer)
        with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
            await loop.sock_sendfile(ours, file, fallback=False)
        assert await loop.sock_sendfile(ours, file, 3, 500_000) == 500_000
        assert file.tell() == 500_003
        assert await loop.sock_sendfile(ours, file, 500_003) == len(CONTENT) - 500_003
        ours.close()
        assert await received == CONTENT[3:]
        peer.close()

    run(main())


def test_a_pipe_is_no_regular_file(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, peer = await socket_pair(loop)
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0) as pipe:
            os.write(writer, b"from a pipe")
            os.close(writer)
            # From 3.14 on the file is put where it was, and a pipe cannot be.
            error = OSError if sys.version_info >= (3, 14) else asyncio.SendfileNotAvailableError
            with pytest.raises(error):
                await loop.sock_sendfile(ours, pipe, 0, 11, fallback=False)
        ours.close()
        peer.close()

    run(main())


@pytest.mark.parametrize(
    ("offset", "count", "error"),
    [
        (-1, None, ValueError),
        ("0", None, TypeError),
        (0, 0, ValueError),
        (0, -5, ValueError),
        (0, 2.5, TypeError),
    ],
)
def test_arguments_are_checked(run: Run, file: Any, offset: Any, count: Any, error: type[Exception]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, peer = await connected()
        ours, theirs = await socket_pair(loop)
        what = "offset must be a non-negative" if count is None else "count must be a positive"
        with pytest.raises(error, match=what):
            await loop.sendfile(transport, file, offset, count)
        with pytest.raises(error, match=what):
            await loop.sock_sendfile(ours, file, offset, count)
        assert transport.is_reading()
        transport.write(b"still works")
        transport.close()
        assert await loop.run_in_executor(None, receive_all, peer) == b"still works"
        for each in (ours, theirs, peer):
            each.close()

    run(main())


def test_text_files_and_datagram_sockets_are_refused(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        (tmp_path / "text").write_text("text")
        ours, peer = await socket_pair(loop)
        with (tmp_path / "text").open() as text:
            with pytest.raises(ValueError, match="binary mode"):
                await loop.sock_sendfile(ours, text)  # type: ignore[arg-type]
        with (tmp_path / "text").open("rb") as binary, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.setblocking(False)
            with pytest.raises(ValueError, match="SOCK_STREAM"):
                await loop.sock_sendfile(datagrams, binary)
            peer.setblocking(True)
            loop.set_debug(True)
            with pytest.raises(ValueError, match="non-blocking"):
                await loop.sock_sendfile(peer, binary)
            loop.set_debug(False)
        ours.close()
        peer.close()

    run(main())


def test_a_closing_transport_is_refused(run: Run, file: Any) -> None:
    async def main() -> None:
        transport, _, peer = await connected()
        transport.close()
        with pytest.raises(RuntimeError, match="Transport is closing"):
            await asyncio.get_running_loop().sendfile(transport, file)
        peer.close()

    run(main())


class Fallback:
    """A transport that cannot send files by the kernel, or not at all."""

    def __init__(self, mode: Any = None) -> None:
        if mode is not None:
            self._sendfile_compatible = mode

    def is_closing(self) -> bool:
        return False


def test_transports_that_cannot_send_files(run: Run, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="sendfile is not supported for transport"):
            await loop.sendfile(Fallback(), file)  # type: ignore[arg-type]
        mode = asyncio.constants._SendfileMode.FALLBACK
        with pytest.raises(RuntimeError, match="fallback is disabled"):
            await loop.sendfile(Fallback(mode), file, fallback=False)  # type: ignore[arg-type]

    run(main())


def test_nothing_else_is_written_or_received_meanwhile(run: Run, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        sending = loop.create_task(loop.sendfile(transport, file))
        await until(lambda: not transport.is_reading())
        await asyncio.sleep(0.01)
        peer.sendall(b"meanwhile")
        for call in (lambda: transport.write(b"x"), lambda: transport.writelines([b"x"])):
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                call()
        assert protocol.data == b""
        received = loop.run_in_executor(None, receive_all, peer)
        assert await sending == len(CONTENT)
        await until(lambda: protocol.data == b"meanwhile")
        transport.close()
        assert await received == CONTENT
        peer.close()

    run(main())


def test_reading_that_was_paused_before_stays_paused(run: Run, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, peer = await connected()
        transport.pause_reading()
        assert await loop.sendfile(transport, file, 0, 100) == 100
        assert not transport.is_reading()
        transport.close()
        peer.close()

    run(main())


@pytest.mark.parametrize("way", ["transport", "socket"])
def test_the_peer_resets_the_connection_in_the_middle(run: Run, file: Any, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        if way == "transport":
            sending = loop.create_task(loop.sendfile(transport, file))
        else:
            ours = transport.get_extra_info("socket").dup()
            sending = loop.create_task(loop.sock_sendfile(ours, file))
        assert await loop.run_in_executor(None, peer.recv, 1000)
        assert not sending.done()
        reset(peer)
        with pytest.raises(ConnectionError):
            await sending
        assert 1000 <= file.tell() < len(CONTENT)
        await until(lambda: "lost" in protocol.events)
        if way == "socket":
            ours.close()

    run(main())
