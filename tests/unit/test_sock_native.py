"""The sock_* calls where asyncio has no answer, or another one."""

import asyncio
import contextlib
import gc
import os
import select
import socket
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sock_pairs import drain, fill, stream_pair

from support import turn, until

Run = Callable[[Any], Any]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with stream_pair() as both:
        yield both


def test_a_socket_closed_while_a_call_waits_is_closed_when_the_call_is_done(run: Run, pair: Any) -> None:
    # asyncio closes it at once, and the call waits for ever.
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        fd = ours.fileno()
        ours.close()
        assert os.fstat(fd)
        peer.send(b"in spite of it")
        assert await waiting == b"in spite o"
        assert ours.fileno() == -1

    run(main())


def test_a_closed_socket_is_let_go_by_the_call_that_is_cancelled(run: Run, pair: Any) -> None:
    ours, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        calls = [loop.create_task(loop.sock_recv(ours, 10)), loop.create_task(loop.sock_recv(ours, 10))]
        fill(ours)
        calls.append(loop.create_task(loop.sock_sendall(ours, b"x")))
        await asyncio.sleep(0)
        ours.close()
        for call in calls:
            assert ours.fileno() != -1
            call.cancel()
            await asyncio.wait([call])
        assert ours.fileno() == -1

    run(main())


def test_the_loop_that_closes_lets_go_of_sockets(new_loop: Any, pair: Any) -> None:
    ours, _ = pair
    loop = new_loop()
    call = loop.sock_recv(ours, 10)
    call.send(None)
    ours.close()
    assert ours.fileno() != -1
    loop.close()
    assert ours.fileno() == -1
    call.close()


def test_a_call_that_is_forgotten_lets_go_of_its_socket(new_loop: Any, pair: Any) -> None:
    ours, _ = pair
    loop = new_loop()
    call = loop.sock_recv(ours, 10)
    call.send(None)
    loop.remove_reader(ours)
    ours.close()
    assert ours.fileno() != -1
    del call
    gc.collect()
    assert ours.fileno() == -1
    loop.close()


