"""Each example does what its first line says, on stock asyncio and, started by `python -m tideloop`, on Tideloop."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import importlib.util
import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from programs import EXAMPLES, WAIT_S, Start

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")
LINES_MAX = 80
#: One page of the crawler's site never answers; all others do, on a busy machine too.
PAGE_S = "2"


def dropped(connection: socket.socket) -> bool:
    """Whether the other side ends the connection without another word: by FIN, or RST if it left something unread."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_every_example_is_a_short_plain_asyncio_program() -> None:
    examples = sorted(EXAMPLES.glob("*.py"))
    assert len(examples) >= 10
    for example in examples:
        source = example.read_text()
        assert len(source.splitlines()) < LINES_MAX, example.name
        assert "import tideloop" not in source, example.name


# --- the aiohttp application ------------------------------------------------------------------------------------------


def fetch(url: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, body, timeout=WAIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_aiohttp_application_answers_and_echoes(start: Start) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="the example is an aiohttp application")
    app = start("aiohttp_app.py", "--port", "0")
    url = app.line().removeprefix("listening on ")
    assert fetch(url + "/") == (200, "Hello, world!\n")
    status, text = fetch(url + "/greet/Ada")
    assert (status, json.loads(text)) == (200, {"hello": "Ada"})
    status, text = fetch(url + "/total", b"[1, 2, 3.5]")
    assert (status, json.loads(text)) == (200, {"count": 3, "sum": 6.5})
    assert fetch(url + "/total", b'"no list"')[0] == 400
    assert fetch(url + "/nowhere")[0] == 404
    status, text = fetch(url + "/squares")
    assert (status, json.loads(text)) == (200, [number * number for number in range(10)])

    async def talk() -> list[object]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url + "/echo") as ws:
            await ws.send_str("hello")
            await ws.send_bytes(b"\x00\xff" * 50_000)
            return [await ws.receive_str(timeout=WAIT_S), await ws.receive_bytes(timeout=WAIT_S)]

    assert asyncio.run(talk()) == ["hello", b"\x00\xff" * 50_000]
    assert app.end(signal.SIGTERM) == ""


# --- chat ----------------------------------------------------------------------------------------------------------


def test_chat_passes_every_line_to_every_guest(start: Start) -> None:
    server = start("chat_server.py", "--port", "0")
    port = server.port()
    ada = start("chat_client.py", "Ada", "--port", port)
    assert ada.line() == "* Ada joined, 1 here"
    bob = start("chat_client.py", "Bob", "--port", port)
    assert [ada.line(), bob.line()] == ["* Bob joined, 2 here"] * 2
    ada.type("good morning\nand wel")
    assert [ada.line(), bob.line()] == ["Ada: good morning"] * 2
    ada.type("come\n")
    assert [ada.line(), bob.line()] == ["Ada: and welcome"] * 2
    assert ada.end() == ""
    assert bob.line() == "* Ada left, 1 here"
    assert server.end(signal.SIGINT) == "closed\n"
    assert bob.end() == ""


def test_chat_drops_a_guest_whose_line_never_ends(start: Start) -> None:
    server = start("chat_server.py", "--port", "0")
    with socket.create_connection(("127.0.0.1", server.port()), WAIT_S) as guest:
        guest.sendall(b"Eve\n")
        assert guest.recv(100) == b"* Eve joined, 1 here\n"
        guest.sendall(b"x" * 2000)
        assert dropped(guest)
    assert server.end(signal.SIGTERM) == "closed\n"


# --- the crawler -----------------------------------------------------------------------------------------------------


def test_crawler_fetches_every_page_once_and_writes_them_down(start: Start, tmp_path: Path) -> None:
    output = tmp_path / "pages.csv"
    crawler = start("crawler.py", "--output", output, "--timeout", PAGE_S)
    assert crawler.end().splitlines() == [f"200 pages, 5 errors, written to {output}", "visits per page, at most: 1"]
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    status = {int(row["url"].rpartition("/")[2]): row["status"] for row in rows}
    assert sorted(status) == list(range(1, 201))
    assert {page: word for page, word in status.items() if word != "200"} == {
        **dict.fromkeys((37, 74, 111, 148), "500"),
        160: "TimeoutError",
    }
    assert all(int(row["characters"]) > 50 for row in rows if row["status"] == "200")


