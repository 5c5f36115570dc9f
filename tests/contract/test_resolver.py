"""getaddrinfo and getnameinfo: what the socket module says, without blocking the loop."""

import asyncio
import socket
import threading

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("127.0.0.1", 80),
        ("127.0.0.1", "80"),
        ("127.0.0.1", None),
        ("::1", 80),
        ("fe80::1%lo", 80),
        ("::ffff:127.0.0.1", 80),
        ("localhost", 80),
        (b"127.0.0.1", 80),
        ("127.0.0.1", b"80"),
        (None, 80),
        ("", 0),
        ("127.1", 80),
        ("0x7f000001", 80),
        ("127.0.0.1", "http"),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": socket.SOCK_STREAM},
        {"type": socket.SOCK_DGRAM},
        {"proto": socket.IPPROTO_TCP},
        {"flags": socket.AI_PASSIVE, "type": socket.SOCK_STREAM},
        {"flags": socket.AI_NUMERICHOST},
        {"flags": socket.AI_CANONNAME, "type": socket.SOCK_STREAM},
        {"family": socket.AF_INET},
        {"family": socket.AF_INET6},
    ],
    ids=repr,
)
def test_answers_and_errors_are_those_of_the_socket_module(loop, arguments, options):
    def ask():
        try:
            return socket.getaddrinfo(*arguments, **options)
        except (OSError, ValueError) as exc:
            return type(exc), exc.args

    async def main():
        try:
            return await loop.getaddrinfo(*arguments, **options)
        except (OSError, ValueError) as exc:
            return type(exc), exc.args

    assert loop.run_until_complete(main()) == ask()


def test_scope_of_a_link_local_address_is_kept(loop):
    """uvloop drops it."""
    (answer,) = loop.run_until_complete(loop.getaddrinfo("fe80::1%lo", 80, type=socket.SOCK_STREAM))
    assert answer[4][3] == socket.if_nametoindex("lo")


def test_unknown_name_is_a_gaierror_with_its_code(loop):
    """zuvloop #14."""

    async def main():
        with pytest.raises(socket.gaierror) as caught:
            await loop.getaddrinfo("no such name", 80, flags=socket.AI_NUMERICHOST)
        assert caught.value.errno == socket.EAI_NONAME

    loop.run_until_complete(main())


@pytest.mark.parametrize("port", [70000, -1])
def test_port_out_of_range_is_what_the_socket_module_makes_of_it(loop, port):
    """zuvloop #18."""

    def ask():
        try:
            return socket.getaddrinfo("127.0.0.1", port)
        except (OSError, OverflowError) as exc:
            return type(exc), exc.args

    async def main():
        try:
            return await loop.getaddrinfo("127.0.0.1", port)
        except (OSError, OverflowError) as exc:
            return type(exc), exc.args

    assert loop.run_until_complete(main()) == ask()


@pytest.mark.parametrize("host", [1, 1.5, object()], ids=["int", "float", "object"])
def test_host_of_a_wrong_type_is_a_type_error(loop, host):
    async def main():
        with pytest.raises(TypeError):
            await loop.getaddrinfo(host, 80)

    loop.run_until_complete(main())


def test_name_that_takes_long_does_not_hold_the_loop(loop, monkeypatch):
    release = threading.Event()
    ask = socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host == "slow.example":
            if (args[4:] and args[4] & socket.AI_NUMERICHOST) or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not numeric")
            release.wait(10)
            return []
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def main():
        asking = asyncio.ensure_future(loop.getaddrinfo("slow.example", 80))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not asking.done()
        assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        release.set()
        assert await asking == []

    loop.run_until_complete(main())


def test_three_names_are_resolved_at_once(loop, monkeypatch):
    """cpython #112169."""
    barrier = threading.Barrier(3)

    def together(host, *args, **kwargs):
        if (args[4:] and args[4] & socket.AI_NUMERICHOST) or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        barrier.wait(10)
        return [host]

    monkeypatch.setattr(socket, "getaddrinfo", together)

    async def main():
        return await asyncio.gather(*[loop.getaddrinfo(name, 80) for name in ("a.test", "b.test", "c.test")])

    assert loop.run_until_complete(main()) == [["a.test"], ["b.test"], ["c.test"]]


def test_cancelled_question_leaves_the_loop_usable(loop, monkeypatch):
    release = threading.Event()

    def slow(_host, *args, **kwargs):
        if (args[4:] and args[4] & socket.AI_NUMERICHOST) or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.getaddrinfo("slow.example", 80), 0.01)
        release.set()
        assert await loop.getaddrinfo("again.example", 80) == []

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
        (("::1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
        (("::1", 80, 0, 0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
        (("127.0.0.1", 80), socket.NI_NUMERICHOST),
    ],
)
def test_addresses_are_named_as_the_socket_module_does(loop, address, flags):
    assert loop.run_until_complete(loop.getnameinfo(address, flags)) == socket.getnameinfo(address, flags)


def test_wrong_address_to_name_is_refused(loop):
    async def main():
        with pytest.raises((OSError, TypeError)):
            await loop.getnameinfo("no tuple", 0)
        with pytest.raises(OSError, match=".+"):
            await loop.getnameinfo(("not numeric", 80), 0)

    loop.run_until_complete(main())
