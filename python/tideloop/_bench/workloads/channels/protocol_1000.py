"""TCP with a protocol, 1,000 connections, messages of 1 KiB."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Served

WORKLOAD = Served(
    "TCP, protocol: 1 KiB, 1,000 connections",
    serve_protocol,
    StreamLoad(message(1024), connections=1000),
    unit="message",
    floor=True,
    descriptors=1_000,
    names=False,
)
