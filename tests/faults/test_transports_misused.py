"""Transports used after their end, descriptors closed behind the loop's back, protocols that misbehave."""

import asyncio
import contextlib
import gc
import os
import socket
import warnings

import pytest

from support import BufferedRecorder, Recorder, connected, gone, receive_all, reports, run_program, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

METHODS = [
    ("write", (b"x",)),
    ("writelines", ([],)),
    ("write_eof", ()),
    ("can_write_eof", ()),
    ("pause_reading", ()),
    ("resume_reading", ()),
    ("is_reading", ()),
    ("is_closing", ()),
    ("close", ()),
    ("abort", ()),
    ("get_protocol", ()),
    ("get_write_buffer_size", ()),
    ("get_write_buffer_limits", ()),
    ("set_write_buffer_limits", (100,)),
    ("get_extra_info", ("socket",)),
    ("get_extra_info", ("peername",)),
    ("__repr__", ()),
    ("__hash__", ()),
]


@pytest.mark.parametrize(("method", "arguments"), METHODS)
@pytest.mark.parametrize("end", ["close", "abort", "peer"])
def test_every_method_may_be_called_after_the_end(loop, method, arguments, end):
    async def main():
        transport, protocol, peer = await connected()
        if end == "peer":
            peer.close()
        else:
            getattr(transport, end)()
            getattr(transport, method)(*arguments)
        await gone(protocol)
        await asyncio.sleep(0)
        getattr(transport, method)(*arguments)
        peer.close()
        return transport

    transport = loop.run_until_complete(main())
    getattr(transport, method)(*arguments)


@pytest.mark.parametrize(
    "method", ["close", "abort", "is_closing", "get_write_buffer_size", "__repr__", "pause_reading", "is_reading"]
)
def test_methods_may_be_called_on_a_lost_transport_after_its_loop_was_closed(make_loop, method):
    loop = make_loop()

    async def main():
        transport, protocol, peer = await connected()
        peer.close()
        await gone(protocol)
        return transport

    transport = loop.run_until_complete(main())
    loop.close()
    getattr(transport, method)()


def test_extra_socket_of_a_lost_transport_answers_with_an_os_error(loop):
    async def main():
        transport, protocol, peer = await connected()
        sock = transport.get_extra_info("socket")
        transport.close()
        await gone(protocol)
        await asyncio.sleep(0)
        assert sock.fileno() == -1
        with pytest.raises(OSError, match="Bad file descriptor"):
            sock.getpeername()
        peer.close()

    loop.run_until_complete(main())


def test_descriptor_closed_behind_the_back_ends_with_an_os_error_for_the_protocol(loop):
    async def main():
        transport, protocol, peer = await connected()
        fd = transport.get_extra_info("socket").fileno()
        # Something else takes the number at once: the transport must notice only its own error.
        other = os.open("/dev/null", os.O_RDWR)
        os.dup2(other, fd)
        os.close(other)
        transport.write(b"x")
        transport.write(b"y")
        await gone(protocol)
        assert isinstance(protocol.lost, OSError)
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    # ENOTSOCK is no usual end of a connection, so it is reported.
    assert {context["message"] for context in seen} <= {
        "Fatal write error on socket transport",
        "Fatal read error on socket transport",
    }
    seen.clear()
    gc.collect()


def test_socket_closed_behind_the_back_does_not_take_the_loop_down(loop):
    async def main():
        left = socket.socket()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left.connect(listener.getsockname())
            peer, _ = listener.accept()
        left.setblocking(False)
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        left.close()
        await asyncio.sleep(0.002)
        with contextlib.suppress(OSError, ValueError):
            transport.write(b"x")
        transport.abort()
        await gone(protocol)
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
        assert loop.run_until_complete(asyncio.sleep(0, "alive")) == "alive"
    seen.clear()
    gc.collect()


def test_listening_socket_closed_behind_the_back_does_not_take_the_loop_down(loop):
    async def main():
        sock = socket.create_server(("127.0.0.1", 0))
        server = await loop.create_server(Recorder, sock=sock)
        sock.close()
        await asyncio.sleep(0.002)
        with contextlib.suppress(OSError, ValueError):
            server.close()
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
        assert loop.run_until_complete(asyncio.sleep(0, "alive")) == "alive"
    seen.clear()
    gc.collect()


