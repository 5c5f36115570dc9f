"""Nothing that a program does aborts the interpreter: each fault in a process of its own.

The program must end with the status that it chose, and say what asyncio says in its place.
"""

import pytest
from misbehave import survives

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


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


def test_signal_handler_that_raises(loop_kind):
    survives(
        loop_kind,
        """
loop.add_signal_handler(signal.SIGUSR1, fail)
os.kill(os.getpid(), signal.SIGUSR1)
run(asyncio.sleep(0.01))
print(told())
loop.remove_signal_handler(signal.SIGUSR1)
handled = threading.Event()
def fail_once(*args):
    if not handled.is_set():
        handled.set()
        fail()
# Again, should it come between asyncio's last look at signals and its system call.
def knock():
    while not handled.wait(0.2):
        os.kill(os.getpid(), signal.SIGUSR2)
timer = loop.call_later(20, print)
loop.call_soon(signal.signal, signal.SIGUSR2, fail_once)
knocking = threading.Thread(target=knock)
loop.call_soon(knocking.start)
try:
    loop.run_forever()
except LookupError as exc:
    print("raised", exc)
knocking.join()
timer.cancel()
loop.close()
""",
        "['LookupError']\nraised on purpose\n",
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


def test_interpreter_that_ends_while_a_loop_has_transports_of_its_own(loop_kind):
    """Nobody else holds them: they die when nothing can be imported any more."""
    survives(
        loop_kind,
        """
class Idle(asyncio.Protocol):
    reached = None
    def connection_made(self, transport):
        self.transport = transport
def begin():
    mine = type(loop)()
    async def main():
        server = await mine.create_server(Idle, "127.0.0.1", 0)
        Idle.reached = mine.create_future()
        for _ in range(3):
            await mine.create_connection(Idle, *server.sockets[0].getsockname())
        await asyncio.sleep(0.01)
    mine.run_until_complete(main())
begin()
loop.close()
print("end")
""",
        "end\n",
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
