"""psycopg's AsyncConnection, with libpq in C, and psycopg_pool: sockets are waited for by add_reader and add_writer."""

import asyncio
import contextlib
import logging

import psycopg
import pytest
from psycopg import pq
from psycopg_pool import AsyncConnectionPool

from support import until


@pytest.fixture
def settings(postgres):
    return {
        "host": postgres.host,
        "port": postgres.port,
        "user": "tideloop",
        "password": postgres.password,
        "dbname": "postgres",
        "sslmode": "disable",
    }


@contextlib.asynccontextmanager
async def connected(settings, **more):
    connection = await psycopg.AsyncConnection.connect(**settings | more, autocommit=True)
    try:
        yield connection
    finally:
        await connection.close()


async def value(connection, query, *arguments):
    """The only value of the only row."""
    cursor = await connection.execute(query, arguments)
    ((result,),) = await cursor.fetchall()
    return result


@contextlib.asynccontextmanager
async def pooled(settings, size):
    pool = AsyncConnectionPool(kwargs=settings, min_size=size, max_size=size, open=False)
    await pool.open(wait=True)
    try:
        yield pool
    finally:
        await pool.close()


def test_it_is_the_implementation_in_c():
    assert pq.__impl__ == "binary"


def test_pool_serves_many_tasks_over_few_connections(run, settings):
    async def work(pool, number):
        async with pool.connection() as connection, connection.transaction():
            return await value(connection, "SELECT %s::int * 2 FROM pg_sleep(0.002)", number)

    async def main():
        async with pooled(settings, 6) as pool:
            got = await asyncio.gather(*(work(pool, number) for number in range(200)))
            assert got == [2 * number for number in range(200)]

    run(main())


def test_copy_in_and_out_gives_back_the_rows(run, settings):
    async def main():
        async with connected(settings) as connection, connection.cursor() as cursor:
            await cursor.execute("CREATE TEMPORARY TABLE copied (number int, text text)")
            records = [(number, f"row {number} " + "ä" * (number % 50)) for number in range(20000)]
            async with cursor.copy("COPY copied FROM STDIN") as copy:
                for record in records:
                    await copy.write_row(record)
            async with cursor.copy("COPY (SELECT * FROM copied ORDER BY number) TO STDOUT") as copy:
                copy.set_types(["int4", "text"])
                assert [row async for row in copy.rows()] == records

    run(main())


def test_prepared_statements_pipelines_and_server_side_cursors(run, settings):
    async def main():
        async with connected(settings) as connection:
            async with connection.pipeline():
                cursors = [await connection.execute("SELECT %s::int", (n,), prepare=True) for n in range(300)]
                assert [(await cursor.fetchone())[0] for cursor in cursors] == list(range(300))
            assert await value(connection, "SELECT count(*) > 0 FROM pg_prepared_statements")
            async with connection.transaction(), connection.cursor(name="big") as cursor:
                await cursor.execute("SELECT n FROM generate_series(1, 20000) AS n")
                assert [row[0] async for row in cursor] == list(range(1, 20001))
            blob = bytes(range(256)) * 4096
            assert await value(connection, "SELECT %b::bytea", blob) == blob

    run(main())


def test_cancelled_query_leaves_the_connection_usable(run, settings):
    async def main():
        async with connected(settings) as connection, connected(settings) as observer:
            pid = connection.info.backend_pid
            task = asyncio.create_task(value(connection, "SELECT pg_sleep(60)"))
            while not await value(observer, "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s", pid):
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await value(connection, "SELECT 7") == 7
            task = asyncio.create_task(value(connection, "SELECT pg_sleep(60)"))
            while not await value(observer, "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s", pid):
                await asyncio.sleep(0.005)
            await connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                await task
            assert await value(connection, "SELECT 8") == 8

    run(main())


def test_notifications_arrive_in_order(run, settings):
    async def main():
        async with connected(settings) as listener, connected(settings) as speaker:
            await listener.execute("LISTEN tide")

            async def speak():
                for number in range(100):
                    await speaker.execute(f"NOTIFY tide, '{number}'")

            speaking = asyncio.create_task(speak())
            heard = [notify.payload async for notify in listener.notifies(stop_after=100)]
            await speaking
            assert heard[:100] == [str(number) for number in range(100)]

    run(main())


def test_tls_carries_the_same_work(run, settings, certificates):
    async def main():
        verified = {"sslmode": "verify-full", "sslrootcert": str(certificates.authority_file)}
        async with connected(settings, **verified) as connection:
            assert await value(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            blob = bytes(range(256)) * 8192
            assert await value(connection, "SELECT %b::bytea", blob) == blob

    run(main())


def test_unix_socket_is_as_good_as_tcp(run, settings, postgres):
    async def main():
        async with connected(settings, host=str(postgres.folder)) as connection:
            assert await value(connection, "SELECT inet_server_addr() IS NULL")

    run(main())


def test_terminated_backend_fails_its_query(run, settings):
    async def main():
        async with connected(settings) as killer, connected(settings) as connection:
            query = asyncio.create_task(value(connection, "SELECT pg_sleep(60)"))
            await until(lambda: connection.info.transaction_status == pq.TransactionStatus.ACTIVE)
            await value(killer, "SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
            with pytest.raises(psycopg.OperationalError):
                await query
            assert connection.closed

    run(main())


def test_restarted_server_is_reached_again(run, settings, postgres, caplog):
    caplog.set_level(logging.CRITICAL, "psycopg.pool")

    async def main():
        async with pooled(settings, 3) as pool:

            async def wait_long():
                async with pool.connection() as connection:
                    await value(connection, "SELECT pg_sleep(60)")

            tasks = [asyncio.create_task(wait_long()) for _ in range(3)]
            async with connected(settings) as observer:
                sleeping = "SELECT count(*) = 3 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
                while not await value(observer, sleeping):
                    await asyncio.sleep(0.005)
            await asyncio.to_thread(postgres.restart)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, psycopg.OperationalError) for outcome in outcomes), outcomes

            async def again(number):
                async with pool.connection() as connection:
                    return await value(connection, "SELECT %s::int", number)

            assert await asyncio.gather(*(again(number) for number in range(20))) == list(range(20))

    run(main())
