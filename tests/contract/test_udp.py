"""UDP endpoints: making them, sending, receiving, ending."""

import asyncio
import errno
import logging
import socket
import sys

import pytest
from datagrams import (
    LOCAL,
    DatagramRecorder,
    connected_pair,
    endpoint,
    endpoints,
    name_of,
    needs_ipv6,
    nobody,
    read_all,
)

from support import gone, reports, turn, until


def test_datagrams_go_both_ways(loop, run):
    async def main():
        async with connected_pair() as (server, serving, client, asking):
            client.sendto(b"there")
            await until(lambda: serving.datagrams)
            assert serving.datagrams == [(b"there", name_of(client))]
            server.sendto(b"back", serving.datagrams[0][1])
            await until(lambda: asking.datagrams)
            assert asking.datagrams == [(b"back", name_of(server))]

    run(main())


def test_each_datagram_is_one_call_whatever_its_size(loop, run):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            sent = [b"x", bytes(65507), bytes(range(256)), b"last" * 300]
            for data in sent:
                client.sendto(data)
            await until(lambda: len(serving.data) == len(sent))
            assert serving.data == sent
            assert all(type(data) is bytes for data in serving.data)

    run(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_can_be_sent(loop, run, kind):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            client.sendto(kind(b"data"))
            await until(lambda: serving.data == [b"data"])

    run(main())


@pytest.mark.parametrize("data", ["text", None, [1], 7], ids=repr)
def test_what_cannot_be_sent_is_a_type_error_and_no_more(loop, run, data):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            name = type(data).__name__
            with pytest.raises(TypeError, match=f"^data argument must be a bytes-like object, not '{name}'$"):
                client.sendto(data)
            client.sendto(b"still here")
            await until(lambda: serving.data == [b"still here"])

    run(main())


def test_an_empty_datagram_is_sent_from_3_13_on(loop, run):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            client.sendto(b"")
            client.sendto(b"end")
            await until(lambda: serving.data and serving.data[-1] == b"end")
            assert serving.data == ([b"", b"end"] if sys.version_info >= (3, 13) else [b"end"])

    run(main())


def test_an_empty_datagram_is_received(loop, run):
    async def main():
        async with endpoint() as (transport, protocol):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"", name_of(transport))
                peer.sendto(b"", name_of(transport))
                await until(lambda: protocol.data == [b"", b""])

    run(main())


def test_an_endpoint_that_is_bound_talks_to_many(loop, run):
    async def main():
        async with endpoints(*[{"local_addr": LOCAL}] * 40) as made:
            (hub, heard), *others = made
            for number, (transport, _) in enumerate(others):
                transport.sendto(b"%d" % number, name_of(hub))
            await until(lambda: len(heard.datagrams) == len(others))
            assert sorted(heard.datagrams) == sorted(
                (b"%d" % number, name_of(transport)) for number, (transport, _) in enumerate(others)
            )
            for data, sender in heard.datagrams * 2:
                hub.sendto(data, sender)
            await until(lambda: all(len(protocol.data) == 2 for _, protocol in others))
            for number, (_, protocol) in enumerate(others):
                assert protocol.datagrams == [(b"%d" % number, name_of(hub))] * 2

    run(main())


def test_ten_thousand_datagrams_arrive_in_order(loop, run):
    async def main():
        async with connected_pair() as (_, serving, client, _asking):
            for start in range(0, 10_000, 100):
                # As many as the socket's receive buffer has room for at a time.
                for number in range(start, start + 100):
                    client.sendto(b"%d" % number)
                await until(lambda: len(serving.data) == start + 100)  # noqa: B023
            assert serving.data == [b"%d" % number for number in range(10_000)]

    run(main())


def test_a_burst_does_not_keep_the_loop_to_itself(loop, run):
    class Chatter(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data, name_of(self.transport))

    async def main():
        async with endpoint(Chatter) as (transport, protocol):
            for _ in range(50):
                transport.sendto(b"round and round", name_of(transport))
            turns = 0
            while len(protocol.data) < 2000:
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 4

    run(main())


# The address of a call.


def test_of_a_connected_endpoint_only_the_peer_may_be_named(loop, run):
    async def main():
        async with connected_pair() as (server, serving, client, _asking):
            remote = name_of(server)
            with pytest.raises(ValueError) as caught:
                client.sendto(b"x", ("127.0.0.1", 1))
            assert str(caught.value) == f"Invalid address: must be None or {remote}"
            client.sendto(b"named", remote)
            client.sendto(b"named otherwise", (remote[0], remote[1]))
            client.sendto(b"not named", None)
            await until(lambda: serving.data == [b"named", b"named otherwise", b"not named"])

    run(main())


