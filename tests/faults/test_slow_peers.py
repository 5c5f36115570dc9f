"""Five hundred peers that read a byte now and then, or send what nobody reads: memory stays within the water marks."""

import pytest
from channels import CERTIFICATE

from support import program_output

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

#: Fewer on asyncio, which only has to show that what is asked for is right.
CONNECTIONS = {"asyncio": 100, "tideloop": 500}
ROUNDS = 10  # bytes that each peer reads: "a byte per second", without the seconds
CHUNK = 16 * 1024
HIGH = 32 * 1024
#: What a transport under TLS may hold of what TLS made, by asyncio's default.
INNER_HIGH = 64 * 1024
#: For what a connection costs anyway: objects, OpenSSL's state, the allocator's slack.
CONNECTION_SLACK = 24 * 1024

HEAD = f"""
import resource, ssl, subprocess
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
ROUNDS, CHUNK, HIGH = {ROUNDS}, {CHUNK}, {HIGH}
CERTIFICATE = {str(CERTIFICATE)!r}
def pss():
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)
class Peers:
    def __init__(self, source, port, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, str(port), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    async def say(self, word):
        # The peers answer when all of them have done it.
        self.process.stdin.write(word + b"\\n")
        self.process.stdin.flush()
        answer = await asyncio.get_running_loop().run_in_executor(None, self.process.stdout.readline)
        return answer.decode().strip()
    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
"""

READERS = """
import resource, socket, ssl, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
port, certificate, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=certificate) if certificate else None
kept, read = [], []
for line in sys.stdin:
    if line == "connect\\n":
        for _ in range(connections):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            kept.append(context.wrap_socket(sock, server_hostname="localhost") if context else sock)
        print("connected", flush=True)
    else:
        read.append({sock.recv(1) for sock in kept})
        print(*read[-1], flush=True)
"""

SLOW_READERS = (
    HEAD
    + f"READERS = {READERS!r}"
    + """
class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.paused, self.lost, self.pauses = transport, False, False, 0
        transport.set_write_buffer_limits(HIGH)
        made.append(self)
    def write(self):
        while not self.paused:
            self.transport.write(b"x" * CHUNK)
    def pause_writing(self):
        self.paused = True
        self.pauses += 1
    def resume_writing(self):
        self.paused = False
        self.write()
    def connection_lost(self, exc):
        self.lost = True

async def main():
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    server = await loop.create_server(Server, sock=listener, ssl=context, backlog=1000)
    peers = Peers(READERS, listener.getsockname()[1], CERTIFICATE if tls else "", str(CONNECTIONS))
    assert await peers.say(b"connect") == "connected"
    await until(lambda: len(made) == CONNECTIONS)
    before = pss()
    for protocol in made:
        protocol.write()
    sizes = []
    for _ in range(ROUNDS):
        assert await peers.say(b"read") == "b'x'"
        sizes.append(max(protocol.transport.get_write_buffer_size() for protocol in made))
    print("paused", all(protocol.paused for protocol in made))
    print("buffers within the marks", max(sizes) <= HIGH + CHUNK + 1024 or sizes)
    grown = (pss() - before) / CONNECTIONS
    print("memory within the marks", grown <= ALLOWED or grown)
    for protocol in made:
        protocol.transport.abort()
    await until(lambda: all(protocol.lost for protocol in made))
    print("left", sum(protocol.transport.get_write_buffer_size() for protocol in made))
    peers.end()
    server.close()
    await asyncio.sleep(0)
made = []
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_five_hundred_slow_readers_hold_no_more_than_the_water_marks(loop_kind, tls):
    """cpython #109534; uvloop #220, #201, #239, #37, #548: buffers grew, or were never given back."""
    allowed = HIGH + 2 * CHUNK + CONNECTION_SLACK + (INNER_HIGH + CHUNK if tls else 0)
    arguments = f"tls, ALLOWED, CONNECTIONS = {tls}, {allowed}, {CONNECTIONS[loop_kind]}\n"
    assert program_output(loop_kind, arguments + SLOW_READERS).splitlines() == [
        "paused True",
        "buffers within the marks True",
        "memory within the marks True",
        "left 0",
    ]


WRITERS = """
import socket, sys
port, connections = int(sys.argv[1]), int(sys.argv[2])
kept = []
for line in sys.stdin:
    if line == "connect\\n":
        kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for sock in kept:
            sock.setblocking(False)
        print("connected", flush=True)
    else:
        sent = 0
        for sock in kept:
            try:
                sent += sock.send(b"y" * 300_000)
            except BlockingIOError:
                pass
        print(sent, flush=True)
"""

FLOODS = (
    HEAD
    + f"WRITERS = {WRITERS!r}"
    + """
LIMIT = 16 * 1024
async def serve(reader, writer):
    served.append(reader)
    await over.wait()
    writer.transport.abort()

async def main():
    global over
    over = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=LIMIT)
    peers = Peers(WRITERS, server.sockets[0].getsockname()[1], "100")
    assert await peers.say(b"connect") == "connected"
    await until(lambda: len(served) == 100)
    before = pss()
    rounds = 0
    while int(await peers.say(b"send")):
        rounds += 1
    print("stopped the senders", rounds > 0)
    held = [len(reader._buffer) for reader in served]
    # One receive of at most 256 KiB may go above twice the limit.
    print("held by the limit", max(held) <= 2 * LIMIT + 256 * 1024)
    print("memory by the limit", (pss() - before) / 100 <= 2 * LIMIT + 2 * 256 * 1024)
    over.set()
    await asyncio.sleep(0.01)
    peers.end()
    server.close()
served = []
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
)


def test_peers_that_send_what_nobody_reads_are_stopped(loop_kind):
    assert program_output(loop_kind, FLOODS).splitlines() == [
        "stopped the senders True",
        "held by the limit True",
        "memory by the limit True",
    ]
