"""grpc.aio, in processes of its own: its core keeps threads for as long as its process lives.

Its C++ core has a poller of its own and wakes the loop through a socket that the loop watches.
"""

from support import program_output

HEAD = """
import grpc, grpc.aio

class Service(grpc.GenericRpcHandler):
    '''Bytes in, bytes out: no message needs a compiler.'''
    def __init__(self):
        self.seen = []
    def service(self, details):
        one, name = grpc.unary_unary_rpc_method_handler, details.method.rpartition("/")[2]
        kinds = {
            "reverse": grpc.unary_unary_rpc_method_handler(self.reverse),
            "count": grpc.unary_stream_rpc_method_handler(self.count),
            "total": grpc.stream_unary_rpc_method_handler(self.total),
            "echo": grpc.stream_stream_rpc_method_handler(self.echo),
            "wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "fail": grpc.unary_unary_rpc_method_handler(self.fail),
        }
        return kinds.get(name)
    async def reverse(self, request, context):
        await asyncio.sleep(0)
        return request[::-1]
    async def count(self, request, context):
        for number in range(int(request)):
            yield str(number).encode()
    async def total(self, requests, context):
        return str(sum([int(request) async for request in requests])).encode()
    async def echo(self, requests, context):
        async for request in requests:
            yield request
    async def wait(self, request, context):
        self.seen.append("waiting")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
    async def fail(self, request, context):
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "on purpose")

async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)

async def start(address="127.0.0.1:0", credentials=None):
    service, server = Service(), grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    return service, server, port
"""
RUN = """
loop = new_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(asyncio.wait_for(main(), 40))
loop.close()
"""


def output(kind, source):
    return program_output(kind, HEAD + source + RUN, env={"GRPC_VERBOSITY": "NONE"}, flags=("-W", "ignore"))


def test_every_kind_of_call_many_at_once(loop_kind):
    source = """
async def main():
    service, server, port = await start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reverse = channel.unary_unary("/tide/reverse")
        got = await asyncio.gather(*(reverse(f"{n:05}".encode()) for n in range(300)))
        assert got == [f"{n:05}"[::-1].encode() for n in range(300)]
        assert await reverse(b"ab" * 1_000_000) == b"ba" * 1_000_000
        assert [int(m) async for m in channel.unary_stream("/tide/count")(b"500")] == list(range(500))
        async def numbers():
            for n in range(500):
                yield str(n).encode()
        assert await channel.stream_unary("/tide/total")(numbers()) == b"124750"
        call = channel.stream_stream("/tide/echo")()
        for n in range(200):
            await call.write(str(n).encode())
            assert await call.read() == str(n).encode()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        try:
            await channel.unary_unary("/tide/fail")(b"")
        except grpc.aio.AioRpcError as exc:
            print(exc.code().name, exc.details())
    await server.stop(None)
"""
    assert output(loop_kind, source) == "FAILED_PRECONDITION on purpose\n"


def test_cancelled_and_late_calls_reach_the_server(loop_kind):
    source = """
async def main():
    service, server, port = await start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        wait = channel.unary_unary("/tide/wait")
        async def one():
            await wait(b"")
        task = asyncio.create_task(one())
        await until(lambda: service.seen == ["waiting"])
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
        await until(lambda: service.seen == ["waiting", "cancelled"])
        try:
            await wait(b"", timeout=0.1)
        except grpc.aio.AioRpcError as exc:
            print(exc.code().name)
        assert await channel.unary_unary("/tide/reverse")(b"ab") == b"ba"
    await server.stop(None)
"""
    assert output(loop_kind, source) == "cancelled\nDEADLINE_EXCEEDED\n"


def test_restarted_server_is_reached_again(loop_kind):
    source = """
async def main():
    service, server, port = await start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/tide/wait")(b"")
        await until(lambda: service.seen == ["waiting"])
        await server.stop(None)
        try:
            await call
        except grpc.aio.AioRpcError as exc:
            print(exc.code().name)
        service, server, again = await start(f"127.0.0.1:{port}")
        assert again == port
        reply = await channel.unary_unary("/tide/reverse")(b"ab", wait_for_ready=True, timeout=20)
        print(reply.decode())
    await server.stop(None)
"""
    status, reply = output(loop_kind, source).split()
    assert status in ("UNAVAILABLE", "CANCELLED") and reply == "ba"


def test_tls_and_a_unix_socket(loop_kind, certificates, tmp_path):
    source = f"""
def text(path):
    with open(path, "rb") as file:
        return file.read()

async def main():
    pair = text({str(certificates.key_file)!r}), text({str(certificates.chain_file)!r})
    service, server, port = await start(credentials=grpc.ssl_server_credentials([pair]))
    trust = grpc.ssl_channel_credentials(text({str(certificates.authority_file)!r}))
    async with grpc.aio.secure_channel(f"127.0.0.1:{{port}}", trust) as channel:
        got = await asyncio.gather(*(channel.unary_unary("/tide/reverse")(b"ab") for n in range(50)))
        assert set(got) == {{b"ba"}}
    await server.stop(None)
    address = "unix:{tmp_path / "socket"}"
    service, server, port = await start(address)
    async with grpc.aio.insecure_channel(address) as channel:
        print((await channel.unary_unary("/tide/reverse")(b"ab")).decode())
    await server.stop(None)
"""
    assert output(loop_kind, source) == "ba\n"
