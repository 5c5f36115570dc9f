"""Runs one suite of CPython's tests with Tideloop's threads in the stdlib's place; started by run_threads.py.

A suite is an entry in SUITES: the modules to load (those that this Python has), the classes to leave out, because they
are about something else, and a function that puts ours in the stdlib's place before anything is imported from `test`.
Prints each test's name and how it went, as JSON, on the last line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import re
import sys
import time
import types
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Suite:
    """Tests of CPython's, and how to put ours in the stdlib's place."""

    modules: tuple[str, ...]
    put_in_place: Callable[[], None]
    left_out: str = r"$^"  # a pattern of tests' names, `Class.method`


def futures_in_place() -> None:
    import concurrent.futures
    import concurrent.futures._base
    import concurrent.futures.thread

    from tideloop.threads import Future, ThreadPool

    concurrent.futures.ThreadPoolExecutor = concurrent.futures.thread.ThreadPoolExecutor = ThreadPool
    # Tests of futures make them by hand; process pools keep what they have imported.
    concurrent.futures.Future = concurrent.futures._base.Future = Future
    in_children_too()


# Programs that tests start take the class by its name from concurrent.futures.
IN_CHILDREN = """
import sys; sys.path.insert(0, {folder!r})
import concurrent.futures, tideloop.threads
concurrent.futures.ThreadPool = tideloop.threads.ThreadPool
"""


def in_children_too() -> None:
    """Put ours in place in the processes that tests start with `assert_python_ok("-c", …)`."""
    from test.support import script_helper

    import tideloop

    original = script_helper.assert_python_ok
    prelude = IN_CHILDREN.format(folder=str(Path(tideloop.__file__).parent.parent))

    def start(*args: str, **options: Any) -> Any:
        return original(
            *(prelude + arg if before == "-c" else arg for before, arg in zip(("", *args), args, strict=False)),
            **options,
        )

    script_helper.assert_python_ok = start


def locks_in_place() -> None:
    """Ours for CPython's tests of locks, which take the class on trial as an attribute of the test case."""
    import threading

    import test.lock_tests as lock_tests

    from tideloop import sync

    names = ("Lock", "RLock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier")
    # The tests make what they need beside the class on trial by the name in `threading`: conditions get our locks.
    ours = {name: getattr(sync, name) for name in names}
    ours["BrokenBarrierError"] = sync.BrokenBarrierError
    lock_tests.threading = types.SimpleNamespace(**{**vars(threading), **ours})
    attributes = {
        "LockTests": ("locktype", "Lock"),
        "RLockTests": ("locktype", "RLock"),
        "EventTests": ("eventtype", "Event"),
        "ConditionTests": ("condtype", "Condition"),
        "SemaphoreTests": ("semtype", "Semaphore"),
        "BoundedSemaphoreTests": ("semtype", "BoundedSemaphore"),
        "BarrierTests": ("barriertype", "Barrier"),
    }
    for case, (attribute, name) in attributes.items():
        setattr(getattr(lock_tests, case), attribute, staticmethod(ours[name]))


def queues_in_place() -> None:
    from test.support import import_helper

    from tideloop import sync

    original = import_helper.import_fresh_module

    def import_fresh_module(name: str, *args: Any, **options: Any) -> Any:
        module = original(name, *args, **options)
        if name == "queue" and module is not None:
            for ours in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "Empty", "Full", "ShutDown"):
                setattr(module, ours, getattr(sync, ours))
        return module

    # The tests import the module anew, with and without its C half.
    import_helper.import_fresh_module = import_fresh_module


SUITES = {
    "locks": Suite(
        modules=("test.lock_tests",),
        put_in_place=locks_in_place,
        left_out=r"^(BaseTestCase|BaseLockTests|BaseSemaphoreTests)\.",
    ),
    "queue": Suite(
        modules=("test.test_queue",),
        put_in_place=queues_in_place,
        left_out=r"PySimpleQueue",  # which is the stdlib's spare one
    ),
    "concurrent.futures": Suite(
        modules=(
            "test.test_concurrent_futures",  # a file up to 3.11, a package after
            "test.test_concurrent_futures.test_as_completed",
            "test.test_concurrent_futures.test_future",
            "test.test_concurrent_futures.test_init",
            "test.test_concurrent_futures.test_shutdown",
            "test.test_concurrent_futures.test_thread_pool",
            "test.test_concurrent_futures.test_wait",
        ),
        put_in_place=futures_in_place,
        left_out=r"Process|Interpreter|FailingInitializerResources",
    ),
}


class Recorder(unittest.TestResult):
    """Remembers each test by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def note(self, test: unittest.TestCase, outcome: str) -> None:
        self.outcomes.setdefault(name_of(test), outcome)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.note(test, "ok")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.note(test, "skip")

    def addFailure(self, test, err) -> None:
        self.note(test, "fail: " + self._exc_info_to_string(err, test)[-1500:])

    addError = addFailure

    def addSubTest(self, test, subtest, err) -> None:
        if err is not None:
            self.addFailure(test, err)

    def addExpectedFailure(self, test, err) -> None:
        self.note(test, "ok")


def name_of(test: unittest.TestCase) -> str:
    return f"{type(test).__name__}.{getattr(test, '_testMethodName', test.id())}"


def tests_of(suite: Suite) -> Iterator[unittest.TestCase]:
    def flat(tests: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
        if isinstance(tests, unittest.TestSuite):
            for test in tests:
                yield from flat(test)
        else:
            yield tests

    seen = set()
    for name in suite.modules:
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(name) is None:
                continue
            module = importlib.import_module(name)
            loader = unittest.TestLoader()
            loaded = unittest.TestSuite(
                loader.loadTestsFromTestCase(value)
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == name
            )
            for test in flat(loaded):
                if name_of(test) not in seen and not re.search(suite.left_out, name_of(test)):
                    seen.add(name_of(test))
                    yield test


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", nargs="?", choices=SUITES)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--stdlib", action="store_true")
    parser.add_argument("--test")
    args = parser.parse_args()
    if args.list:
        print(*SUITES, sep="\n")
        return
    suite = SUITES[args.suite]
    if not args.stdlib:
        suite.put_in_place()
    recorder = Recorder()
    with contextlib.redirect_stdout(io.StringIO()):
        chosen = [test for test in tests_of(suite) if args.test in (None, name_of(test))]
        unittest.TestSuite(chosen).run(recorder)
    print(json.dumps(recorder.outcomes))


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"{time.monotonic() - start:.1f} s", file=sys.stderr)
