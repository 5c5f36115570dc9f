"""What uvloop's datagram endpoints do and asyncio's do not (uvloop's tests/test_udp.py)."""

import asyncio
import socket

import pytest


def test_reuse_address_is_refused_and_saying_no_is_deprecated(run):
    async def main():
        loop = asyncio.get_running_loop()
        where = {"local_addr": ("127.0.0.1", 0)}
        with pytest.raises(ValueError, match="reuse_address=True is not supported"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **where, reuse_address=True)
        with pytest.warns(DeprecationWarning, match="reuse_address"):
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **where, reuse_address=False)
        transport.close()
        await asyncio.sleep(0)

    run(main())


def test_datagram_without_an_address_goes_to_the_peer_without_a_name(run):
    async def main():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, sock=ours
            )
            transport.sendto(b"to the peer")
            assert theirs.recv(100) == b"to the peer"
            transport.close()
            await asyncio.sleep(0)

    run(main())
