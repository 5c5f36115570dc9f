"""No descriptor is free (EMFILE): a clear error from every way to make a channel, nothing leaked, and all goes on.

Accepting without descriptors is in tests/regressions/test_accept_without_descriptors.py.
"""

import asyncio
import contextlib
import errno
import os
import resource
import socket
import subprocess

import pytest
from channels import CAT, client_context, open_channel, server_context

from hygiene import _descriptors as descriptors
from support import Recorder, connected, gone, reports, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


#: Abstract names are the whole machine's, and the same test may run in another process.
NOBODY = f"\0tideloop-nobody-{os.getpid()}"


@contextlib.contextmanager
def free_descriptors(count=0):
    """No more than `count` descriptors can be opened inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    taken = [spare]
    highest = max(descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


async def goes_on(transport, protocol, peer):
    size = len(protocol.data)
    transport.write(b"out")
    assert await asyncio.to_thread(peer.recv, 10) == b"out"
    peer.sendall(b"in")
    await until(lambda: len(protocol.data) == size + 2)


def tcp(loop, address):
    return loop.create_connection(Recorder, *address)


def eyeballs(loop, address):
    return loop.create_connection(Recorder, *address, happy_eyeballs_delay=0.1)


def tls(loop, address):
    return loop.create_connection(Recorder, *address, ssl=client_context(), server_hostname="localhost")


def tcp_server(loop, address):
    return loop.create_server(Recorder, "127.0.0.1", 0)


def tls_server(loop, address):
    return loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())


def unix(loop, address):
    return loop.create_unix_connection(Recorder, NOBODY)


def unix_server(loop, address):
    return loop.create_unix_server(Recorder, NOBODY)


def udp(loop, address):
    return loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))


def udp_connected(loop, address):
    return loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)


def child(loop, address):
    return loop.subprocess_exec(asyncio.SubprocessProtocol, *CAT)


def child_without_pipes(loop, address):
    # The null device and the pipe that tells of a failed exec.
    return loop.subprocess_exec(
        asyncio.SubprocessProtocol, *CAT, stdin=subprocess.DEVNULL, stdout=None, stderr=subprocess.STDOUT
    )


MAKERS = [tcp, eyeballs, tls, tcp_server, tls_server, unix, unix_server, udp, udp_connected, child, child_without_pipes]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_channel_that_finds_no_descriptor_raises_and_leaves_nothing(loop, loop_kind, make):
    if make is tcp_server and loop_kind == "asyncio":
        pytest.skip("asyncio takes it for a family that the kernel lacks, and serves nobody")

    async def main():
        other = await connected()
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        await goes_on(*other)
        # What is imported, looked up or started at the first use needs descriptors of its own.
        warm = asyncio.ensure_future(make(loop, ("127.0.0.1", 1)))
        await asyncio.wait([warm], timeout=10)
        if warm.exception() is None:
            made = warm.result()
            (made[0] if isinstance(made, tuple) else made).close()
        # A child is killed at once and reaped when it is dead.
        await until(lambda: not any("pidfd" in name for name in descriptors().values()))
        await asyncio.sleep(0.01)
        before = descriptors()
        with free_descriptors():
            with pytest.raises(OSError) as caught:
                await make(loop, address)
            assert caught.value.errno == errno.EMFILE
            await goes_on(*other)
        del caught
        await until(lambda: descriptors() == before)
        other[0].abort()
        await gone(other[1])
        other[2].close()
        listener.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("count", range(1, 8))
def test_child_that_finds_some_descriptors_raises_or_runs_and_leaves_nothing(loop, count):
    async def main():
        warm = await asyncio.create_subprocess_exec(*CAT, stdin=-1, stdout=-1, stderr=-1)
        await warm.communicate(b"")
        await until(lambda: not any("pidfd" in name for name in descriptors().values()))
        before = descriptors()
        with free_descriptors(count):
            try:
                process = await asyncio.create_subprocess_exec(*CAT, stdin=-1, stdout=-1, stderr=-1)
            except OSError as exc:
                assert exc.errno == errno.EMFILE
                process = None
        if process is not None:
            assert await process.communicate(b"x") == (b"x", b"")
        del process
        await until(lambda: descriptors() == before)

    loop.run_until_complete(main())


def test_names_are_asked_for_without_descriptors_end_in_an_os_error_or_an_answer(loop):
    async def main():
        await loop.getaddrinfo("localhost", 80)
        with free_descriptors():
            for name in ("localhost", "nobody.invalid"):
                with contextlib.suppress(OSError):
                    await loop.getaddrinfo(name, 80)
            assert await loop.getaddrinfo("127.0.0.1", 80)
        assert await loop.getaddrinfo("localhost", 80)

    loop.run_until_complete(main())


def test_sock_calls_without_descriptors(loop):
    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        client = socket.create_connection(listener.getsockname())
        other = await connected()
        await goes_on(*other)
        with free_descriptors():
            for _ in range(3):
                with pytest.raises(OSError) as caught:
                    await loop.sock_accept(listener)
                assert caught.value.errno == errno.EMFILE
            await goes_on(*other)
        # The connection was not lost.
        accepted, _ = await asyncio.wait_for(loop.sock_accept(listener), 5)
        for sock in (accepted, client, listener, other[2]):
            sock.close()
        other[0].abort()
        await gone(other[1])

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_channels_that_are_open_need_no_more_descriptors(loop, kind):
    async def main():
        transport, protocol, peer = await open_channel(kind)
        await goes_on(transport, protocol, peer)
        with free_descriptors():
            for _ in range(3):
                await goes_on(transport, protocol, peer)
            transport.pause_reading()
            transport.resume_reading()
            transport.abort()
            await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_server_of_tls_that_is_out_of_descriptors_goes_on(loop):
    async def main():
        server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        waiting = socket.socket()
        with free_descriptors():
            waiting.connect(address)
            await until(lambda: seen)
        waiting.close()
        transport, protocol = await loop.create_connection(
            Recorder, *address, ssl=client_context(), server_hostname="localhost"
        )
        transport.abort()
        await gone(protocol)
        server.close()
        await asyncio.sleep(0.01)

    with reports(loop) as seen:
        loop.run_until_complete(main())
        assert seen[0]["exception"].errno == errno.EMFILE
        seen.clear()
