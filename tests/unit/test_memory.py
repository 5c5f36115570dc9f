"""What a parked task and an idle connection cost, as the slope of a process's own memory."""

import resource
import statistics

import pytest

from support import program_output

PARKED_TASK_SHARE_MAX = 0.75
#: 0.7 of uvloop's 1,290 bytes.
IDLE_CONNECTION_BYTES_MAX = 903
CONNECTIONS = (1_000, 6_000)

# Without the pages of files: what they count for as a share changes whenever another Python starts or ends.
OWN = """
def own():
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) * 1024
"""

TASKS = (
    OWN
    + """
async def parked(future):
    await future

async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    tasks = [loop.create_task(parked(loop.create_future())) for _ in range(5_000)]
    await asyncio.sleep(0)
    before = own()
    tasks += [loop.create_task(parked(loop.create_future())) for _ in range(40_000)]
    await asyncio.sleep(0)
    print((own() - before) / 40_000)
    os._exit(0)

sys.stdout.reconfigure(line_buffering=True)
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
)

SERVER = (
    OWN
    + """
import resource, subprocess

CLIENT = '''
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
port, kept = int(sys.argv[1]), []
for line in sys.stdin:
    while len(kept) < int(line):
        kept.append(socket.create_connection(("127.0.0.1", port)))
'''

class Idle(asyncio.Protocol):
    __slots__ = ()
    count = 0
    def connection_made(self, transport):
        Idle.count += 1

async def grown(client, count):
    client.stdin.write(f"{count}\\n")
    client.stdin.flush()
    while Idle.count < count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return own()

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Idle, "127.0.0.1", 0, backlog=1000)
    port = server.sockets[0].getsockname()[1]
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(port)], stdin=subprocess.PIPE, text=True)
    low, high = COUNTS
    before = await grown(client, low)
    after = await grown(client, high)
    client.kill()
    client.wait()
    print((after - before) / (high - low), flush=True)
    os._exit(0)

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
)


def median_of_three(kind, source):
    return statistics.median(float(program_output(kind, source)) for _ in range(3))


def test_task_parked_on_a_future_costs_at_most_three_quarters_of_asyncios(loop_kind):
    ours, stock = median_of_three(loop_kind, TASKS), median_of_three("asyncio", TASKS)
    assert ours <= PARKED_TASK_SHARE_MAX * stock, (ours, stock)


def test_idle_accepted_connection_costs_at_most_seven_tenths_of_uvloops(loop_kind):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS[1] + 100:
        pytest.skip(f"only {hard} descriptors are allowed here")
    cost = float(program_output(loop_kind, SERVER.replace("COUNTS", repr(CONNECTIONS))))
    assert cost <= IDLE_CONNECTION_BYTES_MAX, cost
