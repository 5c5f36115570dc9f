"""Publish and subscribe between threads and tasks, in two ways: by hand with a Condition, and with a Broadcast.

    python examples/pubsub.py [--messages 100] [--subscribers 4]

Half of the subscribers are threads, half are tasks. All get every message.
"""

import argparse
import asyncio
import threading

from tideloop.channels import Broadcast
from tideloop.sync import Condition


class Board:
    """Messages that stay: whoever reads knows how far it has come."""

    def __init__(self) -> None:
        self.changed, self.messages, self.closed = Condition(), [], False

    def post(self, message: str | None) -> None:
        """Add a message, from a thread; None is the last one."""
        with self.changed:
            self.closed = message is None
            self.messages += [message] if message is not None else []
            self.changed.notify_all()

    def read(self) -> list[str]:
        """Read to the end, in a thread."""
        received: list[str] = []
        while not (self.closed and len(received) == len(self.messages)):
            with self.changed:
                while not (self.closed or len(received) < len(self.messages)):
                    self.changed.wait()
                received += self.messages[len(received) :]
        return received

    async def read_soon(self) -> list[str]:
        """The same in a task."""
        received: list[str] = []
        while not (self.closed and len(received) == len(self.messages)):
            async with self.changed:
                while not (self.closed or len(received) < len(self.messages)):
                    await self.changed.wait()
                received += self.messages[len(received) :]
        return received


async def on_a_board(messages: list[str], subscribers: int) -> list[list[str]]:
    board = Board()
    publisher = threading.Thread(target=lambda: [board.post(message) for message in (*messages, None)])
    tasks = [asyncio.create_task(board.read_soon()) for _ in range(subscribers // 2)]
    publisher.start()
    return await asyncio.gather(*tasks, *(asyncio.to_thread(board.read) for _ in range(subscribers - len(tasks))))


async def by_broadcast(messages: list[str], subscribers: int) -> list[list[str]]:
    async def read_soon(subscription) -> list[str]:
        return [message async for message in subscription]

    with Broadcast(capacity=10) as news:  # the publisher waits for whoever is further behind
        tasks = [asyncio.create_task(read_soon(news.subscribe())) for _ in range(subscribers // 2)]
        tasks += [asyncio.to_thread(list, news.subscribe()) for _ in range(subscribers - len(tasks))]
        received = asyncio.gather(*tasks)
        for message in messages:
            await news.send(message)
    return await received


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--subscribers", type=int, default=4)
    arguments = parser.parse_args()
    expected = [f"number {n}" for n in range(arguments.messages)]
    for way in (on_a_board, by_broadcast):
        received = asyncio.run(way(expected, arguments.subscribers))
        print(f"{way.__name__}: {received.count(expected)} of {len(received)} subscribers got {len(expected)} messages")
