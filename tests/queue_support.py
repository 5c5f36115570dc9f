"""What the tests of queues share."""

import asyncio

CLASSES = ("Queue", "LifoQueue", "PriorityQueue")


async def turns(count=1):
    """Let the others run for some turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def started(log, name, coroutine):
    """A task that notes what becomes of a coroutine."""

    async def note():
        try:
            log.append((name, await coroutine))
        except BaseException as exc:
            log.append((name, type(exc).__name__))
            if not isinstance(exc, Exception):
                raise

    return asyncio.ensure_future(note())
