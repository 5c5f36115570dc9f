"""TCP with a protocol, 100 connections, messages of 16 KiB."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Served

WORKLOAD = Served(
    "TCP, protocol: 16 KiB, 100 connections",
    serve_protocol,
    StreamLoad(message(16 * 1024), connections=100),
    unit="message",
    floor=True,
    names=False,
)
