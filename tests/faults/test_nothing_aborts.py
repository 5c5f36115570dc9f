"""Nothing that a program does aborts the interpreter: each fault in a process of its own.

The program must end with the status that it chose, and say what asyncio says in its place.
"""

import pytest

from support import run_program

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

#: Every program reports to `seen` through the exception handler, and ends by `print(seen...)`.
HEAD = """
import contextvars
loop = new_loop()
seen = []
loop.set_exception_handler(lambda loop, context: seen.append(context))
def run(coroutine):
    return loop.run_until_complete(coroutine)
def told():
    return [type(context.get("exception")).__name__ for context in seen]
def turn(count=1):
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()
def fail(*args, **kwargs):
    raise LookupError("on purpose")
"""


def survives(kind, source, output, *, errors=None, flags=()):
    """Run a program; it must print `output` and end with 0, and say no more than `errors` on standard error."""
    done = run_program(kind, HEAD + source, flags=flags)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout == output, done.stderr
    if errors is None:
        assert done.stderr == ""
    else:
        assert errors in done.stderr
    assert "panicked" not in done.stderr


def test_callback_that_raises(loop_kind):
    survives(
        loop_kind,
        """
loop.call_soon(fail)
loop.call_later(0, fail)
loop.call_soon_threadsafe(fail)
turn(2)
print(told())
loop.close()
""",
        "['LookupError', 'LookupError', 'LookupError']\n",
    )


def test_exception_handler_that_raises(loop_kind):
    survives(
        loop_kind,
        """
loop.set_exception_handler(fail)
loop.call_soon(fail)
turn()
print("alive")
loop.close()
""",
        "alive\n",
        errors="Unhandled error in exception handler",
    )


def test_exception_handler_that_closes_the_world(loop_kind):
    survives(
        loop_kind,
        """
def handler(loop, context):
    try:
        loop.close()
    except RuntimeError as exc:
        print(exc)
    loop.stop()
loop.set_exception_handler(handler)
loop.call_soon(fail)
loop.run_forever()
loop.close()
""",
        "Cannot close a running event loop\n",
    )


def test_loop_closed_from_a_callback(loop_kind):
    survives(
        loop_kind,
        """
loop.call_soon(loop.close)
loop.call_soon(loop.stop)
loop.run_forever()
print(told(), str(seen[0]["exception"]), loop.is_closed())
loop.close()
print(loop.is_closed())
""",
        "['RuntimeError'] Cannot close a running event loop False\nTrue\n",
    )


def test_loop_closed_from_a_task(loop_kind):
    survives(
        loop_kind,
        """
async def main():
    loop.close()
try:
    run(main())
except RuntimeError as exc:
    print(exc)
loop.close()
""",
        "Cannot close a running event loop\n",
    )


def test_finalizer_that_raises_or_uses_the_loop(loop_kind):
    survives(
        loop_kind,
        """
class Nasty:
    def __init__(self, action):
        self.action = action
    def __del__(self):
        self.action()
        raise LookupError("finalizer")
sys.unraisablehook = lambda args: seen.append({"exception": args.exc_value})
def made(action):
    loop.call_soon(lambda nasty: None, Nasty(action))
    loop.call_later(3600, print, Nasty(action)).cancel()
    loop.call_later(0, lambda nasty: None, Nasty(action))
    future = loop.create_future()
    future.set_result(Nasty(action))
    future.add_done_callback(lambda f: None)
    loop.create_task(asyncio.sleep(0, Nasty(action)))
made(lambda: loop.call_soon(int))
made(lambda: loop.call_later(0, int))
made(lambda: loop.create_future().cancel())
made(lambda: gc.collect())
made(lambda: loop.stop())
turn(6)
gc.collect()
turn(3)
print(len(told()) >= 20, set(told()))
loop.close()
""",
        "True {'LookupError'}\n",
    )


def test_callback_of_a_future_that_raises(loop_kind):
    survives(
        loop_kind,
        """
future = loop.create_future()
future.add_done_callback(fail)
future.set_result(1)
turn(2)
print(told())
loop.close()
""",
        "['LookupError']\n",
    )


