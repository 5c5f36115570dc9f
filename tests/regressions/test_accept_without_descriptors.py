"""Accepting while no descriptor is free: the server reports it, backs off, and goes on when there are some again.

zuvloop #78, #88, #89: it spun at full CPU or stopped accepting for ever.
"""

import pytest

from support import run_program

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

PROGRAM = """
import resource

seen = []
made = []

class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        made.append(transport)

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    server = await loop.create_server(Protocol, "127.0.0.1", 0, backlog=5)
    address = server.sockets[0].getsockname()
    clients = [socket.socket() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Not one more descriptor than there are now.
    taken = [os.dup(0) for _ in range(3)]
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    while True:
        try:
            taken.append(os.dup(0))
        except OSError:
            break
    for client in clients:
        client.setblocking(False)
        try:
            client.connect(address)
        except BlockingIOError:
            pass
    before = time.process_time()
    await asyncio.sleep(0.3)
    spent = time.process_time() - before
    print("reported", len(seen) >= 1, "and not in a spin", len(seen) <= 8 and spent < 0.25)
    print(seen[0]["message"], seen[0]["exception"].errno, type(seen[0]["socket"]).__name__)
    print("nothing accepted", len(made))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for fd in taken:
        os.close(fd)
    deadline = loop.time() + 10
    while len(made) < 3 and loop.time() < deadline:
        await asyncio.sleep(0.01)
    print("accepted", len(made))
    for transport in made:
        transport.abort()
    for client in clients:
        client.close()
    server.close()
    await server.wait_closed()
    seen.clear()

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


def test_server_backs_off_and_goes_on(loop_kind):
    done = run_program(loop_kind, PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "reported True and not in a spin True",
        "socket.accept() out of system resource 24 TransportSocket",
        "nothing accepted 0",
        "accepted 3",
    ], done.stderr
