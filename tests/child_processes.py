"""Child processes for tests: a protocol that writes down what it is told, and a shell's output."""

import asyncio

PIPE = asyncio.subprocess.PIPE
DEVNULL = asyncio.subprocess.DEVNULL
EXEC = asyncio.create_subprocess_exec
SHELL = asyncio.create_subprocess_shell


class Recorder(asyncio.SubprocessProtocol):
    """Writes down what the transport of a process tells it."""

    def __init__(self):
        self.events = []
        self.data = {1: bytearray(), 2: bytearray()}
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        self.data[fd] += data
        if self.events[-1] != f"data {fd}":
            self.events.append(f"data {fd}")

    def pipe_connection_lost(self, fd, exc):
        self.events.append(f"lost {fd}")

    def process_exited(self):
        self.events.append("exited")

    def connection_lost(self, exc):
        assert exc is None
        self.events.append("lost")


async def output(script, **options):
    """What a shell script writes, and its status."""
    process = await SHELL(script, stdout=PIPE, **options)
    data, _ = await process.communicate()
    return data.decode(), process.returncode
