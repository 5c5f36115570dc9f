"""Pipes for tests: protocols that write down what they are told, and transports on one end of a pipe."""

import asyncio
import io
import os


class Reader(asyncio.Protocol):
    """A protocol that writes down what a read pipe tells it."""

    def __init__(self):
        self.events = []
        self.data = bytearray()
        self.transport = None
        self.lost = "not lost"

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        assert type(data) is bytes
        self.data += data
        if self.events[-1] != "data":
            self.events.append("data")

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, exc):
        self.lost = exc
        self.events.append("lost")


class Writer(asyncio.BaseProtocol):
    """The same for a write pipe."""

    def __init__(self):
        self.events = []
        self.lost = "not lost"

    def connection_made(self, transport):
        self.events.append("made")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.lost = exc
        self.events.append("lost")


async def read_pipe(**options):
    """A read transport, its protocol and the plain descriptor of the other end."""
    read, write = os.pipe()
    file = io.FileIO(read, "r")
    transport, protocol = await asyncio.get_running_loop().connect_read_pipe(Reader, file, **options)
    return transport, protocol, write


async def write_pipe():
    read, write = os.pipe()
    file = io.FileIO(write, "w")
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(Writer, file)
    return transport, protocol, read


async def filled(transport, unit=b"x" * 65536):
    """Write until the kernel refuses; how many bytes were written."""
    total = 0
    while transport.get_write_buffer_size() == 0:
        transport.write(unit)
        total += len(unit)
    return total


def drain(fd, count):
    """Read `count` bytes by blocking."""
    data = bytearray()
    while len(data) < count:
        chunk = os.read(fd, 65536)
        assert chunk, f"the end after {len(data)} bytes of {count}"
        data += chunk
    return bytes(data)


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
