"""A pipeline with back pressure: producers make texts, consumers count their words on threads, a collector adds up.

    python examples/pipeline.py [--texts 400] [--producers 2] [--consumers 4]

Both queues are bounded, so a slow stage holds back those before it. The result is always the same.
"""

import argparse
import asyncio
import random
from collections import Counter

QUEUE_ITEMS_MAX = 16
WORDS = ["tide", "moon", "shore", "current", "harbour", "anchor", "lantern", "gull", "rope", "compass"]


def make_text(number: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=50))


async def produce(numbers: range, texts: "asyncio.Queue[str | None]") -> None:
    for number in numbers:
        await texts.put(make_text(number))


async def consume(texts: "asyncio.Queue[str | None]", counts: "asyncio.Queue[Counter[str] | None]") -> None:
    """Count the words of every text on a thread of the pool, until a None says that there are no more."""
    while (text := await texts.get()) is not None:
        await counts.put(await asyncio.to_thread(lambda text=text: Counter(text.split())))


async def collect(counts: "asyncio.Queue[Counter[str] | None]") -> tuple[int, Counter[str]]:
    done, total = 0, Counter[str]()
    while (count := await counts.get()) is not None:
        total += count
        done += 1
    return done, total


async def main(texts_wanted: int, producers: int, consumers: int) -> None:
    texts: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_ITEMS_MAX)
    counts: asyncio.Queue[Counter[str] | None] = asyncio.Queue(QUEUE_ITEMS_MAX)
    async with asyncio.TaskGroup() as collecting:
        result = collecting.create_task(collect(counts))
        async with asyncio.TaskGroup() as consuming:
            for _ in range(consumers):
                consuming.create_task(consume(texts, counts))
            async with asyncio.TaskGroup() as producing:
                for first in range(producers):
                    producing.create_task(produce(range(first, texts_wanted, producers), texts))
            for _ in range(consumers):
                await texts.put(None)
        await counts.put(None)
    done, total = result.result()
    print(f"{done} texts, {total.total()} words")
    for word, times in sorted(total.items()):
        print(f"{times:6} {word}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--consumers", type=int, default=4)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.texts, arguments.producers, arguments.consumers))
