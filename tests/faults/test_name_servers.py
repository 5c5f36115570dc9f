"""A name server that never answers: the loop goes on, other names are found meanwhile, and nothing waits at the end."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from support import PROGRAM_HEAD, Recorder, connected, gone, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

SILENT = "silent.example"
QUICK_S = 5.0  # far less than any of the time limits of a lookup here


@pytest.fixture
def silent_server(monkeypatch):
    """Names below `silent.example` are never answered until the test is over; all others are local."""
    over = threading.Event()
    lookup, reverse = socket.getaddrinfo, socket.getnameinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        if isinstance(host, str) and host.endswith("example") and not flags & socket.AI_NUMERICHOST:
            if host.endswith(SILENT):
                over.wait(30)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return lookup(host, port, family, type, proto, flags)

    def getnameinfo(address, flags):
        if not flags & socket.NI_NUMERICHOST:
            over.wait(30)
        return reverse(address, flags)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "getnameinfo", getnameinfo)
    yield over
    over.set()


def connection(loop, host, port):
    return loop.create_connection(Recorder, host, port)


def streams(loop, host, port):
    return asyncio.open_connection(host, port)


def eyeballs(loop, host, port):
    return loop.create_connection(Recorder, host, port, happy_eyeballs_delay=0.01)


def local_address(loop, host, port):
    return loop.create_connection(Recorder, "127.0.0.1", port, local_addr=(host, 0))


def server(loop, host, port):
    return loop.create_server(Recorder, host, 0)


def datagrams(loop, host, port):
    return loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, port))


def names(loop, host, port):
    return loop.getnameinfo(("127.0.0.1", port))


ASKING = [connection, streams, eyeballs, local_address, server, datagrams, names]


@pytest.mark.parametrize("ask", ASKING, ids=lambda ask: ask.__name__)
def test_whoever_asks_can_give_up_and_the_loop_goes_on(loop, silent_server, ask):
    async def main():
        transport, protocol, peer = await connected()
        start = time.monotonic()
        waiting = asyncio.ensure_future(ask(loop, SILENT, 9))
        for _ in range(20):
            size = len(protocol.data)
            peer.sendall(b"x")
            await until(lambda: len(protocol.data) > size)  # noqa: B023
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert time.monotonic() - start < QUICK_S
        transport.abort()
        await gone(protocol)
        peer.close()
        silent_server.set()

    loop.run_until_complete(main())


def test_other_names_are_found_and_connected_to_meanwhile(loop, silent_server):
    async def main():
        silent = [asyncio.ensure_future(loop.getaddrinfo(f"{n}.{SILENT}", 80)) for n in range(3)]
        await asyncio.sleep(0)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for name in ("a.example", "b.example", "127.0.0.1"):
                connecting = loop.create_connection(Recorder, name, listener.getsockname()[1])
                transport, protocol = await asyncio.wait_for(connecting, QUICK_S)
                transport.abort()
                await gone(protocol)
        assert not any(lookup.done() for lookup in silent)
        silent_server.set()
        assert {type(result) for result in await asyncio.gather(*silent, return_exceptions=True)} == {socket.gaierror}

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_literals_need_no_name_server_however_many_names_are_asked_for(loop, silent_server):
    async def main():
        silent = [asyncio.ensure_future(loop.getaddrinfo(f"{n}.{SILENT}", 80)) for n in range(50)]
        await asyncio.sleep(0)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, protocol = await asyncio.wait_for(
                loop.create_connection(Recorder, *listener.getsockname()), QUICK_S
            )
            transport.abort()
            await gone(protocol)
        for lookup in silent:
            lookup.cancel()
        await asyncio.wait(silent)
        silent_server.set()

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_loop_with_hung_lookups_closes_at_once(make_loop, silent_server):
    loop = make_loop()

    async def main():
        silent = [asyncio.ensure_future(loop.getaddrinfo(f"{n}.{SILENT}", 80)) for n in range(10)]
        await asyncio.sleep(0.01)
        for lookup in silent:
            lookup.cancel()
        await asyncio.wait(silent)
        await loop.shutdown_default_executor()

    start = time.monotonic()
    loop.run_until_complete(main())
    loop.close()
    assert time.monotonic() - start < QUICK_S
    silent_server.set()


#: A network of its own, whose name server takes questions and gives no answers.
REAL = """
import ctypes, fcntl, struct, tempfile

libc = ctypes.CDLL(None, use_errno=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS: up
config = tempfile.NamedTemporaryFile("w")
config.write("nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n")
config.flush()
if libc.mount(config.name.encode(), b"/etc/resolv.conf", None, 4096, None):  # MS_BIND
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name_server.bind(("127.0.0.1", 53))
name_server.settimeout(10)

async def main():
    loop = asyncio.get_running_loop()
    ticks = 0
    start = loop.time()
    names = ["one.example.", "two.example.", "three.example."]
    lookups = [loop.create_task(loop.getaddrinfo(name, 80, family=socket.AF_INET)) for name in names]
    asked = set()
    while len(asked) < 3:
        asked.add((await loop.run_in_executor(None, name_server.recv, 512))[12:])
    print("asked at once", loop.time() - start < 1.9)  # one after the other, it takes 2 s
    while not all(lookup.done() for lookup in lookups):
        await asyncio.sleep(0.001)
        ticks += 1
    print("went on", ticks > 50)
    print({type(lookup.exception()).__name__ for lookup in lookups}, loop.time() - start < 2.9)
    hung = loop.create_task(loop.getaddrinfo("four.example.", 80))
    await loop.run_in_executor(None, name_server.recv, 512)
    hung.cancel()

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


def test_real_resolver_with_a_silent_name_server(loop_kind):
    unshare = shutil.which("unshare")
    own_network = [unshare or "", "--user", "--map-root-user", "--mount", "--net"]
    if unshare is None or subprocess.run([*own_network, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces of its own for a name server of its own")
    program = PROGRAM_HEAD.format(kind=loop_kind) + REAL
    done = subprocess.run(
        [*own_network, sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["asked at once True", "went on True", "{'gaierror'} True"], done.stderr
