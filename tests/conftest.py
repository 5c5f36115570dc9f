"""What every test shares: loops to run on, and the check that nothing is left behind.

A test that asks for `loop_kind`, `make_loop`, `loop` or `run` below tests/contract or tests/integration runs twice, on
asyncio and on Tideloop; elsewhere it runs on Tideloop alone. `@pytest.mark.loop_kinds("asyncio", "tideloop")` overrides
that for a test, a class or, as `pytestmark`, a module. `--without-control` leaves asyncio out where both are asked for.

With `-n auto` several processes run the tests; `@pytest.mark.alone` is for those that measure time (see turns.py).

After each test `hygiene.py` looks for what outlived it. Two fixtures make exceptions, each by its name in the test's
signature: `exception_reports` (the exception handler may be called; the test asserts on what it was told) and
`leftovers_allowed` (a set of names of checks to leave out, for a test whose subject is the leak itself).
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from hygiene import REPORTS, Snapshot, collect_twice, pending_tasks
from turns import Turns

LOOP_KINDS = ("asyncio", "tideloop")
WORKERS_MAX = 8
# What is judged by asyncio: the same tests must pass on both.
ON_BOTH = tuple(Path(__file__).parent / folder for folder in ("contract", "integration"))

# Who starts the tests in the background has these ignored, and so would every program that they start and signal.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def _native_missing() -> str | None:
    """Why the extension cannot be used here, or None."""
    try:
        importlib.import_module("tideloop._native")
    except ImportError as exc:
        return str(exc)
    return None


NATIVE_MISSING = _native_missing()


def pytest_addoption(parser: pytest.Parser) -> None:
    # Whether a test is right is judged by asyncio, and once: a second Python is asked only what ours does there.
    parser.addoption("--without-control", action="store_true", help="run on Tideloop alone what runs on asyncio too")


def pytest_configure(config: pytest.Config) -> None:
    if NATIVE_MISSING and os.environ.get("TIDELOOP_REQUIRED") == "1":
        raise pytest.UsageError(f"TIDELOOP_REQUIRED=1, but tideloop._native cannot be imported: {NATIVE_MISSING}")
    config.addinivalue_line("markers", "loop_kinds(*kinds): the loops that a test runs on, of 'asyncio' and 'tideloop'")
    config.addinivalue_line("markers", "alone: no other test runs beside it, as it measures time")
    if hasattr(config, "workerinput"):
        config.stash[_TURNS] = Turns()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: one more than there are processors, since many tests wait. (Each of them collects all tests.)"""
    return min(len(os.sched_getaffinity(0)) + 1, WORKERS_MAX)


def pytest_report_header() -> list[str]:
    if NATIVE_MISSING:
        return [f"!!! tideloop._native cannot be imported ({NATIVE_MISSING}): every test on Tideloop is SKIPPED"]
    return []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "loop_kind" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("loop_kinds")
    if marker is not None:
        kinds = marker.args
    elif any(folder in metafunc.definition.path.parents for folder in ON_BOTH):
        kinds = LOOP_KINDS
    else:
        kinds = ("tideloop",)
    if "tideloop" in kinds and metafunc.config.getoption("--without-control"):
        kinds = ("tideloop",)
    missing = pytest.mark.skip(reason=f"tideloop._native cannot be imported: {NATIVE_MISSING}")
    metafunc.parametrize(
        "loop_kind",
        [pytest.param(k, marks=missing) if k == "tideloop" and NATIVE_MISSING else k for k in kinds],
    )


_TURNS = pytest.StashKey[Turns]()


# Outermost: the time limit of a test begins when it has its turn.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    turns = item.config.stash.get(_TURNS, None)
    if turns is None:
        return (yield)
    with turns.one(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(report: pytest.TestReport) -> Iterator[None]:
    category, letter, word = yield
    # Nobody watches the dots there, and a log that is too long is cut.
    quiet = bool(os.environ.get("CI")) and not report.failed
    return (category, "", "") if quiet else (category, letter, word)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed and report.when in ("setup", "call"):
        item.stash[_FAILED] = True
    return report


_FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare the process before and after the test; an autouse fixture is made first and so torn down last."""
    # What exists before a test is not looked at again: the collections after it are cheap, however much the tests
    # before it have imported and reported, and gc.get_objects() lists only what the test itself made.
    gc.collect()
    gc.freeze()
    before = Snapshot.take()
    yield
    if request.node.stash.get(_FAILED, False):
        # A failed test's traceback keeps its objects alive: what it left is no news.
        before.stop()
        return
    allowed: set[str] = set()
    if "leftovers_allowed" in request.fixturenames:
        allowed |= request.getfixturevalue("leftovers_allowed")
    if "exception_reports" in request.fixturenames:
        allowed.add("reports")
    left = before.left_behind(allowed)
    if left:
        pytest.fail("left behind by the test:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def leftovers_allowed() -> set[str]:
    """Names of checks to leave out for this test, of hygiene.CHECKS; override it or add to it, with the reason."""
    return set()


@pytest.fixture
def exception_reports(nothing_left_behind: None) -> list[Any]:
    """The logging.LogRecords of loops' default exception handlers during the test, whose calls are then no failure."""
    return REPORTS.records


@pytest.fixture
def new_loop(loop_kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The bare factory of the kind under test: whoever calls it closes what it gives."""
    if loop_kind == "asyncio":
        return asyncio.new_event_loop
    return importlib.import_module("tideloop").new_event_loop


FINISH_SECONDS_MAX = 5.0


@pytest.fixture
def make_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[Callable[[], asyncio.AbstractEventLoop]]:
    """A factory of loops that are finished and closed after the test; a task pending by then is a failure."""
    made: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        made.append(new_loop())
        return made[-1]

    yield make
    left: list[str] = []
    for loop in reversed(made):
        left += _finish(loop)
    made.clear()
    asyncio.set_event_loop(None)
    if left:
        pytest.fail("tasks left pending by the test:\n  " + "\n  ".join(left), pytrace=False)


def _finish(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Close a loop as asyncio.run does; return what was still pending on it."""
    if loop.is_closed():
        return []
    tasks = pending_tasks(loop)
    left = [repr(task) for task in tasks]
    for task in tasks:
        task.cancel()
    if tasks:
        # Bounded: a test that failed has used up its time limit, and a task that nothing runs cannot be cancelled.
        loop.run_until_complete(asyncio.wait(tasks, timeout=FINISH_SECONDS_MAX))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    for thread in threading.enumerate():
        # asyncio's child watcher of 3.11 holds the handle of its last call until the thread has ended.
        if "waitpid-" in thread.name:
            thread.join(FINISH_SECONDS_MAX)
    collect_twice()
    return left


@pytest.fixture
def loop(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """A fresh loop of the kind under test, not set as the current one; closed after the test."""
    return make_loop()


@pytest.fixture
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """`run(coroutine)` on the test's `loop`: its result, or its exception."""
    return loop.run_until_complete
