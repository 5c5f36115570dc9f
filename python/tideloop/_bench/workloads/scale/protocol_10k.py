"""10,000 connections that all talk."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Served

WORKLOAD = Served(
    "TCP, protocol: 1 KiB, 10,000 connections, all of them talk",
    serve_protocol,
    StreamLoad(message(1024), connections=10_000),
    unit="message",
    floor=True,
    descriptors=10_000,
    names=False,
)
