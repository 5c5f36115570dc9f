"""Five files at once with aiohttp: all of them take about as long as the slowest, and arrive byte for byte.

    python examples/downloads.py [--folder downloads] [--slowest 1.0]

It serves the files itself, on a free port, each slower than the one before, and writes them in a thread: the loop never
waits for the disk.
"""

import argparse
import asyncio
import hashlib
import random
import time
from functools import partial
from pathlib import Path

from aiohttp import ClientSession, web

FILES = 5
FILE_BYTES = 300_000
CHUNKS = 10


def contents(number: int) -> bytes:
    return random.Random(number).randbytes(FILE_BYTES + number)


async def slow_file(slowest: float, request: web.Request) -> web.StreamResponse:
    """The file, in ten pieces with a pause after each."""
    number = int(request.match_info["number"])
    response = web.StreamResponse()
    await response.prepare(request)
    data = contents(number)
    size = len(data) // CHUNKS + 1
    for start in range(0, len(data), size):
        await response.write(data[start : start + size])
        await asyncio.sleep(slowest * number / FILES / CHUNKS)
    return response


async def download(session: ClientSession, url: str, path: Path) -> str:
    """Fetch `url` into `path`; return the checksum of what is on the disk."""
    with await asyncio.to_thread(path.open, "wb") as file:
        async with session.get(url) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_any():
                await asyncio.to_thread(file.write, chunk)
    return hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()


async def main(folder: Path, slowest: float) -> None:
    app = web.Application()
    app.router.add_get("/{number}", partial(slow_file, slowest))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
        numbers = range(1, FILES + 1)
        sums = await asyncio.gather(*(download(session, f"/{n}", folder / f"{n}.bin") for n in numbers))
    seconds = time.perf_counter() - began
    right = sum(found == hashlib.sha256(contents(n)).hexdigest() for n, found in zip(numbers, sums, strict=True))
    print(f"{right} of {FILES} files are right, {seconds:.2f} s; the slowest alone takes {slowest:.2f} s")
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("downloads"))
    parser.add_argument("--slowest", type=float, default=1.0, help="seconds that the slowest file takes")
    asyncio.run(main(**vars(parser.parse_args())))
