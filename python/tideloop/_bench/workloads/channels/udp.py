"""UDP: one socket of the server's, which answers many clients."""

from __future__ import annotations

from typing import Any

from tideloop._bench.echoes import HOST
from tideloop._bench.loads import DatagramLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve with a datagram protocol."""

    class Echo(asyncio.DatagramProtocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data, address)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    context.keep.append(transport)
    host, port = transport.get_extra_info("sockname")
    return host, port


WORKLOAD = Served(
    "UDP: 1 KiB, 50 clients",
    serve,
    DatagramLoad(message(1024), connections=50),
    unit="message",
    needs=("udp",),
    names=False,
)
