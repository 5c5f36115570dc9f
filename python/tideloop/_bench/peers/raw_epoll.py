"""The floor: an echo server on bare epoll, without Python in its way."""

from tideloop._bench.peers import Peer

PEER = Peer("raw_epoll", "raw epoll", module="tideloop._native", floor=True, distribution="tideloop")
