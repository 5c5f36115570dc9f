"""asyncpg on PostgreSQL."""

import asyncio
import contextlib
import io
import ssl

import asyncpg
import pytest

from support import until

LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, OSError)


@pytest.fixture(params=["tcp", "tls"])
def settings(request, postgres, certificates):
    """PostgreSQL's TLS begins on a connection in use: asyncpg upgrades it by start_tls."""
    return {
        "host": postgres.host,
        "port": postgres.port,
        "user": "tideloop",
        "password": postgres.password,
        "database": "postgres",
        "ssl": certificates.client() if request.param == "tls" else False,
    }


@contextlib.asynccontextmanager
async def connected(settings, **more):
    connection = await asyncpg.connect(**(settings | more))
    try:
        yield connection
    finally:
        await connection.close()


def test_pool_serves_many_tasks_over_few_connections(run, settings):
    async def work(pool, number):
        async with pool.acquire() as connection, connection.transaction():
            return await connection.fetchval("SELECT $1::int * 2 FROM pg_sleep(0.002)", number)

    async def main():
        async with asyncpg.create_pool(**settings, min_size=2, max_size=8) as pool:
            got = await asyncio.gather(*(work(pool, number) for number in range(300)))
            assert got == [2 * number for number in range(300)]
            assert pool.get_size() <= 8

    run(main())


def test_prepared_statement_reads_rows_through_a_cursor(run, settings):
    async def main():
        async with connected(settings) as connection:
            query = "SELECT n, repeat('x', n % 700) AS text FROM generate_series(1, $1::int) AS n"
            statement = await connection.prepare(query)
            async with connection.transaction():
                rows = [row async for row in statement.cursor(20000, prefetch=500)]
            assert [row["n"] for row in rows] == list(range(1, 20001))
            assert all(len(row["text"]) == row["n"] % 700 for row in rows)
            # A megabyte in one value, there and back.
            blob = bytes(range(256)) * 4096
            assert await connection.fetchval("SELECT $1::bytea", blob) == blob

    run(main())


def test_copy_in_and_out_gives_back_the_rows(run, settings):
    async def main():
        async with connected(settings) as connection:
            await connection.execute("CREATE TEMPORARY TABLE copied (number int, text text)")
            records = [(number, f"row {number} " + "ä" * (number % 50)) for number in range(30000)]
            assert await connection.copy_records_to_table("copied", records=records) == "COPY 30000"
            out = io.BytesIO()
            await connection.copy_from_query("SELECT * FROM copied ORDER BY number", output=out, format="csv")
            lines = out.getvalue().decode().splitlines()
            assert lines == [f"{number},{text}" for number, text in records]

            async def chunks():
                for number in range(1000):
                    yield f"{number}\tfrom a generator\n".encode()

            await connection.execute("TRUNCATE copied")
            assert await connection.copy_to_table("copied", source=chunks()) == "COPY 1000"
            assert await connection.fetchval("SELECT sum(number) FROM copied") == 499500

    run(main())


def test_cancelled_query_leaves_the_connection_usable(run, settings):
    async def main():
        async with connected(settings) as connection, connected(settings) as observer:
            pid = connection.get_server_pid()
            active = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1"

            async def slow():
                await connection.execute("SELECT pg_sleep(60)")

            task = asyncio.create_task(slow())
            while not await observer.fetchval(active, pid):
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await connection.fetchval("SELECT 7") == 7
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute("SELECT pg_sleep(60)", timeout=0.1)
            assert await connection.fetchval("SELECT 8") == 8

    run(main())


def test_notifications_arrive_in_order(run, settings):
    async def main():
        async with connected(settings) as listener, connected(settings) as speaker:
            heard = []

            def hear(_connection, pid, channel, text):
                heard.append((pid, channel, text))

            await listener.add_listener("tide", hear)
            for number in range(200):
                await speaker.execute(f"NOTIFY tide, '{number}'")
            await until(lambda: len(heard) == 200)
            assert heard == [(speaker.get_server_pid(), "tide", str(number)) for number in range(200)]
            await listener.remove_listener("tide", hear)

    run(main())


def test_the_connection_is_what_was_asked_for(run, settings):
    async def main():
        async with connected(settings) as connection:
            secure = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert secure == bool(settings["ssl"])
            rows = await connection.fetch("SELECT n FROM generate_series(1, 50000) AS n")
            assert sum(row["n"] for row in rows) == 50000 * 50001 // 2

    run(main())


@pytest.mark.parametrize("settings", ["tls"], indirect=True)
def test_tls_with_a_stranger_is_refused(run, settings):
    async def main():
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(**settings | {"ssl": ssl.create_default_context()})

    run(main())


@pytest.mark.parametrize("settings", ["tcp"], indirect=True)
def test_unix_socket_is_as_good_as_tcp(run, settings, postgres):
    async def main():
        async with connected(settings, host=str(postgres.folder)) as connection:
            assert await connection.fetchval("SELECT inet_server_addr() IS NULL")
            rows = await connection.fetch("SELECT n FROM generate_series(1, 1000) AS n")
            assert [row["n"] for row in rows] == list(range(1, 1001))

    run(main())


def test_terminated_backend_fails_its_query_and_the_pool_goes_on(run, settings):
    async def main():
        async with connected(settings) as killer:
            async with asyncpg.create_pool(**settings, min_size=1, max_size=1) as pool:
                async with pool.acquire() as connection:
                    pid = connection.get_server_pid()
                    query = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
                    while not await killer.fetchval("SELECT pg_terminate_backend($1)", pid):
                        await asyncio.sleep(0.005)
                    with pytest.raises(LOST):
                        await query
                assert await pool.fetchval("SELECT 1") == 1

    run(main())


def test_restarted_server_is_reached_again(run, settings, postgres):
    async def main():
        async with asyncpg.create_pool(**settings, min_size=4, max_size=4) as pool:

            async def wait_long():
                async with pool.acquire() as connection:
                    await connection.execute("SELECT pg_sleep(60)")

            tasks = [asyncio.create_task(wait_long()) for _ in range(4)]
            async with connected(settings) as observer:
                sleeping = "SELECT count(*) = 4 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
                while not await observer.fetchval(sleeping):
                    await asyncio.sleep(0.005)
            await asyncio.to_thread(postgres.restart)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, LOST) for outcome in outcomes), outcomes
            got = await asyncio.gather(*(pool.fetchval("SELECT $1::int", number) for number in range(20)))
            assert got == list(range(20))

    run(main())
