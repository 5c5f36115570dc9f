"""A hundred thousand jobs from eight threads and from tasks, some cancelled at random: every one is accounted for."""

import asyncio
import collections
import concurrent.futures
import random
import threading

from thread_support import wait_until

import tideloop
from tideloop.threads import ThreadPool

JOBS, THREADS = 100_000, 8


def test_a_hundred_thousand_jobs_of_eight_threads_with_random_cancels_are_all_accounted_for():
    ran = collections.Counter()
    fates = collections.Counter(done=0, cancelled=0)  # to add to a new key runs Python: no atomic step

    def job(key):
        ran[key] += 1  # one thread at a time has this key
        return key

    def submit(seed):
        chance = random.Random(seed)
        futures = collections.deque()
        for number in range(JOBS // THREADS):
            futures.append(
                (
                    seed,
                    number,
                    pool.with_options(priority=chance.choice((0, 0, 0, -1, 1))).submit(job, (seed, number))
                    if chance.random() < 0.2
                    else pool.submit(job, (seed, number)),
                )
            )
            if chance.random() < 0.2:
                chance.choice(futures)[2].cancel()
            if len(futures) > 50:
                settle(*futures.popleft())
        while futures:
            settle(*futures.popleft())

    def settle(seed, number, future):
        try:
            assert future.result(30) == (seed, number)
            fates["done"] += 1
            assert ran[seed, number] == 1
        except concurrent.futures.CancelledError:
            fates["cancelled"] += 1
            assert ran[seed, number] == 0

    with ThreadPool(4) as pool:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as submitters:
            for done in [submitters.submit(submit, seed) for seed in range(THREADS)]:
                done.result()
        wait_until(lambda: pool.statistics().running == 0)
        now = pool.statistics()
    assert fates.total() == JOBS and fates["cancelled"] > 0
    assert (now.submitted, now.completed, now.cancelled, now.failed, now.queued) == (
        JOBS,
        fates["done"],
        fates["cancelled"],
        0,
        0,
    )


def test_calls_from_loops_with_random_cancels_are_all_accounted_for():
    jobs, loops = 20_000, 3
    ran = [collections.Counter() for _ in range(loops)]
    fates = collections.Counter(done=0, cancelled=0)  # to add to a new key runs Python: no atomic step

    async def main(number):
        loop, chance = asyncio.get_running_loop(), random.Random(number)
        futures = []
        for key in range(jobs):
            futures.append(loop.run_in_executor(pool, ran[number].update, [key]))
            if chance.random() < 0.3:
                chance.choice(futures).cancel()
            if chance.random() < 0.01:
                await asyncio.sleep(0)
        for result in await asyncio.gather(*futures, return_exceptions=True):
            fates["cancelled" if isinstance(result, asyncio.CancelledError) else "done"] += 1
            assert result is None or isinstance(result, asyncio.CancelledError)

    with ThreadPool(3) as pool:
        threads = [threading.Thread(target=tideloop.run, args=(main(number),)) for number in range(loops)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert fates.total() == jobs * loops
    assert all(set(counter.values()) <= {1} for counter in ran)
    # A call that was cancelled while it ran has run all the same.
    assert fates["done"] <= sum(counter.total() for counter in ran) <= jobs * loops
    assert pool.statistics().completed == sum(counter.total() for counter in ran)
