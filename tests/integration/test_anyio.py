"""anyio's own channels and scopes, by its runner with our factory and within a loop that runs already."""

import os
import signal
import socket
import subprocess
import sys
import threading

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener, TLSStream

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:anyio.*")


@pytest.fixture(params=["anyio.run", "running loop"])
def enter(request, run, new_loop):
    """Run an async function: by anyio's runner, or on the test's loop."""
    if request.param == "anyio.run":
        return lambda function: anyio.run(function, backend="asyncio", backend_options={"loop_factory": new_loop})
    return lambda function: run(function())


def test_task_groups_cancel_shield_and_collect_errors(enter):
    async def main():
        ends = []

        async def work(number, *, task_status=anyio.TASK_STATUS_IGNORED):
            task_status.started(number)
            try:
                await anyio.sleep(60)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                ends.append(number)
                raise

        async with anyio.create_task_group() as group:
            assert [await group.start(work, number) for number in range(20)] == list(range(20))
            group.cancel_scope.cancel()
        assert sorted(ends) == list(range(20))
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                await group.start(work, 20)
                raise ValueError("one")
        assert caught.group_contains(ValueError, match="one") and ends[-1] == 20

        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await anyio.Event().wait()

        # A scope that is cancelled already lets nothing pass that waits, again and again.
        with anyio.CancelScope() as outer:
            outer.cancel()
            for _ in range(3):
                with pytest.raises(anyio.get_cancelled_exc_class()):
                    await anyio.sleep(0)
            await anyio.lowlevel.checkpoint()
            pytest.fail("not reached")
        assert outer.cancelled_caught

    enter(main)


def test_memory_streams_locks_and_limiters(enter):
    async def main():
        send, receive = anyio.create_memory_object_stream(5)
        got, limiter = [], anyio.CapacityLimiter(3)

        async def produce(stream, first):
            async with stream:
                for number in range(first, first + 100):
                    await stream.send(number)

        async def consume(stream):
            async with stream:
                async for number in stream:
                    async with limiter:
                        await anyio.lowlevel.checkpoint()
                        got.append(number)

        async with anyio.create_task_group() as group, send, receive:
            for worker in range(5):
                group.start_soon(produce, send.clone(), worker * 100)
                group.start_soon(consume, receive.clone())
        assert sorted(got) == list(range(500))

    enter(main)


class Echo:
    """A handler of streams; `served` is how many it has seen to their ends."""

    def __init__(self):
        self.served = 0

    async def __call__(self, stream):
        async with stream:
            try:
                async for chunk in stream:
                    await stream.send(chunk)
                if not isinstance(stream, TLSStream):
                    await stream.send_eof()
            except anyio.BrokenResourceError:
                pass
        self.served += 1

    async def wait(self, count):
        # Cancelled in the turn in which the stream gets readable, anyio's future is set after its end: on asyncio too.
        while self.served < count:
            await anyio.sleep(0.001)


