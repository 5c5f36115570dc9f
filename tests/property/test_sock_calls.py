"""sock_* calls that are cancelled at random: no byte is lost, none comes twice, no descriptor stays."""

import asyncio
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import tideloop

# What happens next: so many bytes arrive, a call for so many is begun, or cancelled, or the loop makes some turns.
ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 5000)),
    st.tuples(st.just("receive"), st.integers(1, 3000)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("turns"), st.integers(1, 3)),
    st.tuples(st.just("reader"), st.integers(1, 3000)),
)


async def settle(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def receive_with_interruptions(actions: list[tuple[str, int]], into: bool) -> None:
    loop = asyncio.get_running_loop()
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    sent, received = bytearray(), bytearray()
    calls: list[asyncio.Task[None]] = []

    async def receive(length: int) -> None:
        if into:
            buffer = bytearray(length)
            # Not a word between the call's end and the note of what came.
            received.extend(memoryview(buffer)[: await loop.sock_recv_into(ours, buffer)])
        else:
            received.extend(await loop.sock_recv(ours, length))

    def take(length: int) -> None:
        try:
            received.extend(ours.recv(length))
        except BlockingIOError:
            pass

    with ours, peer:
        for action, number in actions:
            if action == "arrive":
                data = bytes((len(sent) + index) % 251 for index in range(number))
                peer.send(data)
                sent += data
            elif action == "receive":
                calls.append(loop.create_task(receive(number)))
            elif action == "cancel" and calls:
                calls[number % len(calls)].cancel()
            elif action == "reader":
                loop.add_reader(ours, take, number)
                await settle(2)
                loop.remove_reader(ours)
            else:
                await settle(number)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        peer.close()
        while data := await asyncio.wait_for(loop.sock_recv(ours, 4096), 10):
            received += data
        assert received == sent


@settings(max_examples=150, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=30), into=st.booleans())
def test_no_byte_is_lost_whenever_calls_are_cancelled(actions: list[tuple[str, int]], into: bool) -> None:
    loop = tideloop.new_event_loop()
    try:
        loop.run_until_complete(receive_with_interruptions(actions, into))
    finally:
        loop.close()


async def accept_with_interruptions(steps: list[bool]) -> None:
    loop = asyncio.get_running_loop()
    accepted: list[socket.socket] = []

    async def accept(listener: socket.socket) -> None:
        connection, _ = await loop.sock_accept(listener)
        accepted.append(connection)

    clients: list[Any] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.setblocking(False)
        for cancel in steps:
            call = loop.create_task(accept(listener))
            await asyncio.sleep(0)
            clients.append(socket.create_connection(listener.getsockname()))
            if cancel:
                call.cancel()
            await asyncio.wait([call])
        while len(accepted) < len(clients):
            await asyncio.wait_for(accept(listener), 10)
        assert {each.getpeername() for each in accepted} == {each.getsockname() for each in clients}
    for each in (*accepted, *clients):
        each.close()


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.booleans(), min_size=1, max_size=12))
def test_no_connection_is_lost_whenever_calls_are_cancelled(steps: list[bool]) -> None:
    loop = tideloop.new_event_loop()
    try:
        loop.run_until_complete(accept_with_interruptions(steps))
    finally:
        loop.close()
