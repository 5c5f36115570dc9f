"""Tideloop with its names: the program says `import tideloop as asyncio`."""

from tideloop._bench.peers import Peer

PEER = Peer("tideloop+", "Tideloop+", module="tideloop", names="tideloop", distribution="tideloop")
