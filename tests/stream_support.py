"""A stream server with one handler, and clients of it, with whichever module's names."""

from support import until

LOCAL = "127.0.0.1"


class Served:
    """A stream server with one handler, and clients of it."""

    def __init__(self, aio, path, handler, **options):
        self.aio, self.path, self.handler, self.options = aio, path, handler, options
        self.connected = self.begun = self.ended = 0

    async def serve(self, reader, writer):
        self.begun += 1
        try:
            await self.handler(reader, writer)
        finally:
            self.ended += 1

    async def __aenter__(self):
        if self.path:
            self.server = await self.aio.start_unix_server(self.serve, self.path, **self.options)
        else:
            self.server = await self.aio.start_server(self.serve, LOCAL, 0, **self.options)
        return self

    async def connect(self, **options):
        self.connected += 1
        if self.path:
            return await self.aio.open_unix_connection(self.path, **options)
        return await self.aio.open_connection(*self.server.sockets[0].getsockname(), **options)

    async def __aexit__(self, *_exc):
        await until(lambda: self.ended == self.begun >= self.connected)
        self.server.close()
        await self.server.wait_closed()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    await hang_up(writer)


async def hang_up(writer):
    writer.close()
    await writer.wait_closed()


def fill(writer):
    """Write more than the kernel and a reader with a small limit take."""
    writer.write(bytes(16_000_000))
    assert writer._protocol._paused
