"""What is Tideloop's own about datagrams: batches, cycles, transports without a socket."""

import asyncio
import gc
import os
import socket
import sys
import warnings
import weakref

import pytest
from datagrams import LOCAL, DatagramRecorder, connected_pair, endpoint, name_of

from support import gone, turn, until
from tideloop import _native

# Linux has all of 127/8 on the loopback.
RAW = "127.0.0.77" if sys.platform == "linux" else "127.0.0.1"


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(LOCAL)
    return sock


def test_a_burst_is_received_in_few_turns(run):
    async def main():
        async with endpoint() as (transport, protocol):
            for _ in range(60):
                transport.sendto(b"x", name_of(transport))
            turns = 0
            while len(protocol.data) < 60:
                await asyncio.sleep(0)
                turns += 1
                assert turns < 1000
            # The poller is asked at least every 64 turns; then all of them are there.
            assert len(protocol.data) == 60

    run(main())


def test_the_object_of_a_peer_s_address_is_made_once(run):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            for _ in range(5):
                client.sendto(b"x")
            await until(lambda: len(serving.data) == 5)
            assert len({id(sender) for _, sender in serving.datagrams}) == 1

    run(main())


def test_transport_without_a_socket_is_harmless(caplog):
    transport = _native.DatagramTransport.__new__(_native.DatagramTransport)
    assert transport.is_closing()
    assert not transport.is_reading()
    assert transport.get_protocol() is None
    assert transport.get_extra_info("peername") is None
    assert repr(transport) == "<DatagramTransport closed fd=-1>"
    for method in (transport.close, transport.abort, transport.pause_reading, transport.resume_reading):
        method()
    transport.sendto(b"nowhere", ("127.0.0.1", 9))
    transport.set_write_buffer_limits(0)
    transport._call_connection_lost(None)
    assert transport.get_write_buffer_size() == 0


def test_transport_takes_one_socket_only(run, loop):
    async def main():
        async with endpoint() as (transport, protocol):
            with bound() as other, pytest.raises(RuntimeError, match="has a socket already"):
                transport.__init__(loop, other, protocol)

    run(main())


def test_a_transport_for_a_closed_socket_is_refused(loop):
    sock = bound()
    sock.close()
    transport = _native.DatagramTransport(loop, sock, DatagramRecorder())
    # Its descriptor is -1, which nobody can watch: that is reported when reading would begin.
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    turn(loop, 2)
    transport.abort()
    turn(loop, 2)
    assert [type(error) for error in seen] == [OSError]
    seen.clear()


def test_ten_thousand_forgotten_transports_in_cycles_are_collected_and_closed(loop):
    batch, batches = 1_000, 10
    turn(loop)
    before = len(os.listdir("/proc/self/fd"))
    deaths = []

    async def forget():
        for _ in range(batch):
            protocol = DatagramRecorder()
            transport = _native.DatagramTransport(loop, bound(), protocol)
            weakref.finalize(transport, deaths.append, None)
            transport.pause_reading()
            protocol.transport = transport
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(batches):
            loop.run_until_complete(forget())
            gc.collect()
    assert len(deaths) == batch * batches
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("threshold", range(1, 9))
def test_transports_are_made_under_every_small_threshold_of_the_collector(run, threshold):
    async def main():
        before = gc.get_threshold()
        gc.set_threshold(threshold, 1, 1)
        try:
            async with connected_pair() as (server, serving, client, asking):
                for _ in range(20):
                    client.sendto(b"there")
                await until(lambda: len(serving.data) == 20)
                server.sendto(b"back", serving.datagrams[0][1])
                await until(lambda: asking.data == [b"back"])
        finally:
            gc.set_threshold(*before)

    run(main())


def test_a_descriptor_that_is_used_again_hears_nothing_of_the_one_before(run):
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(50):
            async with endpoint() as (transport, protocol):
                number = transport.get_extra_info("socket").fileno()
                transport.sendto(b"to the first", name_of(transport))
                transport.abort()
                await gone(protocol)
                other, second = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=LOCAL)
                assert other.get_extra_info("socket").fileno() == number
                other.sendto(b"to the second", name_of(other))
                await until(lambda: second.data)  # noqa: B023
                assert second.data == [b"to the second"] and protocol.data == []
                other.close()
                await gone(second)

    run(main())


def test_raw_sockets_are_understood_on_every_python(run):
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("raw sockets are for the privileged")

    async def main():
        loop = asyncio.get_running_loop()
        # An address that nobody else uses: of all that other tests send by UDP too much may come.
        sock.bind((RAW, 0))
        transport, protocol = await loop.create_datagram_endpoint(DatagramRecorder, sock=sock)
        async with endpoint(local_addr=(RAW, 0)) as (sender, receiving):
            sender.sendto(b"overheard", name_of(sender))
            await until(lambda: receiving.data)
            await until(lambda: any(data.endswith(b"overheard") for data in protocol.data))
        transport.close()
        await gone(protocol)

    run(main())


def test_families_that_only_python_understands(run):
    if not hasattr(socket, "AF_NETLINK"):
        pytest.skip("netlink is Linux's")

    async def main():
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        sock.bind((0, 0))
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(DatagramRecorder, sock=sock)
        # RTM_GETLINK for all interfaces: length, type, flags, sequence, port; family and padding.
        request = (17 + 3).to_bytes(4, "little") + b"\x12\x00\x01\x03" + bytes(8) + bytes(4)
        transport.sendto(request, (0, 0))
        await until(lambda: protocol.datagrams)
        assert protocol.datagrams[0][1] == (0, 0)
        transport.close()
        await gone(protocol)

    run(main())
