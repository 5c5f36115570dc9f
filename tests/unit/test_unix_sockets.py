"""Unix sockets where we go beyond asyncio."""

import os
import sys

import pytest

from support import Recorder, gone, until


@pytest.mark.parametrize("cleanup", [True, False])
def test_cleanup_socket_is_understood_on_every_python(loop, run, tmp_path, cleanup):
    path = os.path.relpath(tmp_path / "s")

    async def main():
        server = await loop.create_unix_server(Recorder, path, cleanup_socket=cleanup)
        server.close()
        await server.wait_closed()

    run(main())
    assert os.path.exists(path) is not cleanup


def test_an_empty_path_is_a_name_that_the_kernel_chooses(loop, run):
    if sys.platform != "linux":
        pytest.skip("abstract names are Linux's")

    async def main():
        server = await loop.create_unix_server(Recorder, "")
        name = server.sockets[0].getsockname()
        assert isinstance(name, bytes) and name.startswith(b"\0")
        transport, _ = await loop.create_unix_connection(Recorder, name)
        assert transport.get_extra_info("peername") == name
        transport.abort()
        server.close()
        server.close_clients()
        await server.wait_closed()

    run(main())


def test_a_factory_that_fails_leaves_no_descriptor(loop, run, tmp_path):
    path = os.path.relpath(tmp_path / "s")

    def factory():
        raise ZeroDivisionError

    async def main():
        made = []
        server = await loop.create_unix_server(lambda: made.append(Recorder()) or made[-1], path)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ZeroDivisionError):
            await loop.create_unix_connection(factory, path)
        await until(lambda: made and made[0].transport)
        await gone(made[0])
        assert len(os.listdir("/proc/self/fd")) == before
        server.close()
        await server.wait_closed()

    run(main())
