"""Each benchmark runs and gives figures that can be true; small sizes, since nobody reads these results."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from programs import EXAMPLES, WAIT_S

BENCHES = EXAMPLES.parent / "benches"


def figures(loop_kind: str, name: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, str(BENCHES / name), loop_kind, "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, float] = json.loads(done.stdout)["loops"][loop_kind]
    return result


# So many connections that their memory is more than what a process's share of Python's own pages changes by when others
# start and end.
@pytest.mark.loop_kinds("asyncio", "tideloop")
class TestBenches:
    def test_memory(self, loop_kind: str) -> None:
        sizes = ("--connections", "100", "3100", "--tasks", "1000", "11000", "--repeat", "1")
        result = figures(loop_kind, "memory.py", *sizes)
        assert 100 < result["connection_bytes"][0] < 10_000  # type: ignore[index]
        assert 100 < result["task_bytes"][0] < 10_000  # type: ignore[index]

    @pytest.mark.skipif(not shutil.which("openssl"), reason="the benchmark makes its certificate with openssl")
    def test_tls(self, loop_kind: str) -> None:
        result = figures(loop_kind, "tls.py", "--mib", "2", "--connections", "25", "225", "--repeat", "1")
        assert 1000 < result["idle_bytes"][0] < 1_000_000  # type: ignore[index]
        assert 0 < result["send_s"][0] < WAIT_S  # type: ignore[index]
        assert 0 < result["receive_s"][0] < WAIT_S  # type: ignore[index]

    def test_timers(self, loop_kind: str) -> None:
        result = figures(loop_kind, "timers.py", "--longest", "0.01")
        assert result["early"] == 0
        assert 0 < result["short_us"] <= result["worst_us"]

    @pytest.mark.alone
    def test_gil(self, loop_kind: str) -> None:
        result = figures(loop_kind, "gil.py", "--seconds", "1")
        assert 0 < result["median_ms"] <= result["worst_ms"]
        assert result["turns_per_s"] > 1000

    def test_threadsafe(self, loop_kind: str) -> None:
        result = figures(loop_kind, "threadsafe.py", "--calls", "1000", "--wake-ups", "20")
        assert result["lost"] == 0
        assert 0 < result["median_us"] <= result["worst_us"]

    def test_sendfile(self, loop_kind: str) -> None:
        result = figures(loop_kind, "sendfile.py", "--mib", "4", "--rounds", "1")
        assert 0 < result["bare_ms"] < WAIT_S * 1e3
        assert 0 < result["loop_ms"] < WAIT_S * 1e3


def test_table_names_every_loop_measured() -> None:
    command = [sys.executable, str(BENCHES / "gil.py"), "asyncio", "(no loop)", "--seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["asyncio", "(no loop)"]
    assert "median, ms" in lines[1]


def test_threads_beside_the_stdlibs() -> None:
    command = [sys.executable, str(BENCHES / "threads.py"), "--rounds", "1", "--size", "50", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert list(results) == ["run_in_executor", "to_thread", "asyncio_to_thread", "burst", "submit"]
    for figures in results.values():
        assert len(figures["us"]) >= 2
        assert all(0 < us < 1e6 for us in figures["us"].values())
        assert all(0 < ratio < 1000 for ratio in figures["ratios"].values())


def test_clients_on_every_kind_of_names() -> None:
    loops = ["tideloop", "tideloop+"]
    options = ["--rounds", "1", "--operations", "100", "--loops", ",".join(loops), "--json"]
    command = [sys.executable, str(BENCHES / "clients.py"), "line", "lines", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert list(results) == ["line", "lines"]
    for work in results.values():
        assert list(work) == loops
        assert all(0 < seconds < WAIT_S for figures in work.values() for seconds in figures)


def test_locks_for_threads_and_tasks() -> None:
    command = [sys.executable, str(BENCHES / "locks.py"), "--rounds", "1", "--size", "1000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert list(results) == ["free", "awaited", "contended", "watched", "idle"]
    assert all(0 < value < 1e6 for work in results.values() for value in work.get("ns", {}).values())
    assert results["idle"]["ms"]["tideloop"] < 50


def test_queues_between_threads_and_tasks() -> None:
    command = [sys.executable, str(BENCHES / "queues_both.py"), "--rounds", "1", "--items", "500", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    # Whoever is not installed is left out, and said to be.
    assert (done.returncode, [line for line in done.stderr.splitlines() if "is left out" not in line]) == (0, [])
    results = json.loads(done.stdout)
    assert list(results) == ["thread to task", "task to thread", "ping-pong", "thread to thread"]
    assert all(0 < value < 1e9 for work in results.values() for value in work["ns"].values())