def test_without_an_address_there_is_nowhere_to_send_to(loop, run):
    async def main():
        with reports(loop) as seen:
            async with endpoint() as (transport, protocol):
                transport.sendto(b"to whom?")
                assert transport.is_closing()
                await gone(protocol)
                assert isinstance(protocol.lost, TypeError)
        assert [context["message"] for context in seen] == ["Fatal write error on datagram transport"]
        assert seen[0]["transport"] is transport
        assert seen[0]["protocol"] is protocol

    run(main())


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
def test_a_port_that_no_port_has(loop, run, port):
    async def main():
        with reports(loop) as seen:
            async with endpoint() as (transport, protocol):
                transport.sendto(b"x", ("127.0.0.1", port))
                await gone(protocol)
                assert isinstance(protocol.lost, OverflowError)
        assert len(seen) == 1

    run(main())


def test_port_zero_is_told_and_no_end(loop, run):
    """uvloop #338: the socket was closed, silently."""

    async def main():
        async with endpoint() as (transport, protocol):
            transport.sendto(b"x", ("127.0.0.1", 0))
            assert [error.errno for error in protocol.errors] == [errno.EINVAL]
            transport.sendto(b"still here", name_of(transport))
            await until(lambda: protocol.data == [b"still here"])

    run(main())


def test_a_host_may_be_written_in_any_way_that_sockets_know(loop, run):
    async def main():
        async with endpoint() as (transport, protocol), endpoint() as (other, _):
            port = name_of(transport)[1]
            for host in ("127.0.0.1", "localhost", "127.1", ""):
                other.sendto(host.encode() or b"empty", (host, port))
            await until(lambda: len(protocol.data) == 4)

    run(main())


def test_a_list_is_no_address(loop, run):
    async def main():
        with reports(loop) as seen:
            async with endpoint() as (transport, protocol):
                transport.sendto(b"x", ["127.0.0.1", 9])
                await gone(protocol)
                assert isinstance(protocol.lost, TypeError)
        assert len(seen) == 1

    run(main())


@needs_ipv6
def test_ipv6_addresses_have_four_parts(loop, run):
    async def main():
        async with endpoints({"local_addr": ("::1", 0)}, {"local_addr": ("::1", 0)}) as made:
            (one, hears_one), (two, hears_two) = made
            assert len(name_of(one)) == 4
            one.sendto(b"short", name_of(two)[:2])
            one.sendto(b"whole", name_of(two))
            await until(lambda: len(hears_two.data) == 2)
            assert hears_two.datagrams == [(b"short", name_of(one)), (b"whole", name_of(one))]
            two.sendto(b"answer", hears_two.datagrams[0][1])
            await until(lambda: hears_one.datagrams == [(b"answer", name_of(two))])

    run(main())


@needs_ipv6
def test_a_scope_is_kept(loop, run):
    def link_local():
        with open("/proc/net/if_inet6", encoding="ascii") as interfaces:
            for line in interfaces:
                address, index, _, scope, _, _ = line.split()
                if scope == "20":
                    groups = [address[at : at + 4] for at in range(0, 32, 4)]
                    return ":".join(groups), int(index, 16)
        pytest.skip("no interface of this machine has a link-local address")

    host, scope = link_local()

    async def main():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
            peer.bind((host, 0, 0, scope))
            peer.setblocking(False)
            async with endpoint(local_addr=("::", 0), family=socket.AF_INET6) as (transport, protocol):
                transport.sendto(b"ping", peer.getsockname())
                await read_all(peer, 1)
                peer.sendto(b"pong", (host, name_of(transport)[1], 0, scope))
                await until(lambda: protocol.datagrams)
                assert protocol.datagrams[0][1] == peer.getsockname()
                assert protocol.datagrams[0][1][3] == scope
                transport.sendto(b"again", protocol.datagrams[0][1])
                assert await read_all(peer, 1) == [b"again"]

    run(main())


@needs_ipv6
def test_a_socket_of_both_versions_shows_mapped_addresses(loop, run):
    async def main():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
        async with endpoint(sock=sock) as (transport, protocol), endpoint() as (other, _):
            other.sendto(b"four", ("127.0.0.1", name_of(transport)[1]))
            await until(lambda: protocol.datagrams)
            assert protocol.datagrams[0][1][:2] == ("::ffff:127.0.0.1", name_of(other)[1])

    run(main())


