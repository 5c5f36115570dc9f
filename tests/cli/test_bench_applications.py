"""The laboratory's applications and services: those that need nothing but what the tests have; small sizes.

Those on other libraries and real servers run in tests/integration/test_bench.py.
"""

from __future__ import annotations

import asyncio
import colorsys
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import WAIT_S

from tideloop._bench import peers, worker
from tideloop._bench.services import background, http_responder, postgres, programs, redis
from tideloop._bench.workload import Context, Requests, Started, WrongAnswer
from tideloop._bench.workloads.applications import aiohttp_client, dns, subprocess_storm
from tideloop._bench.workloads.starting import import_time, startup

Run = Callable[[Coroutine[Any, Any, Any]], Any]
# Small, so that nobody waits; nobody reads the figures either.
QUICK = ["--peers", "asyncio", "--quick", "--budget", "0.1"]
NAMES = "aiohttp_server aiohttp_client dns subprocess_storm startup import_time".split()


@pytest.mark.timeout(5 * WAIT_S)  # twelve seconds on a quiet machine
def test_applications_are_measured_on_asyncio_and_on_tideloop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tideloop.cli", "bench", *NAMES, *QUICK, "--json", str(tmp_path / "figures")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * WAIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads((tmp_path / "figures").read_text())["workloads"]
    assert list(measured) == NAMES
    for name, result in measured.items():
        expected = {"asyncio", "tideloop"} | ({"tideloop+"} if result["folder"] == "applications" else set())
        assert set(result["peers"]) == expected, name
        assert all(figures["verified"] > 0 < figures["cpu_ns"]["median"] for figures in result["peers"].values())


def test_wrong_exit_code_of_a_child_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(subprocess_storm.storm(asyncio, 3))
    monkeypatch.setattr(subprocess_storm, "COMMAND", "/bin/false")
    with pytest.raises(WrongAnswer, match=r"exit codes: \[1, 1, 1\]"):
        run(subprocess_storm.storm(asyncio, 3))


def test_wrong_address_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(dns.look_up(asyncio, dns.AT_ONCE))
    monkeypatch.setattr(dns, "expected", lambda port: [])
    with pytest.raises(WrongAnswer, match="localhost is"):
        run(dns.look_up(asyncio, dns.AT_ONCE))


class TestHttpResponder:
    async def requested(self, workload: Requests, address: tuple[str, int], folder: Path) -> None:
        async with workload.open(asyncio, Context("tideloop", folder, service=list(address))) as one:
            await one(0)
            await one(0)

    def test_its_answer_is_the_right_one(self, run: Run, tmp_path: Path) -> None:
        with http_responder.start(tmp_path) as address:
            run(self.requested(aiohttp_client.WORKLOAD, address, tmp_path))

    def test_another_answer_is_noticed(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_responder, "RESPONSE", http_responder.RESPONSE.replace(b"Hello", b"Hullo"))
        with http_responder.start(tmp_path) as address, pytest.raises(WrongAnswer, match="200 b'Hullo"):
            run(self.requested(aiohttp_client.WORKLOAD, address, tmp_path))

    def test_requests_may_arrive_in_pieces_and_together(self, run: Run, tmp_path: Path) -> None:
        async def pieces(address: tuple[str, int]) -> bytes:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET / HTTP/1.1\r\n\r")
            await asyncio.sleep(0)
            writer.write(b"\nGET / HTTP/1.1\r\n\r\n")
            got = await reader.readexactly(2 * len(http_responder.RESPONSE))
            writer.close()
            await writer.wait_closed()
            return got

        with http_responder.start(tmp_path) as address:
            assert run(pieces(address)) == 2 * http_responder.RESPONSE


def test_server_in_the_background_that_cannot_listen_says_why() -> None:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        raise OSError("no such address")
        yield

    with pytest.raises(OSError, match="no such address"), background.listening(opened):
        pass


class TestPrograms:
    class Short(programs.Program):
        def command(self) -> list[str]:
            return ["/bin/sh", "-c", "echo what went wrong; exit 1"]

        def answers(self) -> bool:
            return False

    def test_program_that_ends_at_once_is_reported_with_what_it_said(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="does not answer:\n(.|\n)*what went wrong"):
            with programs.running(self.Short, tmp_path, []):
                pass

    def test_program_in_a_folder_of_path_is_found_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "sh").write_text("#!/bin/sh\n")
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
        assert programs.find("sh") == Path("/bin/sh"), "the file cannot be executed"
        (tmp_path / "sh").chmod(0o755)
        assert programs.find("sh") == tmp_path / "sh"

    def test_what_a_program_says_of_its_version_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "server").write_text("#!/bin/sh\necho server 1.2\n")
        (tmp_path / "server").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
        assert programs.version("server") == "server 1.2"
        assert programs.version("false") is programs.version("no such server") is None

    def test_program_that_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(redis, "find", lambda program: None)
        monkeypatch.setattr(postgres, "find", lambda program: Path("/bin") if program == "initdb" else None)
        assert redis.SERVICE.missing() == "redis-server is not installed"
        assert postgres.SERVICE.missing() == "PostgreSQL's postgres not found"


class TestStarted:
    @pytest.mark.parametrize("command", [startup.command, import_time.command])
    def test_each_peer_that_is_here_starts_and_prints_nothing_whatever_lies_in_the_folder(
        self, command: Callable[[peers.Peer], list[str] | None], tmp_path: Path
    ) -> None:
        (tmp_path / "select.py").write_text("raise SystemExit('not the standard library')")
        started = []
        for peer in peers.all_peers().values():
            arguments = command(peer)
            if arguments is None or peers.why_missing(peer):
                continue
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), peer.name
            started.append(peer.name)
        assert {"asyncio", "tideloop"} <= set(started)

    def test_what_a_process_that_fails_said_is_in_the_message(self) -> None:
        command = [sys.executable, "-c", "import nothing_such"]
        with pytest.raises(ChildProcessError, match="exit status 1: ModuleNotFoundError: .* 'nothing_such'"):
            worker._start_once(command, dict(os.environ), "")

    def test_bytecode_is_there_before_anything_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        program = "import colorsys, os; print(os.path.exists(colorsys.__cached__), colorsys.__cached__)"
        compiled = tmp_path / "bytecode" / colorsys.__file__.lstrip("/")
        cached = compiled.with_name(f"colorsys.{sys.implementation.cache_tag}.pyc")
        workload = Started("", lambda peer: [sys.executable, "-c", program], output=f"True {cached}\n")
        said: list[dict[str, Any]] = []

        def commands() -> Iterator[dict[str, Any]]:
            assert cached.exists()
            yield {"calls": 1}

        context = Context("asyncio", tmp_path)
        worker._started(peers.find("asyncio"), workload, context, commands(), lambda **message: said.append(message))
        assert [message.get("operations") for message in said] == [None, 1]
