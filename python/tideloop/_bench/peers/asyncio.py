"""The standard library's own event loop."""

from tideloop._bench.peers import Peer

PEER = Peer("asyncio", "asyncio", module="asyncio")
