"""`tideloop bench` measures who is there, checks every answer, and says what went wrong; nobody reads the figures."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from programs import WAIT_S

pytest.importorskip("rich", reason="the laboratory's tables are made by rich")
if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory reads Linux's /proc", allow_module_level=True)

from tideloop._bench import catalogue, environment, measure, peers
from tideloop._bench.catalogue import Entry
from tideloop._bench.measure import Plan
from tideloop._bench.results import Result
from tideloop._bench.scaling import serial_share
from tideloop._bench.workload import Operations

BENCH = [sys.executable, "-m", "tideloop.cli", "bench"]
draws = pytest.mark.skipif(find_spec("matplotlib") is None, reason="the picture is drawn by matplotlib")
# The budget is for a machine that is busy: most end long before, as soon as there are three rounds.
SHORT = Plan(slice_s=0.01, rounds_min=3, narrow=1.0, budget_s=30.0)


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *map(str, arguments)], capture_output=True, text=True, timeout=WAIT_S)


def measured(name: str, *names: str, plan: Plan = SHORT, say: Callable[[str, float], None] | None = None) -> Result:
    """Measure a workload of tests/laboratory on asyncio, Tideloop and others."""
    module = f"laboratory.{name}"
    entry = Entry(name, "laboratory", importlib.import_module(module).WORKLOAD, module)
    chosen = [peers.find(peer) for peer in (*names, "asyncio", "tideloop", "tideloop+")]
    return measure.measure(entry, chosen, plan, environment.placement(), say or (lambda what, part: None))


@pytest.fixture(autouse=True)
def workloads_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)


@pytest.fixture
def one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


class TestCommand:
    @draws
    def test_it_measures_and_writes_table_json_and_picture(self, tmp_path: Path) -> None:
        figures, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
        files = ("--json", figures, "--plot", picture)
        done = bench("sleep0", "call_soon", "--quick", "--budget", "0.5", "--peers", "asyncio", *files)
        assert done.returncode == 0, done.stderr
        document = json.loads(figures.read_text())
        assert list(document["workloads"]) == ["sleep0", "call_soon"]
        for result in document["workloads"].values():
            assert list(result["peers"]) == ["asyncio", "tideloop", "tideloop+"]
            for peer in result["peers"].values():
                assert peer["cpu_ns"]["q1"] <= peer["cpu_ns"]["median"] <= peer["cpu_ns"]["q3"]
                assert peer["per_s"] > 1000 < peer["verified"]
                assert peer["peak_bytes"] >= peer["resident_bytes"] > 2**20
                assert peer["latency_missing"] == "the workload has no requests"
                rounds = peer["rounds"]
                assert len(rounds["cost"]) == len(rounds["operations"]) == len(rounds["wall_ns"]) == result["rounds"]
            assert (result["reference"], result["cost_unit"]) == ("asyncio", "ns of CPU")
            assert result["peers"]["asyncio"]["ratio"]["median"] == 1
        assert document["environment"]["peers"]["tideloop"]
        assert document["environment"]["openssl"].startswith(("OpenSSL", "LibreSSL"))
        assert (document["plan"]["quick"], document["plan"]["budget_s"]) == (True, 0.5)
        assert {"foreign", "steal", "pace"} < set(document["workloads"]["sleep0"]["noise"])
        assert "<svg" in picture.read_text()
        for said in ("sleep0: await sleep(0)", "CPU per operation", "× asyncio", "Tideloop+", "Python 3."):
            assert said in done.stdout

    def test_an_unknown_workload_or_peer_is_an_error_that_names_the_known_ones(self) -> None:
        for wrong, known in ((["sleepy"], "sleep0"), (["sleep0", "--peers", "uvlop"], "uvloop")):
            done = bench(*wrong)
            assert done.returncode == 2
            assert known in done.stderr

    @pytest.mark.parametrize(
        "wrong",
        [["--budget", "0"], ["--plot", "x.gif"], ["scaling", "sleep0"], ["--workers", "3"]],
    )
    def test_options_that_make_no_sense_are_refused(self, wrong: list[str]) -> None:
        assert bench(*wrong).returncode == 2

    def test_the_list_has_every_workload_below_its_folder(self) -> None:
        done = bench("--list", "loop")
        assert done.returncode == 0
        lines = done.stdout.splitlines()
        assert lines[0] == "loop"
        assert len(lines) == 27
        assert any(line.split()[:2] == ["sleep0", "await"] for line in lines)

    def test_it_is_a_command_of_python_m_tideloop_unless_a_program_has_its_name(self, tmp_path: Path) -> None:
        def said(*arguments: str) -> str:
            command = [sys.executable, "-m", "tideloop", "bench", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path)
            return done.stdout

        assert said("--list", "starting").startswith("starting\n")
        (tmp_path / "bench").mkdir()
        assert said("--list", "starting").startswith("starting\n")
        (tmp_path / "bench" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
        assert said("--list", "starting") == "['--list', 'starting']\n"

    def test_a_reader_who_goes_away_is_no_error_worth_a_word(self) -> None:
        command = f"{shlex.join(BENCH)} --list | head -n 1"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=WAIT_S)
        assert (done.stdout, done.stderr) == ("applications\n", "")

    def test_a_file_that_is_no_workload_is_named_and_the_others_are_there(self, tmp_path: Path) -> None:
        mine = tmp_path / "mine"
        mine.mkdir()
        for name, content in {"__init__": "", "bad": "import nothing_such", "odd": "WORKLOAD = 3"}.items():
            (mine / f"{name}.py").write_text(content)
        (mine / "good.py").write_text("from tideloop._bench.workloads.loop.sleep0 import WORKLOAD")
        program = f"import sys; from tideloop._bench import workloads; workloads.__path__.append({str(tmp_path)!r}); "
        program += "from tideloop.cli import main; sys.exit(main())"

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", program, "bench", "--list", *arguments]
            return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)

        done = run("mine")
        assert done.returncode == 0
        assert done.stdout.split()[:2] == ["mine", "good"]
        assert "bad is left out, it is no workload: ModuleNotFoundError: No module named 'nothing_such'" in done.stderr
        assert "odd is left out, it is no workload: TypeError: WORKLOAD is 3" in done.stderr
        asked = run("bad")
        assert asked.returncode == 2
        assert "error: bad is no workload: ModuleNotFoundError" in asked.stderr

    @pytest.mark.parametrize(
        "wrong",
        [
            ("--json", "."),
            ("--json", ""),
            ("--json", "/none/x.json"),
            pytest.param(("--plot", "/proc/x.PNG"), marks=draws),
        ],
    )
    def test_files_that_cannot_be_written_are_found_before_anything_is_measured(self, wrong: tuple[str, str]) -> None:
        done = bench("sleep0", *wrong)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "cannot be written" in done.stderr

    @draws
    def test_a_full_disk_takes_one_file_and_leaves_the_others(self, tmp_path: Path) -> None:
        files = ("--json", "/dev/full", "--plot", tmp_path / "picture.SVG")
        done = bench("sleep0", "--quick", "--budget", "0.1", "--peers", "asyncio", *files)
        assert done.returncode == 1
        assert "/dev/full was not written: No space left on device\n" in done.stderr
        assert "<svg" in (tmp_path / "picture.SVG").read_text()
        assert "Tideloop+" in done.stdout

    @draws
    def test_a_run_that_measured_nothing_is_no_success(self, tmp_path: Path) -> None:
        program = "from tideloop._bench.catalogue import Entry; Entry.why_missing = lambda self: 'no reason'; "
        program += "import sys; from tideloop.cli import main; sys.exit(main())"
        files = ["--json", str(tmp_path / "figures"), "--plot", str(tmp_path / "picture.png")]
        command = [sys.executable, "-c", program, "bench", "sleep0", "call_soon", *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
        assert done.returncode == 1
        assert "left out: no reason" in done.stdout
        assert done.stderr.endswith("picture.png is not drawn\n")
        assert not json.loads((tmp_path / "figures").read_text())["conclusive"]
        assert [path.name for path in tmp_path.iterdir()] == ["figures"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_signals_end_it_with_its_files_and_leave_no_process_and_no_folder(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        place = tmp_path / "tmp"
        place.mkdir()
        env = os.environ | {"TMPDIR": str(place)}
        files = ["--json", str(tmp_path / "figures")]
        command = [*BENCH, "sleep0", "call_soon", "--peers", "asyncio", "--budget", "60", *files]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        with process:
            assert process.stderr is not None
            assert process.stderr.readline() == "sleep0 1/2\n"
            while not list(place.iterdir()) and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
            process.send_signal(number)  # as `timeout` and systemd do
            output, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 128 + number, errors
        assert "Traceback" not in errors
        assert "sleep0: " in output
        assert "call_soon" not in output
        assert list(json.loads((tmp_path / "figures").read_text())["workloads"]) == ["sleep0"]
        assert not list(place.iterdir())
        assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if f'"parent": {process.pid}' in text(path)]

    def test_ctrl_c_before_it_measures_shows_no_traceback(self) -> None:
        program = (
            "import os, signal, sys; from tideloop.cli import main; import tideloop._bench.catalogue as catalogue; "
        )
        program += "catalogue.select = lambda names: signal.raise_signal(signal.SIGINT); sys.exit(main(['bench']))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

    def test_without_rich_it_says_how_to_install_it(self) -> None:
        program = "import sys; sys.modules['rich'] = None; from tideloop.cli import main; sys.exit(main(['bench']))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "tideloop bench needs rich: pip install 'tideloop[bench]'\n"

    def test_programs_that_use_tideloop_do_not_pay_for_it(self) -> None:
        program = "import sys, tideloop, tideloop.cli; print([name for name in sys.modules if '_bench' in name])"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S)
        assert (done.stdout, done.stderr) == ("[]\n", "")


def text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


class TestMeasuring:
    def test_a_server_is_measured_by_what_it_uses_and_a_load_by_what_it_waits(self) -> None:
        # So long that there are enough for a median, however busy the machine.
        result = measured("echo", plan=dataclasses.replace(SHORT, slice_s=0.1))
        assert (result.failed, result.rounds >= 3) == ({}, True)
        for figures in result.peers.values():
            assert 1_000 < figures.cpu_ns.median < 10_000_000
            assert figures.latency_us["p50"] is not None
            assert figures.latency_us["p50"] * 1e3 > figures.cpu_ns.median / 100

    def test_a_client_talks_to_its_service(self) -> None:
        result = measured("client")
        assert (result.failed, set(result.peers)) == ({}, {"asyncio", "tideloop", "tideloop+"})

    def test_a_wrong_answer_fails_that_peer_and_the_others_go_on(self) -> None:
        result = measured("wrong")
        assert set(result.failed) == {"tideloop", "tideloop+"}
        assert result.failed["tideloop"] == "WrongAnswer: got b'TIDETIDETIDETIDETIDE'"
        assert list(result.peers) == ["asyncio"]
        assert result.rounds >= 3

    def test_crashes_hangs_and_what_tideloop_lacks_are_failures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measure, "SLICE_LIMIT_S", 3.0)
        result = measured("crash")
        assert result.failed == {
            "asyncio": "no answer for 3 s: it hangs",
            "tideloop": "it crashed: signal SIGSEGV",
            "tideloop+": "NotImplementedError: no such thing",
        }
        assert result.details["tideloop"] == "about to crash"

    def test_a_service_that_does_not_start_is_the_workloads_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABORATORY_SERVICE", "broken")
        result = measured("client")
        assert result.missing == "increment did not start: OSError: no room"
        assert result.peers == {}

    def test_processes_of_other_peers_do_not_load_tideloop(self) -> None:
        result = measured("stranger")
        assert result.failed == {}

    def test_what_was_measured_before_an_interrupt_is_kept(self) -> None:
        def say(what: str, part: float) -> None:
            if what.startswith("round 4"):
                raise KeyboardInterrupt

        result = measured("stranger", plan=Plan(0.01, 50, 0.0, 60.0), say=say)
        assert result.interrupted
        assert result.rounds == 4
        assert result.peers

    def test_it_ends_when_the_intervals_are_narrow_and_else_when_the_budget_is_spent(self) -> None:
        narrow = measured("stranger")
        assert narrow.ended == "the intervals are narrow"
        wide = measured("stranger", plan=Plan(0.01, 2, 0.0, 0.3))
        assert wide.ended == "the budget was spent"

    def test_the_floor_serves_nothing_but_echoes(self) -> None:
        entry = catalogue.all_entries()["sleep0"]
        assert entry.why_not_on(peers.find("raw_epoll")) == "it only echoes over TCP"

    def test_on_one_processor_it_says_that_server_and_client_share_it(self, one_processor: None) -> None:
        result = measured("echo")
        assert result.sharing == "server and client share one processor"
        assert result.peers
        assert measured("stranger").sharing is None


class TestPeers:
    def test_a_missing_peer_is_skipped_and_named(self) -> None:
        peer = peers.Peer("other", "Other", module="no_such_loop", distribution="other-loop")
        assert peers.why_missing(peer) == "it is not installed (pip install other-loop)"
        later = peers.Peer("later", "Later", module="asyncio", python=(4, 0))
        assert peers.why_missing(later) == "it needs Python 4.0"
        absent = [peer.name for peer in peers.all_peers().values() if peers.why_missing(peer)]
        if absent:
            done = bench("sleep0", "--quick", "--budget", "0.1", "--peers", ",".join(absent))
            assert done.returncode == 0
            for name in absent:
                assert f"{name} is left out: it" in done.stdout

    def test_a_trait_that_a_peer_lacks_is_a_reason_and_known(self) -> None:
        for peer in peers.all_peers().values():
            assert peer.lacks <= set(peers.TRAITS)
        for entry in catalogue.all_entries().values():
            assert set(entry.workload.needs) <= set(peers.TRAITS), entry.name


def operations() -> list[Entry]:
    return [entry for entry in catalogue.all_entries().values() if isinstance(entry.workload, Operations)]


@pytest.mark.loop_kinds("asyncio", "tideloop")
@pytest.mark.parametrize("entry", [e for e in operations() if e.folder == "loop"], ids=lambda entry: entry.name)
def test_every_row_of_the_loop_gives_the_right_result(
    entry: Entry, run: Callable[[Coroutine[Any, Any, Any]], Any], loop_kind: str
) -> None:
    assert isinstance(entry.workload, Operations)
    run(entry.workload.body(asyncio, 200))


def test_scaling_counts_every_job_and_fits_a_share(tmp_path: Path) -> None:
    done = bench("scaling", "--workers", "2", "--quick", "--json", tmp_path / "scaling.json")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "scaling.json").read_text())
    assert [point["workers"] for point in document["points"]] == [1, 2]
    assert document["points"][0]["speed_up"] == 1
    assert [len(point["rounds"]) for point in document["points"]] == [3, 3]
    assert len(document["environment"]["load_before"]) == 3
    if document["processors"] > 1:
        # On a machine that is busy elsewhere two workers may do less than one did a moment before.
        assert document["serial_share"] == pytest.approx(serial_share({2: document["points"][1]["speed_up"]}))
        assert "serial share" in done.stdout
