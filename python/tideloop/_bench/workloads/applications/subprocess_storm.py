"""Many short child processes, some at a time, each waited for."""

from __future__ import annotations

from typing import Any

from tideloop._bench.workload import Operations, check

AT_A_TIME = 20
COMMAND = "/bin/true"


async def storm(asyncio: Any, n: int) -> None:
    """Start n children, as many at a time as allowed, and look at each one's exit code."""
    allowed = asyncio.Semaphore(AT_A_TIME)

    async def one() -> int:
        async with allowed:
            process = await asyncio.create_subprocess_exec(COMMAND)
            code: int = await process.wait()
            return code

    codes = await asyncio.gather(*(one() for _ in range(n)))
    check(codes == [0] * n, f"exit codes: {codes}")


WORKLOAD = Operations(
    "`/bin/true` as a child process, 20 at a time",
    storm,
    operations=40,
    wall=True,
    unit="start",
    needs=("subprocess",),
)
