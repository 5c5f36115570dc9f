"""Tideloop under a program that is not touched: its loop, futures, tasks and transports, under asyncio's names."""

from tideloop._bench.peers import Peer

PEER = Peer("tideloop", "Tideloop", module="tideloop", distribution="tideloop")