def test_crawler_and_site_run_as_two_programs(start: Start, tmp_path: Path) -> None:
    site = start("crawl_site.py", "--port", "0")
    url = site.line().removeprefix("start at ")
    output = tmp_path / "pages.csv"
    crawler = start("crawler.py", "--url", url, "--output", output, "--timeout", PAGE_S)
    assert crawler.end() == f"200 pages, 5 errors, written to {output}\n"


# --- the pipeline ----------------------------------------------------------------------------------------------------


def expected_counts(texts: int) -> list[str]:
    """What the pipeline prints, worked out one text after the other."""
    spec = importlib.util.spec_from_file_location("pipeline", EXAMPLES / "pipeline.py")
    assert spec is not None and spec.loader is not None
    pipeline = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pipeline)
    words = [word for number in range(texts) for word in pipeline.make_text(number).split()]
    return [f"{texts} texts, {len(words)} words", *(f"{words.count(word):6} {word}" for word in sorted(set(words)))]


@pytest.mark.parametrize(("texts", "producers", "consumers"), [(100, 2, 4), (100, 7, 1), (3, 1, 8)])
def test_pipeline_gives_the_sequential_result(start: Start, texts: int, producers: int, consumers: int) -> None:
    program = start("pipeline.py", "--texts", texts, "--producers", producers, "--consumers", consumers)
    assert program.end().splitlines() == expected_counts(texts)


# --- the philosophers ------------------------------------------------------------------------------------------------


def test_philosophers_in_threads_and_tasks_all_eat(start: Start) -> None:
    assert start("philosophers.py").end() == "10000 meals, and no fork is taken: True\n"


def test_philosophers_who_would_starve_are_named_and_one_gives_up(start: Start) -> None:
    kinds = {"Hypatia": "task", "Kant": "task"}
    names = ("Aristotle", "Hypatia", "Kant", "Simone", "Zhuangzi")
    assert start("starving_philosophers.py").end().splitlines() == [
        *[f"{name}, a {kinds.get(name, 'thread')}, holds 1 fork and waits for another" for name in names],
        "one gives up, and its neighbour eats",
        "4 of 5 have eaten",
    ]


# --- priority jobs ---------------------------------------------------------------------------------------------------


def test_priority_jobs_are_all_done_in_both_directions(start: Start) -> None:
    assert start("priority_jobs.py").end().splitlines() == [
        "tasks have done 24 jobs that two threads ordered, 24 different ones",
        "threads have done 12 jobs that a task ordered; among the first three: ['job 10', 'job 11', 'job 9']",
    ]


# --- clean shutdown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_finishes_the_upload_in_flight_and_takes_no_other(start: Start, number: signal.Signals) -> None:
    server = start("clean_shutdown.py", "--port", "0")
    address = ("127.0.0.1", server.port())
    with socket.create_connection(address, WAIT_S) as upload:
        upload.sendall(b"first half, ")
        assert server.line() == "upload started, 1 in flight"
        server.process.send_signal(number)
        assert server.line() == f"{number.name}: 1 uploads to finish"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, WAIT_S)
        upload.sendall(b"second half")
        upload.shutdown(socket.SHUT_WR)
        assert upload.recv(100).decode().strip() == hashlib.sha256(b"first half, second half").hexdigest()
    assert server.end() == "bye: 1 finished, 0 cut off\n"


def test_shutdown_cuts_off_at_the_second_signal(start: Start) -> None:
    server = start("clean_shutdown.py", "--port", "0")
    with socket.create_connection(("127.0.0.1", server.port()), WAIT_S) as upload:
        assert server.line() == "upload started, 1 in flight"
        server.process.send_signal(signal.SIGTERM)
        assert server.line() == "SIGTERM: 1 uploads to finish"
        assert server.end(signal.SIGTERM, status=1) == "bye: 0 finished, 1 cut off\n"
        assert dropped(upload)


def test_shutdown_of_an_idle_server_is_immediate(start: Start) -> None:
    server = start("clean_shutdown.py", "--port", "0")
    server.port()
    assert server.end(signal.SIGTERM) == "SIGTERM: 0 uploads to finish\nbye: 0 finished, 0 cut off\n"


# --- the calculator --------------------------------------------------------------------------------------------------


