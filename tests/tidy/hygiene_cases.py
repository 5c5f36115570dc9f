"""Tests that leave something behind, for test_hygiene.py to run; collected by nobody else."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.loop_kinds("asyncio")
KEPT = []


def test_clean(run):
    async def main():
        await asyncio.sleep(0.001)
        return 5

    assert run(main()) == 5


def test_leaves_tasks(loop):
    async def main():
        KEPT.append(asyncio.create_task(asyncio.sleep(10)))

    loop.run_until_complete(main())


def test_leaves_handles(loop):
    KEPT.append(loop.call_later(5, print))


def test_leaves_descriptors():
    os.open(os.devnull, os.O_RDONLY)


def test_leaves_threads():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_leaves_children():
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))


def test_leaves_signals():
    signal.signal(signal.SIGUSR1, lambda *_: None)


def test_leaves_reports(loop):
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_clean_with_reports_expected(loop, exception_reports):
    test_leaves_reports(loop)
    assert exception_reports[0].exc_info[0] is ZeroDivisionError


def test_leaves_running(new_loop):
    loop = new_loop()
    asyncio._set_running_loop(loop)
    try:
        loop.close()
    finally:
        KEPT.append(loop)


def test_leaves_policy():
    asyncio._set_running_loop(None)

    class Policy(asyncio.DefaultEventLoopPolicy):
        pass

    asyncio.set_event_loop_policy(Policy())
