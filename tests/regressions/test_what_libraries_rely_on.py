"""What libraries assert of a loop's objects, or read of them: other loops were caught out by each."""

import asyncio

import pytest

from support import Recorder, connected, gone

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")


@BOTH
def test_idle_transport_is_an_asyncio_transport_to_the_asserts_of_libraries(loop):
    """aiohttp's connector asserts it; uvloop's is none."""

    async def main():
        transport, protocol, peer = await connected()
        assert isinstance(transport, asyncio.Transport)
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        assert isinstance(server, asyncio.AbstractServer)
        server.close()
        await server.wait_closed()
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@BOTH
def test_run_until_complete_callback_is_asyncios_own(loop):
    """anyio finds the root task by the function asyncio.base_events._run_until_complete_cb in its callbacks."""

    async def main():
        return [callback for callback, _context in asyncio.current_task()._callbacks]

    assert asyncio.base_events._run_until_complete_cb in loop.run_until_complete(main())
