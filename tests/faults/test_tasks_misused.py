"""Coroutines, contexts and task factories that misbehave: the interpreter stays alive, the loop too."""

import pytest
from misbehave import survives

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


def test_coroutine_that_yields_nonsense(loop_kind):
    survives(
        loop_kind,
        """
class Yields:
    def __init__(self, value):
        self.value = value
    def __await__(self):
        yield self.value
async def main(value):
    await Yields(value)
for value in (1, "x", object(), loop, [], int, print, ValueError(1), StopIteration(2)):
    try:
        run(main(value))
    except BaseException as exc:
        print(type(exc).__name__, str(exc).startswith("Task got bad yield: "))
loop.close()
""",
        "RuntimeError True\n" * 9,
    )


def test_coroutine_that_yields_half_a_future(loop_kind):
    survives(
        loop_kind,
        """
warnings.simplefilter("ignore")
class Yields:
    def __init__(self, value):
        self.value = value
    def __await__(self):
        yield self.value
class Blocking:
    _asyncio_future_blocking = True
class Raises:
    @property
    def _asyncio_future_blocking(self):
        raise LookupError("property")
class NoMethods:
    _asyncio_future_blocking = True
    def get_loop(self):
        return loop
async def main(value):
    await Yields(value)
for cls in (Blocking, Raises, NoMethods):
    task = loop.create_task(main(cls()))
    turn(4)
    task._log_destroy_pending = False
    task.get_coro().close() if not task.done() else task.exception()
    del task
gc.collect()
seen.clear()
print(run(asyncio.sleep(0, "alive")))
loop.close()
""",
        "alive\n",
    )


def test_coroutine_like_objects_that_misbehave(loop_kind):
    survives(
        loop_kind,
        """
import collections.abc
class Base(collections.abc.Coroutine):
    def send(self, value): raise StopIteration
    def throw(self, *args): raise args[0]
    def close(self): pass
    def __await__(self): yield
class Sends(Base):
    def send(self, value): raise LookupError("send")
class Stops(Base):
    def send(self, value): raise StopIteration(StopIteration(1))
class Recursive(Base):
    def send(self, value):
        loop.stop()
        try:
            loop.run_forever()
        except RuntimeError as exc:
            raise LookupError(str(exc))
class Steps(Base):
    task = None
    def send(self, value):
        self.task.cancel()
        self.task.remove_done_callback(print)
        raise StopIteration("stepped")
for cls in (Base, Sends, Stops, Recursive, Steps):
    coroutine = cls()
    task = loop.create_task(coroutine)
    coroutine.task = task
    try:
        print(type(run(task)).__name__)
    except BaseException as exc:
        print("raised", type(exc).__name__)
    coroutine.task = None
loop.close()
""",
        "NoneType\nraised LookupError\nStopIteration\nraised LookupError\nraised CancelledError\n",
    )


def test_generator_that_is_run_already(loop_kind):
    survives(
        loop_kind,
        """
async def main():
    task = asyncio.current_task()
    try:
        task.get_coro().send(None)
    except ValueError as exc:
        print(exc)
run(main())
loop.close()
""",
        "coroutine already executing\n",
    )


def test_coroutine_closed_behind_its_tasks_back(loop_kind):
    survives(
        loop_kind,
        """
async def main():
    await asyncio.sleep(0)
task = loop.create_task(main())
turn()
task.get_coro().close()
try:
    run(task)
except RuntimeError as exc:
    print(exc)
loop.close()
""",
        "cannot reuse already awaited coroutine\n",
    )


def test_task_factory_that_raises_or_returns_nonsense(loop_kind):
    survives(
        loop_kind,
        """
async def noop():
    pass
loop.set_task_factory(fail)
coroutine = noop()
try:
    loop.create_task(coroutine)
except LookupError as exc:
    print(exc)
loop.set_task_factory(lambda loop, coroutine, **options: None)
try:
    print(loop.create_task(coroutine))
except (AttributeError, TypeError) as exc:
    print(None)
coroutine.close()
loop.set_task_factory(None)
run(noop())
loop.close()
""",
        "on purpose\nNone\n",
    )


def test_context_that_cannot_be_entered(loop_kind):
    survives(
        loop_kind,
        """
context = contextvars.copy_context()
ran = []
loop.call_soon(ran.append, 1, context=context)
async def noop():
    ran.append(2)
task = loop.create_task(noop(), context=context)
context.run(turn, 2)
loop.call_soon(ran.append, 3)
turn()
print(ran)
task._log_destroy_pending = False
if not task.done():
    task.get_coro().close()
loop.close()
""",
        "[3]\n",
        errors="",
    )


def test_deep_recursion_in_a_callback(loop_kind):
    survives(
        loop_kind,
        """
def deeper():
    deeper()
async def task():
    deeper()
loop.call_soon(deeper)
try:
    run(task())
except RecursionError:
    print("recursion")
print(told())
loop.close()
""",
        "recursion\n['RecursionError']\n",
    )
