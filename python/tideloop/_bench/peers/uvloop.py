"""uvloop: libuv's event loop, by way of Cython."""

from tideloop._bench.peers import Peer

PEER = Peer("uvloop", "uvloop", module="uvloop", distribution="uvloop")