async def calculate(port: int, number: int) -> list[str]:
    """One of a hundred clients: every third has the same mode."""
    mode = ("sum", "product", "mean")[number % 3]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for line in (mode, f"{number} 2 3", "nonsense", "", f"{number}"):
        writer.write(f"{line}\n".encode() if line else b"quit\n")
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    return answers


def test_calculator_keeps_a_mode_for_each_of_a_hundred_clients(start: Start) -> None:
    server = start("calculator_server.py", "--port", "0")
    port = int(server.port())

    async def everybody() -> list[list[str]]:
        return await asyncio.gather(*(calculate(port, number) for number in range(1, 101)))

    for number, answers in enumerate(asyncio.run(everybody()), 1):
        mode = ("sum", "product", "mean")[number % 3]
        value = {"sum": number + 5, "product": number * 6, "mean": (number + 5) / 3}[mode]
        error = "error: 'nonsense' is neither a mode nor numbers"
        assert answers == [f"mode {mode}", f"{value:g}", error, "", ""]
    assert server.end(signal.SIGTERM) == "closed\n"


def test_calculator_ends_while_somebody_is_connected(start: Start) -> None:
    server = start("calculator_server.py", "--port", "0")
    with socket.create_connection(("127.0.0.1", server.port()), WAIT_S) as client:
        client.sendall(b"1 2 3\n")
        assert client.recv(100) == b"6\n"
        assert server.end(signal.SIGINT) == "closed\n"
        assert dropped(client)


# --- the reactor -----------------------------------------------------------------------------------------------------


def test_reactor_keeps_a_total_for_each_of_two_clients(start: Start) -> None:
    reactor = start("reactor.py", "--port", "0")
    address = ("127.0.0.1", reactor.port())
    with socket.create_connection(address, WAIT_S) as one, socket.create_connection(address, WAIT_S) as two:
        one.sendall(b"1\n")
        assert one.recv(100) == b"1\n"
        two.sendall(b"100\n20")
        assert two.recv(100) == b"100\n"
        one.sendall(b"2\n3\n")
        received = b""
        while received.count(b"\n") < 2:
            received += one.recv(100)
        assert received == b"3\n6\n"
        two.sendall(b"\n")
        assert two.recv(100) == b"120\n"
        one.close()
        assert reactor.line() == "client 1: 6"
    assert reactor.end() == "client 2: 120\n"


# --- downloads -------------------------------------------------------------------------------------------------------


def test_downloads_take_about_as_long_as_the_slowest(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the example is an aiohttp client and server")
    slowest = 1.0
    downloads = start("downloads.py", "--folder", tmp_path, "--slowest", slowest)
    words = downloads.end().split()
    assert words[:5] == ["5", "of", "5", "files", "are"]
    assert slowest <= float(words[6]) < 3 * slowest  # one after the other they would take 3 times as long
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == [300_000 + number for number in range(1, 6)]


# --- the visited-set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 16])
def test_threads_and_tasks_fetch_each_page_once(start: Start, workers: int) -> None:
    printed = start("visited_set.py", workers).end().splitlines()
    assert printed == [f"{kind}: 301 pages, each fetched 1 time" for kind in ("threads", "tasks", "threads and tasks")]


# --- channels ---------------------------------------------------------------------------------------------------------


def test_every_subscriber_gets_every_message_in_order(start: Start) -> None:
    assert start("pubsub.py", "--messages", "60", "--subscribers", "5").end().splitlines() == [
        "on_a_board: 5 of 5 subscribers got 60 messages",
        "by_broadcast: 5 of 5 subscribers got 60 messages",
    ]


def test_processes_of_a_pipeline_find_the_primes(start: Start) -> None:
    assert start("csp.py", "--numbers", "299").end().splitlines() == [
        "begin",
        f"{len(PRIMES)} primes, the last is 293",
        f"{299 - len(PRIMES)} other numbers have {FACTORS} prime factors",
        "end",
    ]


def factors(number: int) -> int:
    """How many prime factors a number has, by the definition."""
    smallest = next(divisor for divisor in range(2, number + 1) if number % divisor == 0)
    return 1 if smallest == number else 1 + factors(number // smallest)


PRIMES = [number for number in range(2, 301) if factors(number) == 1]
FACTORS = sum(factors(number) for number in range(2, 301) if factors(number) > 1)
