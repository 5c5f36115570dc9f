"""TCP with a reader and a writer."""

from __future__ import annotations

from tideloop._bench.echoes import serve_streams
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Served

WORKLOAD = Served(
    "TCP, streams, `read` and `drain`: 1 KiB, 100 connections",
    serve_streams,
    StreamLoad(message(1024), connections=100),
    unit="message",
    floor=True,
)
