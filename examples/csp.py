"""Communicating sequential processes: a pipeline of threads and tasks that share nothing but channels.

    python examples/csp.py [--numbers 200]

A thread sends numbers; two workers, a thread and a task, take them as they can and find their prime factors; one
process selects from both and sorts the answers into two channels, which two more processes add up.
"""

import argparse

from tideloop.channels import Channel, Closed, Parallel, Sequence, select


def factors(number: int) -> list[int]:
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found


def main(count: int) -> None:
    numbers: Channel[int] = Channel(4)
    answers: list[Channel[list[int]]] = [Channel(), Channel()]
    primes: Channel[int] = Channel()
    others: Channel[list[int]] = Channel(8)
    report: dict[str, str] = {}

    def generate() -> None:
        with numbers:
            for number in range(2, count + 2):
                numbers.send(number)

    def work() -> None:
        with answers[0]:
            for number in numbers:
                answers[0].send(factors(number))

    async def work_in_a_task() -> None:
        with answers[1]:
            async for number in numbers:
                await answers[1].send(factors(number))

    async def sort() -> None:
        opened = list(answers)
        with primes, others:
            while opened:
                try:
                    _, found = await select(*opened)
                except Closed as closed:
                    opened.remove(closed.channel)
                    continue
                await (others.send(found) if len(found) > 1 else primes.send(found[0]))

    def add_primes() -> None:
        found = sorted(primes)
        report["primes"] = f"{len(found)} primes, the last is {found[-1]}"

    async def add_others() -> None:
        lengths = [len(found) async for found in others]
        report["others"] = f"{len(lengths)} other numbers have {sum(lengths)} prime factors"

    pipeline = Parallel(generate, work, work_in_a_task, sort, add_primes, add_others)
    Sequence(lambda: print("begin"), pipeline, lambda: print(report["primes"], report["others"], "end", sep="\n")).run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=200)
    main(parser.parse_args().numbers)
