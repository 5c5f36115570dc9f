"""Context variables: which context each callback, task and protocol runs in."""

import asyncio
import contextvars
import socket

import pytest

from support import reports, turn

VAR = contextvars.ContextVar("VAR", default="default")


def test_callback_runs_in_a_copy_of_the_callers_context(loop):
    seen = []

    def callback():
        seen.append(VAR.get())
        VAR.set("changed in callback")

    token = VAR.set("caller")
    try:
        loop.call_soon(callback)
        loop.call_later(0, callback)
        loop.call_soon_threadsafe(callback)
        VAR.set("changed later")
        turn(loop, 2)
        assert seen == ["caller"] * 3
        assert VAR.get() == "changed later"
    finally:
        VAR.reset(token)


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_callback_runs_in_the_context_it_was_given(loop, method):
    context = contextvars.copy_context()
    args = (0,) if method == "call_later" else ()
    getattr(loop, method)(*args, VAR.set, "set inside", context=context)
    turn(loop, 2)
    assert context[VAR] == "set inside"
    assert VAR.get() == "default"


def test_context_that_is_none_means_a_copy(loop):
    seen = []
    loop.call_soon(lambda: (VAR.set("inside"), seen.append(VAR.get())), context=None)
    turn(loop)
    assert seen == ["inside"]
    assert VAR.get() == "default"


def test_task_runs_in_a_copy_and_keeps_it(loop):
    seen = []

    async def child():
        VAR.set("child")
        await asyncio.sleep(0)
        seen.append(VAR.get())

    async def main():
        VAR.set("parent")
        task = loop.create_task(child())
        VAR.set("parent later")
        await task
        seen.append(VAR.get())
        seen.append(task.get_context()[VAR] if hasattr(task, "get_context") else "child")

    loop.run_until_complete(main())
    assert seen == ["child", "parent later", "child"]


def test_task_runs_in_the_context_it_was_given(loop):
    context = contextvars.copy_context()

    async def child():
        VAR.set("inside")
        await asyncio.sleep(0)

    async def main():
        await loop.create_task(child(), context=context)

    loop.run_until_complete(main())
    assert context[VAR] == "inside"


def test_done_callbacks_run_in_the_context_of_the_adding(loop):
    seen = []

    async def main():
        future = loop.create_future()
        context = contextvars.copy_context()
        context.run(VAR.set, "given")
        VAR.set("adder")
        future.add_done_callback(lambda _future: seen.append(VAR.get()))
        future.add_done_callback(lambda _future: seen.append(VAR.get()), context=context)
        VAR.set("setter")
        future.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert seen == ["adder", "given"]


def test_context_that_is_already_entered_is_an_error_that_is_reported(loop, exception_reports):
    context = contextvars.copy_context()
    with reports(loop) as seen:
        handle = loop.call_soon(print, "never printed", context=context)
        context.run(turn, loop)
        handle.cancel()
    # Since 3.12 the exception handler runs in the handle's context too, so it fails as well and that is logged.
    told = [str(context["exception"]) for context in seen] + [str(record.exc_info[1]) for record in exception_reports]
    assert len(told) == 1
    assert "cannot enter context" in told[0]
    seen.clear()


def test_reader_callback_runs_in_the_context_of_its_adding(loop):
    ours, theirs = socket.socketpair()
    seen = []

    def read():
        seen.append(VAR.get())
        loop.remove_reader(ours)

    context = contextvars.copy_context()
    context.run(VAR.set, "adder")
    context.run(loop.add_reader, ours, read)
    theirs.send(b"x")
    turn(loop, 3)
    ours.close()
    theirs.close()
    assert seen == ["adder"]


def test_protocol_callbacks_of_a_client_run_in_the_context_of_the_connect(loop):
    seen = {}

    class Client(asyncio.Protocol):
        def connection_made(self, transport):
            seen["made"] = VAR.get()

        def data_received(self, data):
            seen["data"] = VAR.get()

        def connection_lost(self, exc):
            seen["lost"] = VAR.get()
            done.set_result(None)

    async def main():
        nonlocal done
        done = loop.create_future()
        VAR.set("connecting")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _transport, _ = await loop.create_connection(Client, *listener.getsockname())
            VAR.set("changed")
            peer, _ = listener.accept()
            peer.send(b"x")
            peer.close()
            await done

    done = None
    loop.run_until_complete(main())
    assert seen == {"made": "connecting", "data": "connecting", "lost": "connecting"}
