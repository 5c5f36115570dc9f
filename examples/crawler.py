"""A web crawler with eight workers: fetches every page of a site once, counts errors, ends by itself, writes a CSV.

    python examples/crawler.py [--url http://127.0.0.1:8000/page/1] [--output pages.csv] [--timeout 5]

Without --url it crawls the site of crawl_site.py, served from the same loop, and checks that no page was visited twice.
"""

import argparse
import asyncio
import contextlib
import csv
import re
from urllib.parse import urljoin, urlsplit

from crawl_site import Site

WORKERS = 8


async def fetch(url: str) -> tuple[str, str]:
    """Return the status and the text of a page, by HTTP/1.0."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    with contextlib.closing(writer):
        writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return head.split()[1].decode(), body.decode()


class Crawler:
    def __init__(self, start: str, timeout: float) -> None:
        self.timeout = timeout
        self.seen: set[str] = set()
        self.rows: list[tuple[str, str, int]] = []
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.found(start)

    def found(self, url: str) -> None:
        if url not in self.seen:
            self.seen.add(url)
            self.queue.put_nowait(url)

    async def work(self) -> None:
        while True:
            url = await self.queue.get()
            try:
                status, text = await asyncio.wait_for(fetch(url), self.timeout)
            except (OSError, TimeoutError, ValueError, IndexError) as error:
                status, text = type(error).__name__, ""
            self.rows.append((url, status, len(text)))
            for link in re.findall(r'href="([^"]+)"', text):
                if urlsplit(target := urljoin(url, link)).netloc == urlsplit(url).netloc:
                    self.found(target)
            self.queue.task_done()


async def main(url: str | None, output: str, timeout: float) -> None:
    site = Site()
    server = None if url else await site.start()
    crawler = Crawler(url or site.address + "/page/1", timeout)
    workers = [asyncio.create_task(crawler.work()) for _ in range(WORKERS)]
    await crawler.queue.join()
    for worker in workers:
        worker.cancel()
    with open(output, "w", newline="") as file:
        csv.writer(file).writerows([("url", "status", "characters"), *sorted(crawler.rows)])
    print(len(crawler.rows), "pages,", sum(row[1] != "200" for row in crawler.rows), "errors, written to", output)
    if server:
        server.close()
        await server.wait_closed()
        print("visits per page, at most:", max(site.served.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url")
    parser.add_argument("--output", default="pages.csv")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for one page")
    asyncio.run(main(**vars(parser.parse_args())))
