"""Cancelling one of two tasks that await each other went round in a circle until the stack was used up.

Each cancels what it waits for, which is the other one. With asyncio's that is a RecursionError.
"""

import pytest

from support import program_output

PROGRAM = """
async def body(tasks, other):
    await asyncio.sleep(0)
    await tasks[other]

async def main():
    tasks = []
    tasks.extend(asyncio.create_task(body(tasks, 1 - index)) for index in range(2))
    await asyncio.sleep(0.01)
    try:
        tasks[0].cancel()
    except RecursionError:
        print("recursion", flush=True)
    os._exit(0)

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


@pytest.mark.loop_kinds("asyncio", "tideloop")
def test_to_cancel_one_of_two_that_await_each_other_is_a_recursion_error(loop_kind):
    assert program_output(loop_kind, PROGRAM) == "recursion\n"
