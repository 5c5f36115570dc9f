"""How long a message takes when the server is half busy."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import HalfLoad, message
from tideloop._bench.workload import Served

WORKLOAD = Served(
    "TCP, protocol, at half of what the peer can do: 1 KiB, 100 connections",
    serve_protocol,
    HalfLoad(message(1024), connections=100),
    unit="message",
    floor=True,
    names=False,
)
