"""Crawl a site with threads, with tasks, and with both at once, each page fetched once: all go by one visited-set.

Takes the number of workers, 16 by default. The site is made up: pages link to each other, most of them many times.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tideloop.sync import ConcurrentSet, Queue

PAGES = 300
RESPONSE_S = 0.001


class Site:
    def __init__(self) -> None:
        chance = random.Random(7)
        linked = [(page + 1, *chance.choices(range(PAGES), k=8)) for page in range(PAGES)]
        self.links = {f"/{page}": [f"/{other}" for other in linked[page]] for page in range(PAGES)}
        self.fetched: Counter[str] = Counter()

    def answer(self, url: str) -> list[str]:
        self.fetched[url] += 1
        return self.links.get(url, [])


def crawl_with_threads(site: Site, visited: ConcurrentSet[str], workers: int, start: str) -> None:
    urls: Queue[str] = Queue()

    def work() -> None:
        for url in urls:
            time.sleep(RESPONSE_S)
            for link in site.answer(url):
                if visited.add(link):  # true for one thread alone
                    urls.put(link)
            urls.task_done()

    if visited.add(start):
        urls.put(start)
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            pool.submit(work)
        urls.join()
        urls.shutdown()


async def crawl_with_tasks(site: Site, visited: ConcurrentSet[str], workers: int, start: str) -> None:
    at_once = asyncio.Semaphore(workers)

    async def visit(url: str, group: asyncio.TaskGroup) -> None:
        async with at_once:
            await asyncio.sleep(RESPONSE_S)
        for link in site.answer(url):
            if visited.add(link):
                group.create_task(visit(link, group))

    async with asyncio.TaskGroup() as group:
        if visited.add(start):
            group.create_task(visit(start, group))


async def crawl(kinds: str, site: Site, visited: ConcurrentSet[str], workers: int) -> None:
    async with asyncio.TaskGroup() as group:
        if "threads" in kinds:
            group.create_task(asyncio.to_thread(crawl_with_threads, site, visited, workers, "/0"))
        if "tasks" in kinds:
            group.create_task(crawl_with_tasks(site, visited, workers, "/100"))


if __name__ == "__main__":
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    for kinds in ("threads", "tasks", "threads and tasks"):
        site, visited = Site(), ConcurrentSet[str]()
        asyncio.run(crawl(kinds, site, visited, workers))
        print(f"{kinds}: {len(visited)} pages, each fetched {max(site.fetched.values())} time")