async def exchange(stream, size=3_000_000):
    """Send and receive at once; the peer echoes."""
    blob = bytes(range(256)) * (size // 256)

    async with anyio.create_task_group() as group:
        group.start_soon(stream.send, blob)
        assert await BufferedByteReceiveStream(stream).receive_exactly(len(blob)) == blob


@pytest.mark.parametrize("way", ["tcp", "unix", "tls"])
def test_streams_echo_and_a_lost_peer_breaks_them(enter, way, tmp_path, certificates):
    async def main():
        if way == "unix":
            listener = await anyio.create_unix_listener(tmp_path / "socket")
        else:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
        if way == "tls":
            listener = TLSListener(listener, certificates.server(), standard_compatible=False)

        async def connect():
            if way == "unix":
                return await anyio.connect_unix(tmp_path / "socket")
            tls = {"tls": True, "ssl_context": certificates.client(), "tls_standard_compatible": False}
            return await anyio.connect_tcp("127.0.0.1", port, **(tls if way == "tls" else {}))

        async def cut(stream):
            await stream.receive()
            sock = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            await anyio.aclose_forcefully(stream)

        async with listener, anyio.create_task_group() as group:
            echo = Echo()
            group.start_soon(listener.serve, echo)
            async with await connect() as stream:
                await exchange(stream)
                if way != "tls":
                    await stream.send_eof()
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
            # A receive that is cancelled takes nothing from the stream.
            async with await connect() as stream:
                with anyio.move_on_after(0.01):
                    await stream.receive()
                await stream.send(b"still here")
                assert await stream.receive() == b"still here"
            await echo.wait(2)
            group.cancel_scope.cancel()

        other = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with other, anyio.create_task_group() as group:
            group.start_soon(other.serve, cut)
            async with await anyio.connect_tcp(
                "127.0.0.1", other.extra(anyio.abc.SocketAttribute.local_port)
            ) as stream:
                await stream.send(b"hello")
                with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                    await stream.receive()
            group.cancel_scope.cancel()

    enter(main)


def test_datagrams_over_udp_and_unix(enter, tmp_path):
    async def main():
        async with await anyio.create_udp_socket(local_host="127.0.0.1") as server:
            port = server.extra(anyio.abc.SocketAttribute.local_port)
            async with await anyio.create_connected_udp_socket("127.0.0.1", port) as client:
                for number in range(200):
                    await client.send(str(number).encode())
                    data, address = await server.receive()
                    await server.sendto(data * 2, *address)
                    assert await client.receive() == str(number).encode() * 2
        path = tmp_path / "server"
        async with await anyio.create_unix_datagram_socket(local_path=path) as server:
            client_path = tmp_path / "client"
            async with await anyio.create_connected_unix_datagram_socket(path, local_path=client_path) as client:
                await client.send(b"hello")
                assert await server.receive() == (b"hello", str(client_path))

    enter(main)


def test_processes_are_fed_read_and_killed(enter):
    async def main():
        program = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.stderr.write('err'); sys.exit(3)"
        done = await anyio.run_process([sys.executable, "-c", program], input=b"abc" * 100_000, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (3, b"cba" * 100_000, b"err")
        with pytest.raises(subprocess.CalledProcessError):
            await anyio.run_process("exit 4")
        async with await anyio.open_process(["cat"]) as process:
            await process.stdin.send(b"line")
            assert await process.stdout.receive() == b"line"
            process.kill()
            assert await process.wait() == -9
        # Cancelled, the process goes too.
        with anyio.move_on_after(0.1) as scope:
            await anyio.run_process(["sleep", "60"])
        assert scope.cancelled_caught

    enter(main)


def test_threads_call_and_are_called_back(enter):
    async def main():
        here = threading.get_ident()

        async def add(a, b):
            assert threading.get_ident() == here
            await anyio.sleep(0)
            return a + b

        def work(number):
            assert threading.get_ident() != here
            return anyio.from_thread.run(add, number, 1)

        got = []

        async def one(number):
            got.append(await anyio.to_thread.run_sync(work, number))

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(one, number)
        assert sorted(got) == list(range(1, 101))
        assert await anyio.to_thread.run_sync(threading.get_ident) != here

    enter(main)


def test_a_portal_lets_plain_threads_in(new_loop):
    with anyio.from_thread.start_blocking_portal("asyncio", {"loop_factory": new_loop}) as portal:

        async def double(number):
            await anyio.sleep(0.001)
            return 2 * number

        futures = [portal.start_task_soon(double, number) for number in range(50)]
        assert [future.result(10) for future in futures] == [2 * number for number in range(50)]


def test_files_and_signals(enter, tmp_path):
    async def main():
        path = anyio.Path(tmp_path / "file")
        await path.write_text("one\ntwo\n")
        async with await anyio.open_file(path) as file:
            assert [line async for line in file] == ["one\n", "two\n"]
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            os.kill(os.getpid(), signal.SIGUSR1)
            async for number in signals:
                assert number == signal.SIGUSR1
                break

    enter(main)
