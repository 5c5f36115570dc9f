"""Work that tells whether Tideloop is loaded where it should not be."""

from __future__ import annotations

import sys
from typing import Any

from tideloop._bench.workload import Operations, check


async def body(asyncio: Any, n: int) -> None:
    there = "tideloop._native" in sys.modules
    ours = type(asyncio.get_running_loop()).__module__.startswith("tideloop")
    check(there == ours, f"Tideloop is {'' if there else 'not '}loaded")
    await asyncio.sleep(0)


WORKLOAD = Operations("stranger", body, operations=100)