# ICMP errors.


def test_a_refused_datagram_is_told_and_the_endpoint_goes_on(loop, run):
    async def main():
        async with endpoint(remote_addr=await nobody()) as (transport, protocol):
            transport.sendto(b"anybody?")
            await until(lambda: protocol.errors)
            assert isinstance(protocol.errors[0], ConnectionRefusedError)
            assert not transport.is_closing()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(transport.get_extra_info("peername"))
                peer.sendto(b"here I am", name_of(transport))
                await until(lambda: protocol.data == [b"here I am"])

    run(main())


def test_a_refusal_may_be_told_by_the_next_sendto(loop, run):
    async def main():
        async with endpoint(remote_addr=await nobody()) as (transport, protocol):
            transport.sendto(b"one")
            transport.sendto(b"two")
            await until(lambda: protocol.errors)
            assert all(isinstance(error, ConnectionRefusedError) for error in protocol.errors)

    run(main())


def test_an_endpoint_that_is_not_connected_hears_nothing_of_it(loop, run):
    async def main():
        address = await nobody()
        async with endpoint() as (transport, protocol):
            transport.sendto(b"anybody?", address)
            transport.sendto(b"self", name_of(transport))
            await until(lambda: protocol.data == [b"self"])
            assert protocol.errors == []

    run(main())


def test_a_datagram_that_is_too_large_is_told_at_once(loop, run):
    async def main():
        async with connected_pair() as (_, serving, client, asking):
            client.sendto(bytes(70_000))
            assert [error.errno for error in asking.errors] == [errno.EMSGSIZE]
            client.sendto(b"small")
            await until(lambda: serving.data == [b"small"])

    run(main())


# Ending.


def test_close_tells_once_and_in_a_later_turn(loop, run):
    async def main():
        async with endpoint() as (transport, protocol):
            transport.close()
            assert transport.is_closing() and protocol.events == ["made"]
            transport.close()
            transport.abort()
            await gone(protocol)
            await asyncio.sleep(0)
            assert protocol.events == ["made", "lost"] and protocol.lost is None
            assert transport.get_extra_info("socket").fileno() == -1

    run(main())


def test_nothing_is_received_after_close(loop, run):
    async def main():
        async with connected_pair() as (server, serving, client, _asking):
            for number in range(10):
                client.sendto(b"%d" % number)
            server.close()
            await gone(serving)
            assert serving.events == ["made", "lost"]

    run(main())


@pytest.mark.parametrize("method", ["close", "abort"])
def test_closing_in_datagram_received_is_the_end_of_it(loop, run, method):
    class OneIsEnough(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            getattr(self.transport, method)()

    async def main():
        async with endpoint(OneIsEnough) as (transport, protocol), endpoint() as (other, _):
            for number in range(10):
                other.sendto(b"%d" % number, name_of(transport))
            await gone(protocol)
            assert protocol.events == ["made", "data", "lost"]

    run(main())


def test_what_is_sent_after_the_end_of_a_connected_endpoint_is_dropped(loop, run, caplog):
    async def main():
        async with connected_pair() as (_, serving, client, asking):
            client.close()
            for _ in range(7):
                client.sendto(b"late")
            await gone(asking)
            client.sendto(b"later")
            await asyncio.sleep(0)
            assert serving.data == []

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main())
    assert {record.message for record in caplog.records} == {"socket.send() raised exception."}


def test_a_transport_that_is_forgotten_says_so(loop, run):
    async def main():
        transport, protocol = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=LOCAL)
        transport.pause_reading()
        protocol.transport = None
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport, protocol
            turn_collect()
            await asyncio.sleep(0)
            turn_collect()

    def turn_collect():
        import gc

        gc.collect()

    run(main())


def test_the_representation_says_how_it_is(loop):
    async def make():
        return await loop.create_datagram_endpoint(DatagramRecorder, local_addr=LOCAL)

    transport, _ = loop.run_until_complete(make())
    fd = transport.get_extra_info("socket").fileno()
    assert f"fd={fd} read=polling write=<idle, bufsize=0>" in repr(transport)
    transport.close()
    assert "closing" in repr(transport)
    turn(loop)
    assert "closed" in repr(transport)
