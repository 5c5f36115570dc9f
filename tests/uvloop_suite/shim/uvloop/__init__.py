"""A package named `uvloop` that offers Tideloop's loop, so that uvloop's own tests run on it unedited.

For these tests alone. What it does not define comes from the folder `uvloop` of uvloop's source distribution, which
`UVLOOP_SOURCE` names: `uvloop._testbase`, that is, and nothing compiled.
"""

import asyncio
import os

import tideloop
from tideloop import EventLoop as Loop
from tideloop import EventLoopPolicy, new_event_loop

__version__ = f"tideloop {tideloop.__version__}"
__all__ = ["EventLoopPolicy", "Loop", "install", "new_event_loop", "run"]
__path__.append(os.path.join(os.environ["UVLOOP_SOURCE"], "uvloop"))


def install():
    asyncio.set_event_loop_policy(EventLoopPolicy())


def run(main, *, loop_factory=new_event_loop, debug=None):
    """asyncio.run() that insists on this package's loop."""

    async def checked():
        if not isinstance(asyncio.get_running_loop(), Loop):
            raise TypeError("uvloop.run() uses a non-uvloop event loop")
        return await main

    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(checked())
