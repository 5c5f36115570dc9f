"""The resolver: numbers are answered on the loop, names in threads that hold up neither the loop nor its end."""

import asyncio
import signal
import socket
import threading
import types

import pytest

from support import program_output
from tideloop import _resolver

RESOLVER_THREAD = "tideloop-resolver"


def resolver_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(RESOLVER_THREAD)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", b"127.0.0.1", "::1", "fe80::1%lo", None])
@pytest.mark.parametrize("port", [80, "80", None])
@pytest.mark.parametrize("options", [{}, {"type": socket.SOCK_STREAM}, {"flags": socket.AI_PASSIVE}], ids=str)
def test_numeric_addresses_resolve_as_socket_does_without_a_thread(run, loop, host, port, options):
    try:
        expected = socket.getaddrinfo(host, port, **options)
    except socket.gaierror as error:
        with pytest.raises(socket.gaierror) as raised:
            run(loop.getaddrinfo(host, port, **options))
        assert raised.value.args == error.args
    else:
        assert run(loop.getaddrinfo(host, port, **options)) == expected
        assert resolver_threads() == []


@pytest.mark.parametrize(("host", "port"), [("localhost", 80), ("127.0.0.1", "http"), ("::1", "no such service")])
def test_names_resolve_as_socket_does_in_a_thread(run, loop, host, port):
    try:
        expected = socket.getaddrinfo(host, port)
    except socket.gaierror as error:
        with pytest.raises(socket.gaierror) as raised:
            run(loop.getaddrinfo(host, port))
        assert raised.value.args == error.args
    else:
        assert run(loop.getaddrinfo(host, port)) == expected
    assert len(resolver_threads()) == 1


@pytest.mark.parametrize(("host", "error"), [("x" * 64, UnicodeError), (5, TypeError)])
def test_nonsense_is_refused_as_socket_refuses_it(run, loop, host, error):
    with pytest.raises(error):
        run(loop.getaddrinfo(host, 80))


def test_numeric_names_need_no_thread_and_others_do(run, loop):
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert run(loop.getnameinfo(("127.0.0.1", 80), numeric)) == ("127.0.0.1", "80")
    assert resolver_threads() == []
    assert run(loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)) == socket.getnameinfo(
        ("127.0.0.1", 80), socket.NI_NUMERICHOST
    )
    assert len(resolver_threads()) == 1


@pytest.mark.parametrize("port", [65536, 70000, "70000", -1])
def test_a_port_that_no_port_has_is_refused_instead_of_cut(run, loop, port):
    with pytest.raises(OverflowError, match="port must be 0-65535"):
        run(loop.create_connection(asyncio.Protocol, "127.0.0.1", port))


def test_a_scope_id_in_the_address_or_in_the_host_survives(run, loop):
    (info,) = run(loop._resolve_address(("fe80::1", 80, 7, 3)))
    assert info[4] == ("fe80::1", 80, 7, 3)
    (info,) = run(loop._resolve_address(("fe80::1%lo", 80, 0, 0)))
    assert info[4] == ("fe80::1", 80, 0, socket.if_nametoindex("lo"))


@pytest.fixture
def slow_lookups(monkeypatch):
    """Replaces the system's look-up of names by one that waits; `asked` counts, `answer` lets it go on."""

    lookups = types.SimpleNamespace(asked=threading.Semaphore(0), answer=threading.Event(), masks=[])

    def getaddrinfo(host, port, *rest):
        if rest[-1] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        lookups.masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        lookups.asked.release()
        assert lookups.answer.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    monkeypatch.setattr(_resolver.socket, "getaddrinfo", getaddrinfo)
    yield lookups
    lookups.answer.set()


def test_a_name_server_that_does_not_answer_does_not_hold_up_close(make_loop, slow_lookups):
    loop = make_loop()

    async def main():
        lookup = asyncio.ensure_future(loop.getaddrinfo("nobody", 80))
        await loop.run_in_executor(None, slow_lookups.asked.acquire)
        lookup.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lookup
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    (thread,) = resolver_threads()
    loop.close()
    assert thread.is_alive()
    assert thread.daemon
    slow_lookups.answer.set()
    thread.join()


def test_a_cancelled_lookup_that_waits_for_its_turn_is_not_made(run, loop, slow_lookups):
    async def main():
        lookups = [asyncio.ensure_future(loop.getaddrinfo(f"host{n}", 80)) for n in range(20)]
        for _ in range(_resolver.RESOLVER_THREADS_MAX):
            await loop.run_in_executor(None, slow_lookups.asked.acquire)
        assert len(resolver_threads()) == _resolver.RESOLVER_THREADS_MAX
        for lookup in lookups[_resolver.RESOLVER_THREADS_MAX :]:
            lookup.cancel()
        await asyncio.sleep(0)
        slow_lookups.answer.set()
        return await asyncio.gather(*lookups, return_exceptions=True)

    results = run(main())
    answered = [result for result in results if isinstance(result, list)]
    assert len(answered) == _resolver.RESOLVER_THREADS_MAX == len(slow_lookups.masks)


def test_resolver_threads_take_no_signals(run, loop, slow_lookups):
    slow_lookups.answer.set()
    run(loop.getaddrinfo("host", 80))
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD} <= slow_lookups.masks[-1]


def test_lookups_in_a_loop_of_another_thread(make_loop):
    found = []

    def in_thread():
        loop = make_loop()
        found.append(loop.run_until_complete(loop.getaddrinfo("localhost", 80)))
        loop.close()

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert found == [socket.getaddrinfo("localhost", 80)]


def test_a_closed_loop_resolves_nothing(make_loop, run):
    closed = make_loop()
    closed.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        run(closed.getaddrinfo("127.0.0.1", 80))


def test_the_program_ends_while_a_name_server_does_not_answer():
    source = """
    lookup = socket.getaddrinfo

    def never(host, port, *rest):
        if rest[-1] & socket.AI_NUMERICHOST:
            return lookup(host, port, *rest)
        time.sleep(3600)

    socket.getaddrinfo = never

    async def main():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().getaddrinfo("nobody", 80)
        except TimeoutError:
            print("gave up")

    tideloop.run(main())
    """
    assert program_output("tideloop", source, seconds=20) == "gave up\n"