def test_protocol_that_is_none_is_raised_or_reported(loop):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            try:
                transport, _ = await asyncio.wait_for(loop.create_connection(lambda: None, *listener.getsockname()), 1)
                transport.abort()
            except (AttributeError, TypeError, TimeoutError) as exc:
                raised.append(type(exc))
            await asyncio.sleep(0.002)
            listener.accept()[0].close()

    raised = []
    with reports(loop) as seen, warnings.catch_warnings():
        # asyncio leaves transport and socket to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        loop.run_until_complete(main())
        assert AttributeError in raised + [type(context["exception"]) for context in seen]
        seen.clear()
        gc.collect()


def test_protocol_without_any_method_fails_with_reports(loop):
    class Empty:
        def connection_made(self, transport):
            self.transport = transport

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await loop.create_connection(Empty, *listener.getsockname())
            peer, _ = listener.accept()
            peer.sendall(b"x")
            await until(transport.is_closing)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert AttributeError in {type(context["exception"]) for context in seen}
    seen.clear()
    gc.collect()


def test_protocol_changed_for_nonsense_fails_with_a_report(loop):
    async def main():
        transport, _protocol, peer = await connected()
        with contextlib.suppress(AttributeError, TypeError):
            transport.set_protocol(None)
        peer.sendall(b"x")
        await asyncio.sleep(0.005)
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    seen.clear()
    gc.collect()


def test_buffer_resized_while_it_is_read_into_is_refused_or_unharmed(loop):
    class Protocol(BufferedRecorder):
        def get_buffer(self, sizehint):
            buffer = super().get_buffer(sizehint)
            loop.call_soon(resize, buffer)
            return buffer

    def resize(buffer):
        with contextlib.suppress(BufferError):
            buffer.extend(b"x" * 10)
            del buffer[-10:]

    async def main():
        _transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"hello")
        await until(lambda: protocol.data == b"hello")
        peer.close()
        await gone(protocol)

    loop.run_until_complete(main())


def test_buffer_freed_inside_buffer_updated_is_unharmed(loop):
    class Protocol(BufferedRecorder):
        def buffer_updated(self, nbytes):
            super().buffer_updated(nbytes)
            self.buffer = bytearray(10)
            gc.collect()

    async def main():
        _transport, protocol, peer = await connected(Protocol())
        peer.sendall(b"y" * 1000)
        await until(lambda: len(protocol.data) == 1000)
        peer.close()
        await gone(protocol)
        assert protocol.data == b"y" * 1000

    loop.run_until_complete(main())


def test_transport_written_to_by_its_own_finalizers_is_unharmed(loop):
    class Chunk(bytes):
        __slots__ = ()

        def __del__(self):
            deaths.append(transport.get_write_buffer_size())
            transport.write(b"")

    deaths = []
    transport = None

    async def main():
        nonlocal transport
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        for _ in range(20):
            transport.write(Chunk(b"z" * 200_000))
        transport.close()
        assert len(await asyncio.to_thread(receive_all, peer)) == 4_000_000
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())
    gc.collect()
    assert len(deaths) == 20
    transport = None


def test_loop_stopped_inside_every_protocol_callback(loop):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            loop.stop()

        def data_received(self, data):
            super().data_received(data)
            loop.stop()

        def connection_lost(self, exc):
            super().connection_lost(exc)
            loop.stop()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(loop.create_connection(Protocol, *listener.getsockname()))
        loop.run_forever()
        transport, protocol = loop.run_until_complete(task)
        peer, _ = listener.accept()
        peer.sendall(b"x")
        loop.run_forever()
        assert protocol.data == b"x"
        transport.close()
        loop.run_forever()
        assert "lost" in protocol.events
        loop.run_until_complete(asyncio.sleep(0))
        peer.close()


def test_exceptions_in_every_protocol_callback_leave_the_interpreter_alive(loop_kind):
    done = run_program(
        loop_kind,
        """
        class Raises:
            def __getattr__(self, name):
                def fails(*args):
                    raise LookupError(name)
                return fails

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: None)
            warnings.simplefilter("ignore")
            for factory in (Raises, lambda: Raises, lambda: 1 / 0, lambda: 5):
                server = await loop.create_server(factory, "127.0.0.1", 0)
                peers = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(5)]
                for peer in peers:
                    peer.sendall(b"x" * 1000)
                await asyncio.sleep(0.01)
                for peer in peers:
                    peer.close()
                server.close()
            await asyncio.sleep(0.01)
            gc.collect()
            print("alive")

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alive\n"
    assert "panicked" not in done.stderr
