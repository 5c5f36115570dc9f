"""run, Runner, new_event_loop, install and EventLoopPolicy."""

import asyncio
import sys

import pytest

import tideloop
from support import run_program

BELOW_314 = sys.version_info < (3, 14)


async def running_loop():
    return asyncio.get_running_loop()


def test_run_gives_the_result_and_closes_its_loop():
    loop = tideloop.run(running_loop())
    assert type(loop) is tideloop.EventLoop
    assert loop.is_closed()


@pytest.mark.parametrize("debug", [True, False])
def test_run_sets_debug_mode(debug):
    assert tideloop.run(running_loop(), debug=debug).get_debug() is debug


def test_run_inside_a_running_loop_is_refused():
    async def main():
        unstarted = running_loop()
        with pytest.raises(RuntimeError, match=r"asyncio\.run\(\) cannot be called from a running event loop"):
            tideloop.run(unstarted)
        unstarted.close()

    tideloop.run(main())


def test_a_runner_keeps_one_loop():
    with tideloop.Runner() as runner:
        assert isinstance(runner, asyncio.Runner)
        first = runner.run(running_loop())
        assert runner.run(running_loop()) is first is runner.get_loop()
    assert first.is_closed()


def test_a_runner_takes_a_loop_factory():
    with tideloop.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert type(runner.run(running_loop())) is asyncio.SelectorEventLoop


@pytest.fixture
def uninstalled():
    yield
    tideloop.uninstall()


@pytest.mark.usefixtures("uninstalled")
def test_after_install_asyncio_gives_out_our_loops():
    tideloop.install()
    tideloop.install()
    assert type(asyncio.run(running_loop())) is tideloop.EventLoop
    with asyncio.Runner() as runner:
        assert type(runner.get_loop()) is tideloop.EventLoop
    loop = asyncio.new_event_loop()
    assert type(loop) is tideloop.EventLoop
    loop.close()


def test_uninstall_puts_everything_back():
    tideloop.uninstall()
    before = asyncio.new_event_loop, asyncio.events.new_event_loop
    tideloop.install()
    tideloop.uninstall()
    tideloop.uninstall()
    assert (asyncio.new_event_loop, asyncio.events.new_event_loop) == before
    assert not isinstance(asyncio.run(running_loop()), tideloop.EventLoop)


def test_install_says_nothing_even_where_warnings_are_errors():
    source = "tideloop.install(); asyncio.run(asyncio.sleep(0)); tideloop.uninstall()"
    done = run_program("tideloop", source, flags=("-W", "error"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not BELOW_314, reason="asyncio's policies are deprecated from 3.14 on")
def test_the_policy_gives_out_our_loops():
    loop = tideloop.EventLoopPolicy().new_event_loop()
    assert type(loop) is tideloop.EventLoop
    loop.close()
    assert "EventLoopPolicy" in tideloop.__all__


@pytest.mark.skipif(BELOW_314, reason="the policy is there below 3.14")
def test_there_is_no_policy_and_the_error_says_what_to_use():
    with pytest.raises(AttributeError, match=r"deprecated.*tideloop\.install\(\)"):
        tideloop.EventLoopPolicy
    assert "EventLoopPolicy" not in tideloop.__all__


@pytest.mark.parametrize(("asked", "named"), [("native", None), ("asyncio", None), (None, "asyncio"), (None, "native")])
def test_tasks_can_be_asyncios_own(monkeypatch, asked, named):
    monkeypatch.delenv("TIDELOOP_TASKS", raising=False)
    if named is not None:
        monkeypatch.setenv("TIDELOOP_TASKS", named)
    loop = tideloop.new_event_loop(tasks=asked)

    async def main():
        return type(asyncio.current_task())

    kind = asyncio.Task if "asyncio" in (asked, named) else tideloop.Task
    assert loop.run_until_complete(main()) is kind
    loop.close()


def test_the_argument_beats_the_environment(monkeypatch):
    monkeypatch.setenv("TIDELOOP_TASKS", "asyncio")
    loop = tideloop.new_event_loop(tasks="native")

    async def main():
        return type(asyncio.current_task())

    assert loop.run_until_complete(main()) is tideloop.Task
    loop.close()


@pytest.mark.parametrize(("asked", "named"), [("gevent", None), (None, "gevent")])
def test_any_other_kind_of_tasks_is_refused(monkeypatch, asked, named):
    if named is not None:
        monkeypatch.setenv("TIDELOOP_TASKS", named)
    with pytest.raises(ValueError, match="must be one of native, asyncio, not 'gevent'"):
        tideloop.new_event_loop(tasks=asked)


def test_a_loop_can_be_derived_from_with_arguments_of_its_own():
    class Mine(tideloop.EventLoop):
        def __init__(self, name):
            super().__init__()
            self.name = name

    loop = Mine("mine")
    assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done"
    assert (loop.name, repr(loop)) == ("mine", "<Mine running=False closed=False debug=False>")
    loop.close()