def test_comparison_truth_and_hash_that_raise(loop_kind):
    survives(
        loop_kind,
        """
class Nasty:
    __eq__ = fail
    __hash__ = None
    __bool__ = fail
    __len__ = fail
    def __call__(self, *args):
        raise self
future = loop.create_future()
future.add_done_callback(Nasty())
try:
    future.remove_done_callback(Nasty())
except LookupError as exc:
    print("eq", exc)
loop.call_soon(Nasty(), Nasty())
future.set_result(Nasty())
async def main():
    return await future
result = run(main())
print(type(result).__name__, told())
loop.close()
""",
        "eq on purpose\nNasty ['TypeError', 'TypeError']\n",
    )


def test_repr_that_raises(loop_kind):
    survives(
        loop_kind,
        """
class Nasty:
    __repr__ = fail
    def __call__(self, *args):
        pass
future = loop.create_future()
future.add_done_callback(Nasty())
for thing in (future, loop.call_soon(Nasty(), Nasty())):
    try:
        repr(thing)
    except LookupError as exc:
        print("repr", exc)
future.set_result(Nasty())
turn(2)
print(told())
loop.close()
""",
        "repr on purpose\nrepr on purpose\n[]\n",
    )


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


def test_signal_handler_that_raises(loop_kind):
    survives(
        loop_kind,
        """
loop.add_signal_handler(signal.SIGUSR1, fail)
os.kill(os.getpid(), signal.SIGUSR1)
run(asyncio.sleep(0.01))
print(told())
loop.remove_signal_handler(signal.SIGUSR1)
signal.signal(signal.SIGUSR2, fail)
threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR2)).start()
timer = loop.call_later(10, print)
try:
    loop.run_forever()
except LookupError as exc:
    print("raised", exc)
timer.cancel()
loop.close()
""",
        "['LookupError']\nraised on purpose\n",
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


def test_loop_dropped_without_closing(loop_kind):
    survives(
        loop_kind,
        """
warnings.simplefilter("ignore")
async def main():
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    transport, protocol = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    loop.call_later(100, print)
    loop.create_task(asyncio.sleep(100))
    await asyncio.sleep(0.01)
    return server, transport
kept = run(main())
del loop, seen, run, told, turn
kept = None
gc.collect()
print("alive")
""",
        "alive\n",
        errors="",
    )


def test_interpreter_that_ends_with_everything_open(loop_kind):
    survives(
        loop_kind,
        """
warnings.simplefilter("ignore")
async def main():
    global kept
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    transport, protocol = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    loop.add_signal_handler(signal.SIGUSR1, print)
    kept = [server, transport, loop.create_task(asyncio.sleep(100)), loop.create_future(), loop.call_later(100, print)]
    loop.run_in_executor(None, int)
    await asyncio.sleep(0.01)
run(main())
print("end")
""",
        "end\n",
        errors="",
    )


def test_threads_that_outlive_the_loop(loop_kind):
    survives(
        loop_kind,
        """
stop = threading.Event()
errors = []
def call():
    while not stop.is_set():
        try:
            loop.call_soon_threadsafe(int)
        except RuntimeError as exc:
            errors.append(str(exc))
            return
threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
run(asyncio.sleep(0.02))
loop.close()
for thread in threads:
    thread.join()
print(set(errors))
""",
        "{'Event loop is closed'}\n",
    )


def test_daemon_thread_that_calls_while_the_interpreter_ends(loop_kind):
    survives(
        loop_kind,
        """
def call():
    while True:
        loop.call_soon_threadsafe(int)
threading.Thread(target=call, daemon=True).start()
run(asyncio.sleep(0.02))
print("end", flush=True)
""",
        "end\n",
        errors="",
    )


def test_loop_class_that_is_subclassed_badly(loop_kind):
    survives(
        loop_kind,
        """
class Mine(type(loop)):
    def call_exception_handler(self, context):
        raise LookupError("override")
    def get_debug(self):
        return False
mine = Mine()
mine.call_soon(fail)
try:
    mine.call_soon(mine.stop)
    mine.run_forever()
except LookupError as exc:
    print(exc)
mine.close()
loop.close()
""",
        "override\n",
    )
