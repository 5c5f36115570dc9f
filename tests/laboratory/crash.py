"""Work that ends its process on Tideloop, is not offered under its names, and waits for ever elsewhere."""

from __future__ import annotations

import os
import signal
from typing import Any

from tideloop._bench.workload import Operations


async def body(asyncio: Any, n: int) -> None:
    if asyncio.__name__ == "tideloop":
        raise NotImplementedError("no such thing")
    if type(asyncio.get_running_loop()).__module__.startswith("tideloop"):
        print("about to crash")
        os.kill(os.getpid(), signal.SIGSEGV)
    await asyncio.Event().wait()


WORKLOAD = Operations("crash", body)
