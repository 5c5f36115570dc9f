"""What later versions of asyncio have, on every supported one."""

import asyncio
import pickle

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)


@pytest.fixture
def eager(loop):
    loop.set_task_factory(tideloop.eager_task_factory)
    return loop


def test_an_eager_task_that_does_not_wait_is_done_at_once(eager):
    async def main():
        me = tideloop.current_task()

        async def child():
            seen.append(tideloop.current_task())
            return 5

        seen = []
        task = tideloop.create_task(child(), name="child")
        assert task.done() and task.result() == 5
        assert type(task) is tideloop.Task and task.get_name() == "child"
        assert seen == [task]
        assert tideloop.current_task() is me

    eager.run_until_complete(main())


def test_an_eager_task_that_waits_goes_on_as_any_other(eager):
    async def main():
        steps = []

        async def child():
            steps.append("start")
            await tideloop.sleep(0)
            steps.append("end")
            assert tideloop.current_task() is task
            return "done"

        task = tideloop.create_task(child())
        assert steps == ["start"] and not task.done()
        assert task in tideloop.all_tasks()
        assert await task == "done"
        assert steps == ["start", "end"]

    eager.run_until_complete(main())


def test_an_eager_task_fails_at_once(eager):
    async def fail():
        raise LookupError("at once")

    async def main():
        task = tideloop.create_task(fail())
        assert task.done()
        with pytest.raises(LookupError, match="at once"):
            await task

    eager.run_until_complete(main())


def test_an_eager_factory_of_ones_own_class(loop):
    class Mine(tideloop.Task):
        pass

    loop.set_task_factory(tideloop.create_eager_task_factory(Mine))

    async def main():
        task = tideloop.create_task(tideloop.sleep(0, 5))
        assert type(task) is Mine
        return await task

    assert loop.run_until_complete(main()) == 5


def test_an_eager_task_on_asyncios_loop():
    async def child():
        return tideloop.current_task()

    async def main():
        me = tideloop.current_task()
        task = tideloop.Task(child(), loop=tideloop.get_running_loop(), eager_start=True)
        assert task.done() and task.result() is task
        assert tideloop.current_task() is me

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def test_run_takes_a_loop_factory():
    async def main():
        return type(tideloop.get_running_loop())

    assert tideloop.run(main()) is tideloop.EventLoop
    assert tideloop.run(main(), loop_factory=asyncio.SelectorEventLoop) is asyncio.SelectorEventLoop


def test_a_queue_can_be_shut_down(run):
    async def main():
        queue = tideloop.Queue()
        queue.put_nowait(1)
        queue.shutdown()
        with pytest.raises(tideloop.QueueShutDown):
            queue.put_nowait(2)
        assert queue.get_nowait() == 1
        with pytest.raises(tideloop.QueueShutDown):
            await queue.get()

    run(main())


def test_a_servers_clients_can_be_closed_and_aborted():
    assert callable(tideloop.Server.close_clients) and callable(tideloop.Server.abort_clients)
    assert issubclass(tideloop.Server, asyncio.Server)


def test_names_of_later_versions_are_there():
    names = "Barrier BrokenBarrierError Runner TaskGroup Timeout timeout timeout_at QueueShutDown"
    names += " eager_task_factory create_eager_task_factory"
    assert [name for name in names.split() if not hasattr(tideloop, name) or name not in tideloop.__all__] == []


@pytest.mark.parametrize(
    "error",
    [
        tideloop.QueueShutDown("down"),
        tideloop.IncompleteReadError(b"part", 10),
        tideloop.LimitOverrunError("too long", 5),
        tideloop.CancelledError("message"),
        tideloop.InvalidStateError("state"),
        tideloop.BrokenBarrierError("broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.args == error.args and vars(copy) == vars(error)
