"""Programs that misbehave on purpose, each in a process of its own."""

from support import run_program

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