def test_waiting_again_makes_no_call_to_the_poller(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        before = loop._registrations_len()
        for _ in range(3):
            loop.call_soon(peer.send, b"x")
            assert await loop.sock_recv(ours, 10) == b"x"
            # It stays registered, for the next call.
            assert loop._registrations_len() == before + 1
        loop.add_reader(ours, lambda: None)
        assert loop._registrations_len() == before + 1
        loop.remove_reader(ours)
        assert loop._registrations_len() == before

    run(main())


def test_sockets_that_come_and_go_leave_no_more_registrations_than_descriptors(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        before = loop._registrations_len()
        for _ in range(50):
            with stream_pair() as (ours, peer):
                loop.call_soon(peer.send, b"x")
                assert await loop.sock_recv(ours, 10) == b"x"
        assert loop._registrations_len() <= before + 2

    run(main())


def test_nobody_waits_and_the_loop_sleeps(run: Run, pair: Any) -> None:
    """Data that nobody wants, or a peer that has gone, does not wake the loop again and again."""
    ours, peer = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.call_soon(peer.send, b"x")
        assert await loop.sock_recv(ours, 1) == b"x"
        peer.send(b"nobody wants this")
        peer.close()
        await asyncio.sleep(0.02)
        used = os.times()
        await asyncio.sleep(0.3)
        now = os.times()
        assert now.user + now.system - used.user - used.system < 0.15

    run(main())


def test_a_registered_socket_is_not_kept_alive(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        loop.call_soon(peer.send, b"x")
        assert await loop.sock_recv(ours, 10) == b"x"
        alive = weakref.ref(ours)
        ours.close()
        peer.close()
        del ours
        assert alive() is None

    run(main())


def test_another_socket_has_the_number_and_nobody_said_so(run: Run) -> None:
    """os.close() behind the socket's back: the next owner of the number is registered anew."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with stream_pair() as (first, first_peer), stream_pair() as (second, second_peer):
            loop.call_soon(first_peer.send, b"1")
            assert await loop.sock_recv(first, 10) == b"1"
            number = first.fileno()
            os.close(first.detach())
            os.dup2(second.fileno(), number)
            with socket.socket(fileno=number) as again:
                again.setblocking(False)
                loop.call_soon(second_peer.send, b"2")
                assert await asyncio.wait_for(loop.sock_recv(again, 10), 10) == b"2"

    run(main())


def test_add_reader_on_a_number_that_was_closed_without_remove_reader(run: Run) -> None:
    # asyncio's selector thinks that it knows the descriptor, and the reader never hears of anything.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with stream_pair() as (first, _):
            loop.add_reader(first, lambda: None)
            number = first.fileno()
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                ours, peer = stack.enter_context(stream_pair())
                if number in (ours.fileno(), peer.fileno()):
                    break
            assert number in (ours.fileno(), peer.fileno())
            reader, writer = (ours, peer) if ours.fileno() == number else (peer, ours)
            reader.setblocking(False)
            seen: list[bytes] = []
            loop.add_reader(reader, lambda: seen.append(reader.recv(10)))
            writer.send(b"x")
            await until(lambda: seen == [b"x"])
            loop.remove_reader(reader)

    run(main())


def test_one_million_bytes_asked_for_take_no_more_than_what_came(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        peer.send(b"x" * 10)
        data = await loop.sock_recv(ours, 1_000_000)
        assert data.__sizeof__() < 100

    run(main())


def test_a_fast_reader_does_not_keep_the_loop_from_others(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        size, turns = 64 << 20, 0

        def receive() -> int:
            left = size
            while left:
                left -= len(peer.recv(min(left, 1 << 20)))
            return left

        def count() -> None:
            nonlocal turns
            turns += 1
            if not sending.done():
                loop.call_soon(count)

        receiving = loop.run_in_executor(None, receive)
        sending = loop.create_task(loop.sock_sendall(ours, bytes(size)))
        loop.call_soon(count)
        await sending
        await receiving
        assert turns >= 63

    run(main())


def test_what_is_sent_cannot_change_its_size_meanwhile(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        data = bytearray(4 << 20)
        sending = loop.create_task(loop.sock_sendall(ours, data))
        await asyncio.sleep(0)
        with pytest.raises(BufferError):
            data.clear()
        sending.cancel()
        await asyncio.wait([sending])
        data.clear()
        while drain(peer):
            pass

    run(main())


def test_wider_items_are_sent_whole(run: Run, pair: Any) -> None:
    # asyncio compares bytes sent with items, and fails or waits.
    ours, peer = pair
    peer.setblocking(False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(ours, memoryview(b"abcd").cast("H"))
        assert await loop.sock_recv(peer, 10) == b"abcd"

    run(main())


def test_a_blocking_socket_does_not_block_the_loop(run: Run, pair: Any) -> None:
    ours, peer = pair
    ours.setblocking(True)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(peer.send, b"x")
        assert await loop.sock_recv(ours, 10) == b"x"

    run(main())


def test_a_full_backlog_of_a_unix_listener_is_waited_for(run: Run, tmp_path: Any) -> None:
    # asyncio takes the connection for made.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "sock")
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen(0)
            listener.setblocking(False)
            clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(4)]
            connecting = []
            for client in clients:
                client.setblocking(False)
                connecting.append(loop.create_task(loop.sock_connect(client, path)))
            await asyncio.sleep(0.02)
            assert not all(each.done() for each in connecting)
            for _ in clients:
                connection, _address = await loop.sock_accept(listener)
                stack.enter_context(connection)
            await asyncio.gather(*connecting)
            assert {client.getpeername() for client in clients} == {path}

    run(main())


def test_a_call_is_not_stepped_while_it_runs(new_loop: Any) -> None:
    loop = new_loop()

    class Again:
        type = socket.SOCK_STREAM

        def recv(self, _: int) -> bytes:
            with pytest.raises(ValueError, match="coroutine already executing"):
                call.send(None)
            with pytest.raises(ValueError, match="coroutine already executing"):
                call.close()
            with pytest.raises(ValueError, match="coroutine already executing"):
                call.throw(KeyError())
            return b"once"

    call = loop.sock_recv(Again(), 10)
    with pytest.raises(StopIteration) as stop:
        call.send(None)
    assert stop.value.value == b"once"
    loop.close()


def test_stepped_before_its_future_is_done_it_fails(new_loop: Any, pair: Any) -> None:
    loop = new_loop()
    call = loop.sock_recv(pair[0], 10)
    call.send(None)
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        call.send(None)
    call.close()
    loop.close()


def test_a_task_shows_what_it_is_about(loop: Any, pair: Any) -> None:
    task = loop.create_task(loop.sock_recv(pair[0], 10))
    turn(loop)
    assert "coro=<EventLoop.sock_recv()>" in repr(task)
    assert repr(task.get_coro()).startswith("<coroutine object EventLoop.sock_recv at 0x")
    assert task.get_coro().cr_await is task._fut_waiter
    assert task.get_coro().cr_running is False
    assert task._wait_reason == "socket"
    task.cancel()
    turn(loop, 2)
    assert task.cancelled()


def test_a_look_alike_whose_descriptor_cannot_be_polled(run: Run, tmp_path: Any) -> None:
    class File:
        def __init__(self, file: Any) -> None:
            self.fileno = file.fileno

        def recv(self, _: int) -> bytes:
            raise BlockingIOError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        (tmp_path / "file").touch()
        with (tmp_path / "file").open("rb") as file:
            with pytest.raises(PermissionError):
                await loop.sock_recv(File(file), 10)  # type: ignore[arg-type]

    run(main())


def test_the_poller_forgets_a_descriptor_that_is_watched_no_longer(run: Run, pair: Any) -> None:
    """A duplicate keeps the file open, and the kernel's registration with it: it must not spin."""
    ours, peer = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.call_soon(peer.send, b"x")
        assert await loop.sock_recv(ours, 10) == b"x"
        with ours.dup() as copy:
            ours.close()
            peer.send(b"for the copy")
            assert select.select([copy], [], [], 5)[0]
            used = os.times()
            await asyncio.sleep(0.3)
            now = os.times()
            assert now.user + now.system - used.user - used.system < 0.15
            copy.setblocking(False)
            assert await loop.sock_recv(copy, 100) == b"for the copy"

    run(main())


def test_calls_are_made_under_every_small_threshold_of_the_collector(loop: Any, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        for _ in range(50):
            loop.call_soon(peer.send, b"x")
            assert await loop.sock_recv(ours, 10) == b"x"
            await loop.sock_sendall(ours, b"y")
            assert peer.recv(10) == b"y"

    before = gc.get_threshold()
    try:
        for threshold in range(1, 9):
            gc.set_threshold(threshold, 1, 1)
            loop.run_until_complete(main())
    finally:
        gc.set_threshold(*before)
