"""Signals in the middle of everything (EINTR): nothing is lost, nothing comes twice, and what a handler raises leaves
the loop in a state to go on from.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from channels import CAT, PIPES, SOCKETS, open_channel, open_pipe, read_to_end

from support import OneSignal, Recorder, gone, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

PAYLOAD = os.urandom(1 << 18)
STORM_INTERVAL_S = 0.0002


@contextlib.contextmanager
def storm():
    """A signal with a Python handler every fifth of a millisecond; gives the list that the handler fills."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    over = threading.Event()
    main = threading.main_thread().ident

    def send():
        while not over.wait(STORM_INTERVAL_S):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield seen
        while not seen:
            time.sleep(STORM_INTERVAL_S)
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("kind", SOCKETS)
def test_stream_is_byte_exact_in_a_storm_of_signals(loop, kind):
    async def main():
        transport, protocol, peer = await open_channel(kind, small=True)
        transport.write(PAYLOAD)
        sending = asyncio.ensure_future(asyncio.to_thread(peer.sendall, PAYLOAD))
        transport.write(PAYLOAD[:1])
        await sending
        await until(lambda: len(protocol.data) == len(PAYLOAD))
        received = asyncio.ensure_future(asyncio.to_thread(read_to_end, peer))
        transport.close()
        assert await received == PAYLOAD + PAYLOAD[:1]
        await gone(protocol)
        assert protocol.data == PAYLOAD
        assert protocol.lost is None
        peer.close()

    with storm():
        loop.run_until_complete(main())


@pytest.mark.parametrize("kind", PIPES)
def test_pipe_is_byte_exact_in_a_storm_of_signals(loop, kind):
    async def main():
        transport, protocol, peer = await open_pipe(kind, small=True)
        if kind == "write pipe":
            transport.write(PAYLOAD)
            transport.close()
            assert await asyncio.to_thread(peer.read) == PAYLOAD
        else:
            await asyncio.to_thread(lambda: (peer.write(PAYLOAD), peer.close()))
        await gone(protocol)
        if kind == "read pipe":
            assert protocol.data == PAYLOAD
        peer.close()

    with storm():
        loop.run_until_complete(main())


def test_children_are_served_and_waited_for_in_a_storm_of_signals(loop):
    async def main():
        child = await asyncio.create_subprocess_exec(*CAT, stdin=-1, stdout=-1)
        output, _ = await child.communicate(PAYLOAD)
        assert output == PAYLOAD
        assert child.returncode == 0
        # asyncio's own thread lets go of its handle a moment later.
        await asyncio.sleep(0.01)

    with storm():
        loop.run_until_complete(main())


def test_sock_calls_are_byte_exact_in_a_storm_of_signals(loop):
    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        for _ in range(20):
            ours = socket.socket()
            ours.setblocking(False)
            (theirs, _), _ = await asyncio.gather(
                loop.sock_accept(listener), loop.sock_connect(ours, listener.getsockname())
            )
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sending = asyncio.ensure_future(loop.sock_sendall(ours, PAYLOAD))
            received = bytearray()
            while len(received) < len(PAYLOAD):
                received += await loop.sock_recv(theirs, 10_000)
            await sending
            assert received == PAYLOAD
            ours.close()
            theirs.close()
        listener.close()

    with storm():
        loop.run_until_complete(main())


def test_connections_are_made_and_accepted_in_a_storm_of_signals(loop):
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(10))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)

        async def talk(number):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            message = b"%010d" % number
            writer.write(message)
            assert await reader.read() == message
            writer.close()
            await writer.wait_closed()

        for _ in range(5):
            await asyncio.gather(*[talk(number) for number in range(20)])
        server.close()

    with storm():
        loop.run_until_complete(main())


def test_datagrams_and_names_in_a_storm_of_signals(loop):
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data, address)

    class Collect(asyncio.DatagramProtocol):
        def __init__(self):
            self.received = []

        def datagram_received(self, data, address):
            self.received.append(data)

    async def main():
        server, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
        client, protocol = await loop.create_datagram_endpoint(Collect, remote_addr=server.get_extra_info("sockname"))
        for number in range(200):
            client.sendto(b"%d" % number)
            await until(lambda: len(protocol.received) == number + 1)  # noqa: B023
            if number % 10 == 0:
                assert await loop.getaddrinfo("localhost", 80)
        assert protocol.received == [b"%d" % number for number in range(200)]
        client.close()
        server.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with storm():
        loop.run_until_complete(main())


def test_timers_are_neither_early_nor_much_late_in_a_storm_of_signals(loop):
    async def main():
        for delay in (0.0005, 0.002, 0.03):
            start = time.monotonic()
            await asyncio.sleep(delay)
            assert delay <= time.monotonic() - start < delay + 1

    with storm():
        loop.run_until_complete(main())


class Interruption(Exception):
    pass


@pytest.mark.parametrize("kind", [*SOCKETS, *PIPES])
def test_handler_that_raises_leaves_every_channel_usable(loop, kind):
    """uvloop #295, #335, #94: what a handler raised was lost, or came much later."""

    def raises(*_):
        raise Interruption

    async def begin():
        if kind in PIPES:
            return await open_pipe(kind)
        return await open_channel(kind)

    async def go_on():
        if kind != "read pipe":
            transport.write(b"out")
            receive = peer.recv if kind in SOCKETS else peer.read1
            assert await asyncio.to_thread(receive, 3) == b"out"
        if kind != "write pipe":
            size = len(protocol.data)
            send = peer.sendall if kind in SOCKETS else peer.write
            await asyncio.to_thread(send, b"in")
            await until(lambda: len(protocol.data) == size + 2)

    transport, protocol, peer = loop.run_until_complete(begin())
    before = signal.signal(signal.SIGUSR1, raises)
    try:
        for _ in range(5):
            loop.run_until_complete(go_on())
            sending = OneSignal(signal.SIGUSR1, 0.002)
            with pytest.raises(Interruption):
                sending.start()
                loop.run_forever()
            sending.end()
        loop.run_until_complete(go_on())
    finally:
        signal.signal(signal.SIGUSR1, before)
    getattr(transport, "abort", transport.close)()
    loop.run_until_complete(gone(protocol))
    peer.close()


def test_ctrl_c_while_a_child_runs_leaves_neither_child_nor_transport(loop):
    class Interrupt(Recorder):
        def process_exited(self):
            self.events.append("exited")

        def pipe_data_received(self, fd, data):
            self.data += data

        def pipe_connection_lost(self, fd, exc):
            self.events.append(f"lost {fd}")

    async def begin():
        return await loop.subprocess_exec(Interrupt, *CAT)

    transport, protocol = loop.run_until_complete(begin())
    sending = OneSignal(signal.SIGINT, 0.005)
    with pytest.raises(KeyboardInterrupt):
        sending.start()
        loop.run_forever()
    sending.end()
    transport.close()
    loop.run_until_complete(gone(protocol))
    assert transport.get_returncode() is not None
