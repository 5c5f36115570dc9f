"""The laboratory's workloads on real libraries and real servers, each measured for a moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import WAIT_S
from websockets.asyncio.server import ServerConnection, serve

from tideloop._bench.services import background, http_responder, websocket_echo
from tideloop._bench.websocket_load import WebSocketLoad
from tideloop._bench.workload import WrongAnswer

# The processes of the laboratory choose their own loops.
pytestmark = pytest.mark.loop_kinds("tideloop")

NAMES = (
    "uvicorn_plaintext uvicorn_json httpx_client websockets_echo websockets_client asyncpg_select1 asyncpg_100_rows"
    " asyncpg_copy redis_get redis_pipeline_100"
).split()
QUICK = ["--peers", "asyncio", "--quick", "--budget", "0.1"]


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_to_a_real_library_is_right(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tideloop.cli", "bench", name, *QUICK, "--json", str(tmp_path / "figures")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "figures").read_text())["workloads"][name]
    assert result["missing"] is None
    assert set(result["peers"]) == {"asyncio", "tideloop", "tideloop+"}
    assert all(figures["verified"] > 0 < figures["cpu_ns"]["median"] for figures in result["peers"].values())


class TestWebSocketLoad:
    def test_each_message_that_comes_back_is_counted(self, tmp_path: Path) -> None:
        load = WebSocketLoad("m" * 70_000, connections=3)
        with websocket_echo.start(tmp_path) as address:
            load.connect(address)
            measured = load.run(0)
            load.close()
        assert measured.operations == measured.latencies.total == 3

    def test_another_message_is_a_wrong_answer(self) -> None:
        async def answer(connection: ServerConnection) -> None:
            async for message in connection:
                await connection.send(message.upper())

        load = WebSocketLoad("text", connections=1)
        with background.listening(lambda: serve(answer, "127.0.0.1", 0, compression=None)) as address:
            with pytest.raises(WrongAnswer, match="the reply is"):
                load.connect(address)
            load.close()

    def test_server_of_something_else_is_a_wrong_answer(self, tmp_path: Path) -> None:
        load = WebSocketLoad("text", connections=1)
        with http_responder.start(tmp_path) as address, pytest.raises(WrongAnswer, match="no WebSocket"):
            load.connect(address)
        load.close()
