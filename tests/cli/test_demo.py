"""The demo measures, prints and draws; its load notices a wrong answer."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import EXAMPLES, WAIT_S

ROOT = EXAMPLES.parent
LOAD = ROOT / "python" / "tideloop" / "_demo" / "load.py"
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@contextlib.contextmanager
def server(answers: list[bytes]) -> Iterator[str]:
    """Serve one connection after another: the n-th request gets the n-th answer, all later ones the last."""
    requests = 0

    def serve() -> None:
        nonlocal requests
        while True:
            connection, _ = listener.accept()
            # The load may leave with an answer unread, which resets the connection.
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(65536):
                    if data == b"end":
                        return
                    connection.sendall(answers[min(requests, len(answers) - 1)])
                    requests += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            with socket.create_connection(listener.getsockname()) as last:
                last.sendall(b"end")
                thread.join(WAIT_S)


def load(url: str, seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(LOAD), url, "--connections", "1", "--warm-up", "0.01"]
    command += ["--seconds", str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)


def test_load_counts_right_answers() -> None:
    with server([RIGHT]) as url:
        done = load(url, 1.0)  # enough for more than ten requests, although both sides may stand still for a while
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["requests"] > 10
    assert result["body_bytes"] == 5
    assert 0 < result["p50_ms"] <= result["p99_ms"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"HTTP/1.1 500 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\nhell",
    ],
)
def test_load_fails_on_a_wrong_answer(wrong: bytes) -> None:
    with server([RIGHT, RIGHT, RIGHT, wrong]) as url:
        done = load(url, 10.0)  # it ends at the wrong answer
    assert done.returncode == 1
    assert done.stderr.startswith("load: instead of")


def test_demo_measures_what_is_there_and_names_what_is_not(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the demo serves an aiohttp application")
    picture = tmp_path / "demo.png"
    command = [sys.executable, "-m", "tideloop._demo", "--seconds", "0.5", "--rounds", "1", "--connections", "4"]
    command += ["--route", "/", "--app", str(EXAMPLES / "aiohttp_app.py"), "--output", str(picture), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for peer in ("asyncio", "uvloop", "tideloop"):
        here = importlib.util.find_spec("tideloop._native" if peer == "tideloop" else peer) is not None
        assert (peer in report["peers"]) == here
        assert (peer in report["skipped"]) == (f"{peer} is left out" in done.stderr) == (not here)
        if here:
            result = report["routes"]["/"][peer]
            assert result["requests_per_s"] > 0
            assert result["server_cpu_us"] > 0
    if importlib.util.find_spec("matplotlib") is not None:
        assert picture.read_bytes().startswith(b"\x89PNG")
