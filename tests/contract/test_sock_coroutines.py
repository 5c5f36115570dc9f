"""What sock_* methods return is a coroutine in every way, whatever the socket is."""

import asyncio
import gc
import inspect
import socket
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sock_pairs import drain, fill, stream_pair

from support import future_class, turn

Run = Callable[[Any], Any]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with stream_pair() as both:
        yield both


def test_they_are_awaited_in_every_way(loop: Any, pair: Any) -> None:
    ours, peer = pair

    def received(awaitable: Any) -> bytes:
        loop.call_soon(peer.send, b"x")
        return loop.run_until_complete(awaitable)  # type: ignore[no-any-return]

    async def wrapped() -> bytes:
        return await loop.sock_recv(ours, 1)  # type: ignore[no-any-return]

    async def in_gather() -> bytes:
        (one,) = await asyncio.gather(loop.sock_recv(ours, 1))
        return one  # type: ignore[no-any-return]

    assert received(loop.sock_recv(ours, 1)) == b"x"
    assert received(wrapped()) == b"x"
    assert received(in_gather()) == b"x"
    assert received(loop.create_task(loop.sock_recv(ours, 1))) == b"x"
    assert received(asyncio.ensure_future(loop.sock_recv(ours, 1), loop=loop)) == b"x"
    assert received(asyncio.wait_for(loop.sock_recv(ours, 1), 10)) == b"x"
    assert received(asyncio.tasks._PyTask(loop.sock_recv(ours, 1), loop=loop)) == b"x"
    assert received(asyncio.tasks._CTask(loop.sock_recv(ours, 1), loop=loop)) == b"x"


def test_they_look_like_coroutines(loop: Any, pair: Any) -> None:
    call = loop.sock_recv(pair[0], 1)
    assert asyncio.iscoroutine(call)
    assert inspect.isawaitable(call)
    assert call.__name__ == "sock_recv"
    assert call.__qualname__.endswith("EventLoop.sock_recv")
    call.close()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        call.send(None)


def test_stepped_by_hand(loop: Any, loop_kind: str, pair: Any) -> None:
    ours, peer = pair
    call = loop.sock_recv(ours, 10)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        call.send(1)
    waits = call.send(None)
    assert isinstance(waits, future_class(loop_kind))
    assert waits.get_loop() is loop
    assert waits._asyncio_future_blocking
    peer.send(b"by hand")
    while not waits.done():
        turn(loop)
    with pytest.raises(StopIteration) as stop:
        call.send(None)
    assert stop.value.value == b"by hand"
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        call.send(None)
    call.close()


def test_thrown_into_they_end(loop: Any, pair: Any) -> None:
    class Thrown(Exception):
        pass

    ours, peer = pair
    fresh, waiting = loop.sock_recv(ours, 10), loop.sock_recv(ours, 10)
    waiting.send(None)
    for call in (fresh, waiting):
        with pytest.raises(Thrown):
            call.throw(Thrown())
    peer.send(b"not lost")
    assert loop.run_until_complete(loop.sock_recv(ours, 10)) == b"not lost"


def test_one_that_is_never_awaited_is_warned_of(loop: Any, pair: Any) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        loop.sock_recv(pair[0], 1)
        loop.sock_recv(pair[0], 1).close()
    assert len(seen) == 1
    assert seen[0].category is RuntimeWarning
    assert "EventLoop.sock_recv' was never awaited" in str(seen[0].message)


def test_a_closed_loop_says_so(new_loop: Any, pair: Any) -> None:
    loop = new_loop()
    loop.close()
    call = loop.sock_recv(pair[0], 1)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        call.send(None)


class LookAlike:
    """Behaves as a socket and is none."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._sock, name)


class Derived(socket.socket):
    """Counts what it receives."""

    received = 0

    def recv(self, *args: Any) -> bytes:
        data = super().recv(*args)
        self.received += len(data)
        return data


def test_an_object_that_behaves_as_a_socket(run: Run, pair: Any) -> None:
    ours, peer = pair
    fake = LookAlike(ours)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(peer.send, b"x")
        assert await loop.sock_recv(fake, 10) == b"x"
        fill(ours)
        sending = loop.create_task(loop.sock_sendall(fake, b"y" * 1_000_000))
        reading = loop.create_task(loop.sock_recv(fake, 10))
        await asyncio.sleep(0.01)
        peer.send(b"z")
        assert await reading == b"z"
        while not sending.done():
            drain(peer)
            await asyncio.sleep(0)
        assert {"recv", "send"} <= set(fake.calls)

    run(main())


def test_methods_of_a_derived_class_are_used(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, peer = socket.socketpair()
        with Derived(fileno=one.detach()) as ours, peer:
            ours.setblocking(False)
            for _ in range(2):
                loop.call_soon(peer.send, b"12345")
                assert await loop.sock_recv(ours, 10) == b"12345"
            assert ours.received == 10

    run(main())


# ------------------------------------------------------------------------------------------------------- collection


class Held:
    """Never has anything to read; its calls hold it, and it holds them."""

    alive = 0

    def __init__(self, sock: socket.socket) -> None:
        Held.alive += 1
        self.fileno = sock.fileno
        self.call: Any = None

    def recv(self, _: int) -> bytes:
        raise BlockingIOError

    def __del__(self) -> None:
        Held.alive -= 1


# asyncio's calls are the interpreter's coroutines: what becomes of those is not our subject.
@pytest.mark.loop_kinds("tideloop")
def test_cycles_through_calls_are_collected(loop: Any, pair: Any) -> None:
    Held.alive = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # never awaited
        for number in range(2000):
            held = Held(pair[0])
            held.call = loop.sock_recv(held, 10)
            if number % 2:
                held.call.send(None)
                loop.remove_reader(pair[0])
        del held
        gc.collect()
        gc.collect()
        assert Held.alive == 0
