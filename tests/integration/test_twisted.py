"""Twisted's asyncio reactor on our loop, each in a process of its own: a process has one reactor."""

from support import program_output

HEAD = """
import asyncio, sys
from twisted.internet import asyncioreactor
loop = new_loop()
asyncioreactor.install(loop)
from twisted.internet import defer, endpoints, error, protocol, reactor, threads, utils
from twisted.internet.task import LoopingCall, deferLater

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)
        if data.endswith(b"cut"):
            self.transport.abortConnection()

class Collect(protocol.Protocol):
    def __init__(self, wanted=0):
        self.data, self.wanted = b"", wanted
        self.full, self.lost = defer.Deferred(), defer.Deferred()
    def dataReceived(self, data):
        self.data += data
        if not self.full.called and len(self.data) >= self.wanted:
            self.full.callback(self.data)
    def connectionLost(self, reason):
        self.lost.callback(reason.type)

failed = []
def run(function):
    def start():
        d = defer.ensureDeferred(function())
        d.addErrback(lambda failure: failed.append(failure.getTraceback()))
        d.addBoth(lambda _: reactor.stop())
    reactor.callWhenRunning(start)
    reactor.run()
    assert reactor._asyncioEventloop is loop
    sys.exit("".join(failed) or 0)

async def exchange(server, client):
    factory = protocol.Factory.forProtocol(Echo)
    port = await server.listen(factory)
    blob = bytes(range(256)) * 4000
    where = client(port.getHost())
    one = await endpoints.connectProtocol(where, Collect(len(blob)))
    one.transport.write(blob)
    assert await one.full == blob
    one.transport.loseConnection()
    assert await one.lost is error.ConnectionDone
    cut = await endpoints.connectProtocol(where, Collect(1))
    cut.transport.write(b"cut")
    assert await cut.lost in (error.ConnectionLost, error.ConnectionDone)
    await defer.maybeDeferred(port.stopListening)
    try:
        await endpoints.connectProtocol(where, Collect())
    except error.ConnectError:
        return
    raise AssertionError("connected to nobody")
"""


def output(kind, source):
    return program_output(kind, HEAD + source, flags=("-W", "ignore"))


def test_tcp_echo_lost_connections_and_a_refused_one(loop_kind):
    source = """
async def main():
    await exchange(endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
                   lambda host: endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", host.port))
    print("echoed")
run(main)
"""
    assert output(loop_kind, source) == "echoed\n"


def test_unix_socket_echo(loop_kind, tmp_path):
    source = f"""
async def main():
    path = {str(tmp_path / "socket")!r}
    await exchange(endpoints.UNIXServerEndpoint(reactor, path),
                   lambda host: endpoints.UNIXClientEndpoint(reactor, path))
    print("echoed")
run(main)
"""
    assert output(loop_kind, source) == "echoed\n"


def test_timers_threads_datagrams_and_processes(loop_kind):
    source = """
class Datagrams(protocol.DatagramProtocol):
    def __init__(self):
        self.got = defer.Deferred()
    def datagramReceived(self, data, address):
        if data == b"ping":
            self.transport.write(b"pong", address)
        else:
            self.got.callback(data)

async def main():
    assert await deferLater(reactor, 0.01, lambda: 5) == 5
    count = []
    ticking = LoopingCall(lambda: count.append(1) or (len(count) == 5 and ticking.stop()))
    await ticking.start(0.005)
    assert len(count) == 5
    assert await threads.deferToThread(sum, [1, 2, 3]) == 6
    late = reactor.callLater(60, print, "never")
    late.cancel()
    server, client = Datagrams(), Datagrams()
    port, other = (reactor.listenUDP(0, each, interface="127.0.0.1") for each in (server, client))
    client.transport.write(b"ping", ("127.0.0.1", port.getHost().port))
    assert await client.got == b"pong"
    await port.stopListening()
    await other.stopListening()
    out, err, code = await utils.getProcessOutputAndValue(sys.executable, ["-c", "print(7); exit(3)"])
    assert (out, code) == (b"7\\n", 3), (out, err, code)
    # One that ends after its pipes: SIGCHLD alone tells.
    program = "import os, time; [os.close(fd) for fd in range(3)]; time.sleep(0.2); os._exit(4)"
    assert (await utils.getProcessOutputAndValue(sys.executable, ["-c", program]))[2] == 4
    print("done")
run(main)
"""
    assert output(loop_kind, source) == "done\n"


def test_coroutines_of_asyncio_and_deferreds_wait_for_each_other(loop_kind):
    source = """
async def plain(number):
    await asyncio.sleep(0.01)
    return number

async def echo_once(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def with_streams():
    server = await asyncio.start_server(echo_once, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\\n")
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        return got

async def main():
    got = await defer.gatherResults([defer.Deferred.fromFuture(loop.create_task(plain(n))) for n in range(20)])
    assert got == list(range(20))
    assert await defer.Deferred.fromFuture(loop.create_task(with_streams())) == b"line\\n"
    async def other_way():
        return await deferLater(reactor, 0.01, lambda: "fired").asFuture(loop)
    assert await defer.Deferred.fromFuture(loop.create_task(other_way())) == "fired"
    cancelled = defer.Deferred.fromFuture(loop.create_task(asyncio.sleep(60)))
    cancelled.cancel()
    try:
        await cancelled
    except (asyncio.CancelledError, defer.CancelledError):
        print("done")
run(main)
"""
    assert output(loop_kind, source) == "done\n"
