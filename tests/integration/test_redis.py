"""redis-py's asyncio client on Redis: it reads and writes through the stdlib's streams."""

import asyncio
import contextlib

import pytest
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff

from support import until

# Each connection over TLS loads the machine's certificates, in the loop's thread; a busy machine takes its time.
PATIENT = {"socket_connect_timeout": 40, "socket_timeout": 40}
LOST = (redis.ConnectionError, redis.TimeoutError)


def options(address, kind, certificates):
    """The arguments for each way to reach the server."""
    if kind == "unix":
        return {"unix_socket_path": str(address.folder / "socket")}
    if kind == "tls":
        secure = {"ssl": True, "ssl_ca_certs": str(certificates.authority_file), "ssl_check_hostname": True}
        return {"host": address.host, "port": address.tls_port, **secure}
    return {"host": address.host, "port": address.port}


@pytest.fixture(params=["tcp", "tls", "unix"])
def way(request, redis_server, certificates):
    return options(redis_server, request.param, certificates)


@pytest.fixture
def tcp(redis_server, certificates):
    return options(redis_server, "tcp", certificates)


@contextlib.asynccontextmanager
async def client(way, **more):
    """A client of an empty database that does not try again by itself."""
    made = redis.Redis(**{"retry": Retry(NoBackoff(), 0)} | PATIENT | way | more)
    try:
        await made.flushdb()
        yield made
    finally:
        await made.aclose()


def test_many_tasks_share_a_pool(run, way):
    async def main():
        gate = asyncio.Semaphore(8)
        async with client(way, max_connections=8) as one:

            async def work(number):
                async with gate:
                    await one.set(f"key {number}", number)
                    return await one.incr(f"key {number}")

            got = await asyncio.gather(*(work(number) for number in range(200)))
            assert got == [number + 1 for number in range(200)]

    run(main())


def test_pipelines_and_large_values(run, way):
    async def main():
        async with client(way) as one:
            async with one.pipeline(transaction=True) as pipe:
                for number in range(2000):
                    pipe.rpush("list", number)
                assert await pipe.execute() == list(range(1, 2001))
            assert await one.lrange("list", 0, -1) == [str(number).encode() for number in range(2000)]
            blob = bytes(range(256)) * 8192
            await one.set("blob", blob)
            assert await one.get("blob") == blob

    run(main())


def test_watch_makes_one_of_two_transactions_fail(run, tcp):
    async def main():
        async with client(tcp) as one, one.pipeline() as first:
            await first.watch("watched")
            await one.set("watched", 1)
            first.multi()
            first.set("watched", 2)
            with pytest.raises(redis.WatchError):
                await first.execute()
            assert await one.get("watched") == b"1"

    run(main())


def test_published_messages_reach_each_subscriber_in_order(run, way):
    async def listen(one, ready):
        heard = []
        async with one.pubsub() as channel:
            await channel.subscribe("tide")
            async for message in channel.listen():
                if message["type"] == "subscribe":
                    ready.release()
                    continue
                heard.append(int(message["data"]))
                if len(heard) == 500:
                    return heard

    async def main():
        async with client(way) as one:
            ready = asyncio.Semaphore(0)
            listeners = [asyncio.create_task(listen(one, ready)) for _ in range(5)]
            for _ in listeners:
                await ready.acquire()
            async with one.pipeline(transaction=False) as pipe:
                for number in range(500):
                    pipe.publish("tide", number)
                assert await pipe.execute() == [5] * 500
            assert await asyncio.gather(*listeners) == [list(range(500))] * 5

    run(main())


def test_blocking_pops_hand_each_item_to_one_worker(run, way):
    async def work(one):
        items = []
        while (item := (await one.blpop(["queue"], timeout=0))[1]) != b"stop":
            items.append(int(item))
        return items

    async def main():
        async with client(way) as one:
            workers = [asyncio.create_task(work(one)) for _ in range(8)]
            for number in range(400):
                await one.rpush("queue", number)
            await one.rpush("queue", *(["stop"] * 8))
            taken = await asyncio.gather(*workers)
            assert sorted(item for items in taken for item in items) == list(range(400))
            assert await one.blpop(["queue"], timeout=0.05) is None

    run(main())


def test_cancelled_blocking_pop_takes_nothing(run, tcp):
    async def main():
        async with client(tcp) as one:
            pop = asyncio.create_task(one.blpop(["queue"], timeout=0))
            while not any(each["cmd"] == "blpop" for each in await one.client_list()):
                await asyncio.sleep(0.005)
            pop.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pop
            while any(each["cmd"] == "blpop" for each in await one.client_list()):
                await asyncio.sleep(0.005)
            await one.rpush("queue", "kept")
            assert await one.lpop("queue") == b"kept"

    run(main())


def test_killed_connection_fails_what_waits_on_it_and_no_more(run, way):
    async def main():
        async with client(way) as one:
            pop = asyncio.create_task(one.blpop(["queue"], timeout=0))
            while not (waiting := [each for each in await one.client_list() if each["cmd"] == "blpop"]):
                await asyncio.sleep(0.005)
            assert await one.client_kill_filter(_id=waiting[0]["id"]) == 1
            with pytest.raises(LOST):
                await pop
            await one.set("after", "all is well")
            assert await one.get("after") == b"all is well"

    run(main())


def test_restarted_server_is_reached_again(run, way, redis_server):
    async def main():
        again = Retry(ConstantBackoff(0.02), 100)
        async with client(way) as one, client(way, retry=again) as patient:
            pop = asyncio.create_task(one.blpop(["queue"], timeout=0))
            subscription = patient.pubsub()
            await subscription.subscribe("tide")
            assert (await subscription.get_message(timeout=5))["type"] == "subscribe"
            while not any(each["cmd"] == "blpop" for each in await one.client_list()):
                await asyncio.sleep(0.005)
            await asyncio.to_thread(redis_server.restart)
            with pytest.raises(LOST):
                await pop
            # The client that is told to tries again by itself: its commands, and its subscription.
            assert await patient.set("after", "all is well")
            heard = []

            async def hear():
                async for message in subscription.listen():
                    if message["type"] == "message":
                        heard.append(message["data"])
                        return

            hearing = asyncio.create_task(hear())
            while not await patient.publish("tide", "again"):
                await asyncio.sleep(0.005)
            await until(lambda: heard == [b"again"])
            await hearing
            await subscription.aclose()

    run(main())
