"""sendfile() where asyncio has no answer, or another one."""

import asyncio
import io
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import Recorder, connected, receive_all, reset, until

CONTENT = bytes(range(256)) * 4096
SMALL = 16 * 1024

Run = Callable[[Any], Any]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


async def begun(file: Any) -> tuple[asyncio.Task[int], Any, Any, Any]:
    """A sendfile() that waits for its peer to receive."""
    loop = asyncio.get_running_loop()
    transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
    sending = loop.create_task(loop.sendfile(transport, file))
    assert await loop.run_in_executor(None, peer.recv, 1000)
    await asyncio.sleep(0.01)
    assert not sending.done()
    return sending, transport, protocol, peer


@pytest.mark.parametrize("end", ["close", "abort"])
def test_closing_the_transport_ends_its_sendfile(run: Run, file: Any, end: str) -> None:
    # asyncio leaves the sender waiting for ever: the descriptor that it watches is closed.
    async def main() -> None:
        sending, transport, protocol, peer = await begun(file)
        getattr(transport, end)()
        with pytest.raises(ConnectionError, match="closed while a file was being sent"):
            await sending
        assert 0 < file.tell() < len(CONTENT)
        await until(lambda: "lost" in protocol.events)
        peer.close()

    run(main())


def test_a_second_sendfile_is_refused_and_changes_nothing(run: Run, file: Any) -> None:
    # asyncio: KeyError.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sending, transport, _, peer = await begun(file)
        with pytest.raises(RuntimeError, match="Empty waiter is already set"):
            await loop.sendfile(transport, file)
        received = loop.run_in_executor(None, receive_all, peer)
        assert await sending == len(CONTENT)
        assert transport.is_reading()
        transport.close()
        assert len(await received) > len(CONTENT) - 10_000
        peer.close()

    run(main())


def test_cancelled_while_earlier_bytes_leave_the_transport_is_as_before(run: Run, file: Any) -> None:
    # asyncio: reading stays paused, and every later write() is a RuntimeError.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        transport.write(CONTENT)
        sending = loop.create_task(loop.sendfile(transport, file))
        await until(lambda: not transport.is_reading())
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert transport.is_reading()
        assert file.tell() == 0
        transport.write(b"after")
        transport.close()
        assert await loop.run_in_executor(None, receive_all, peer) == CONTENT + b"after"
        peer.close()

    run(main())


def test_the_loop_goes_on_while_a_fast_peer_takes_a_large_file(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = tmp_path / "large"
        with path.open("wb") as large:
            large.truncate(64 << 20)
        transport, _, peer = await connected()
        received = loop.run_in_executor(None, receive_all, peer)
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not sending.done():
                loop.call_soon(turn)

        with path.open("rb") as large:
            sending = loop.create_task(loop.sendfile(transport, large))
            loop.call_soon(turn)
            assert await sending == 64 << 20
        assert turns > 32
        transport.close()
        assert len(await received) == 64 << 20
        peer.close()

    run(main())


def test_the_protocol_is_told_what_the_fallback_left_in_the_buffer(run: Run) -> None:
    # asyncio tells a protocol that was never paused to resume.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(Recorder(), sndbuf=SMALL, rcvbuf=SMALL)
        file = io.BytesIO(CONTENT)
        sending = loop.create_task(loop.sendfile(transport, file, 0, 200_000))
        assert await sending == 200_000
        assert protocol.events == ["made", "pause"]
        transport.close()
        assert await loop.run_in_executor(None, receive_all, peer) == CONTENT[:200_000]
        assert protocol.events[:3] == ["made", "pause", "resume"]
        await until(lambda: "lost" in protocol.events)
        peer.close()

    run(main())


@pytest.mark.parametrize("way", ["transport", "socket"])
def test_cancelled_in_the_middle_the_position_says_how_much_was_sent(run: Run, file: Any, way: str) -> None:
    # asyncio forgets the position.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        if way == "transport":
            sending = loop.create_task(loop.sendfile(transport, file))
        else:
            transport.abort()
            await until(lambda: "lost" in protocol.events)
            peer.close()
            ours, peer = socket.socketpair()
            ours.setblocking(False)
            sending = loop.create_task(loop.sock_sendfile(ours, file))
        assert await loop.run_in_executor(None, peer.recv, 1000)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        sent = file.tell()
        if way == "transport":
            assert transport.is_reading()
            transport.write(b"after")
            transport.close()
        else:
            ours.setblocking(True)
            last = loop.run_in_executor(None, ours.sendall, b"after")
            last.add_done_callback(lambda _: ours.close())
        received = await loop.run_in_executor(None, receive_all, peer)
        assert len(received) + 1000 >= sent + len(b"after")
        assert received == (CONTENT[:sent] + b"after")[-len(received) :]
        peer.close()

    run(main())


def test_the_fallback_passes_on_that_the_connection_is_lost(run: Run) -> None:
    # asyncio also reports an exception that was never retrieved.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(sndbuf=SMALL, rcvbuf=SMALL)
        sending = loop.create_task(loop.sendfile(transport, io.BytesIO(CONTENT)))
        assert await loop.run_in_executor(None, peer.recv, 1000)
        reset(peer)
        with pytest.raises(ConnectionError):
            await sending
        await until(lambda: "lost" in protocol.events)
        assert transport.is_closing()

    run(main())
