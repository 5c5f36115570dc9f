"""APScheduler's AsyncIOScheduler: timers of its own on our loop, jobs as tasks and in threads."""

import asyncio
import datetime
import threading

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from support import until


@pytest.fixture
def scheduler(loop):
    made = AsyncIOScheduler(event_loop=loop, timezone=datetime.UTC, executors={"pool": ThreadPoolExecutor(2)})
    made.add_executor("asyncio")
    return made


def test_interval_date_and_error_jobs_run(run, scheduler, caplog):
    caplog.set_level("CRITICAL", "apscheduler")

    async def main():
        ticks, once, threads, events = [], [], [], []

        async def tick():
            ticks.append(asyncio.get_running_loop())

        async def fail():
            raise ValueError("on purpose")

        scheduler.add_listener(lambda event: events.append(event.code), EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
        scheduler.start()
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.05)
        job = scheduler.add_job(tick, "interval", seconds=0.01)
        scheduler.add_job(once.append, "date", run_date=soon, args=["once"])
        scheduler.add_job(fail, "date", run_date=soon)
        scheduler.add_job(lambda: threads.append(threading.get_ident()), "date", run_date=soon, executor="pool")
        await until(lambda: len(ticks) >= 10 and once and threads and EVENT_JOB_ERROR in events)
        assert set(ticks) == {asyncio.get_running_loop()} and once == ["once"]
        assert threads != [threading.get_ident()]

        # Paused from another thread, and going on.
        await asyncio.to_thread(job.pause)
        count = len(ticks)
        await asyncio.to_thread(job.resume)
        await until(lambda: len(ticks) > count)
        job.remove()
        scheduler.shutdown()
        await until(lambda: not scheduler.running)

    run(main())


def test_shutdown_cancels_what_runs(run, scheduler):
    async def main():
        begun, ends = [], []

        async def long():
            begun.append(1)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        scheduler.start()
        scheduler.add_job(long)
        await until(lambda: begun)
        scheduler.shutdown(wait=False)
        await until(lambda: ends == ["cancelled"])

    run(main())
