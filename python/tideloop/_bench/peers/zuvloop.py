"""zuvloop: libuv's event loop, by way of Zig."""

from tideloop._bench.peers import Peer

PEER = Peer("zuvloop", "zuvloop", module="zuvloop", distribution="zuvloop", python=(3, 14))
