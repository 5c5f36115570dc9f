"""Judge Tideloop by uvloop's own tests, unedited, from its source distribution.

    python tests/uvloop_suite/run.py 3.13                      the Python that tools/pythons.py finds, in its .venv-3.13
    python tests/uvloop_suite/run.py --python .venv/bin/python any other, with Tideloop installed
    … --only test_tcp.Test_UV_TCPSSL                           how a test's name begins; may be repeated

The package `uvloop` in the folder shim/ stands in for uvloop. One process runs the tests of a file; when one of them
takes longer than its time limit, its stacks are printed, the process is ended, and another goes on behind it. Failures
that are known stand in known_failures.toml with their reasons; one that is not there fails the run, and so does one
that is there and passes, or whose line is no longer in the file. What a file printed lies in build/uvloop-suite/.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools")]

import pythons  # noqa: E402
import source  # noqa: E402
from source import BUILD, SOURCE  # noqa: E402

LIMIT_S = 60
POLL_S = 0.2
JOBS = 2
# The long ones first, so that none is left running alone at the end.
FIRST = ("test_tcp", "test_process", "test_regr1", "test_unix")

Results = dict[str, tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", choices=pythons.VERSIONS)
    parser.add_argument("--python", help="an interpreter, in place of VERSION")
    parser.add_argument("--only", action="append", default=[])
    args = parser.parse_args()
    if (args.version is None) == (args.python is None):
        parser.error("give either a version or --python")
    if (why := source.fetch()) is not None:
        sys.exit(why)
    python = pythons.in_its_venv(args.version, args.python)
    known = known_failures(python.version)
    trial = Trial(python, {test: entry["limit_s"] for test, entry in known.items() if "limit_s" in entry})
    results = trial.run(tuple(args.only))
    known = {test: entry for test, entry in known.items() if test in results or not args.only}
    sys.exit(show(trial, results, known))


class Trial:
    """uvloop's tests in one Python; `limits_s` holds the time limits that are not LIMIT_S, by the test's name."""

    def __init__(self, python: pythons.Installed, limits_s: dict[str, float]) -> None:
        self.python, self.limits_s = python, limits_s
        site = source.packages(python)
        folders = [python.inside(folder) for folder in (HERE / "shim", SOURCE, site)]
        self.env = os.environ | {
            "PYTHONPATH": os.pathsep.join(folders),
            "UVLOOP_SOURCE": python.inside(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, only: tuple[str, ...]) -> Results:
        files = sorted((f.stem for f in (SOURCE / "tests").glob("test_*.py")), key=lambda f: (f not in FIRST, f))
        wanted = [f for f in files if not only or any(name.partition(".")[0] == f for name in only)]
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            results = {test: result for found in pool.map(self.run_file, wanted) for test, result in found.items()}
        return {test: result for test, result in results.items() if not only or test.startswith(only)}

    def run_file(self, file: str) -> Results:
        """Every test of one file, in as many processes as it takes."""
        began = time.monotonic()
        log = BUILD / f"{self.python.version}-{file}.log"
        log.unlink(missing_ok=True)
        results: Results = {}
        while self.run_process(file, log, results):
            pass
        print(f"{file}: {len(results)} tests in {time.monotonic() - began:.1f} s", flush=True)
        return results

    def run_process(self, file: str, log: Path, results: Results) -> bool:
        """What is left of a file, until the end or to the first test that hangs or aborts; whether more is left."""
        report = log.with_suffix(".jsonl")
        report.unlink(missing_ok=True)
        command = [*self.python.command, self.python.inside(HERE / "driver.py"), self.python.inside(report)]
        with log.open("ab") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            child = subprocess.Popen(
                [*command, f"tests.{file}", *results], cwd=BUILD, env=self.env, start_new_session=True, **streams
            )
            running, hangs = watch(child, report, results, self.limits_s)
        if running is not None and hangs:
            results[running] = ("HANG", f"no end in {self.limits_s.get(running, LIMIT_S)} s")
        elif running is not None:
            results[running] = ("ABORT", f"ended the process: exit status {child.returncode}")
        elif child.returncode:
            results[f"{file} (at its end)"] = ("ABORT", f"exit status {child.returncode}")
        return running is not None


def watch(
    child: subprocess.Popen[bytes], report: Path, results: Results, limits_s: dict[str, float]
) -> tuple[str | None, bool]:
    """Collect results until the process ends or a test takes too long: the test that ran then, and whether it hung."""
    seen, running, since = 0, None, time.monotonic()
    while True:
        ended = child.poll() is not None
        events = report.read_text().splitlines(keepends=True) if report.exists() else []
        for event in (json.loads(line) for line in events[seen:] if line.endswith("\n")):
            seen, since = seen + 1, time.monotonic()
            running = event.get("begin")
            if "end" in event:
                results[event["end"]] = (event["state"], event["why"])
        if ended:
            return running, False
        if time.monotonic() - since > limits_s.get(running or "", LIMIT_S):
            child.send_signal(signal.SIGUSR2)  # prints the stacks into the log
            time.sleep(1)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return running or "before the first test", True
        time.sleep(POLL_S)


def known_failures(version: str) -> dict[str, dict[str, Any]]:
    """The listed failures on one version of Python, by the test's name."""
    listed = tomllib.loads((HERE / "known_failures.toml").read_text())["failure"]
    about = [entry for entry in listed if version in entry.get("pythons", pythons.VERSIONS)]
    return {test: entry for entry in about for test in entry["tests"]}


def wrong_entries(results: Results, known: dict[str, dict[str, Any]]) -> list[str]:
    """What is wrong with the list: entries that pass, that name no test, or whose line is not in the file."""
    wrong = []
    for test, entry in sorted(known.items()):
        if test not in results:
            wrong.append(f"{test} is listed, but there is no such test")
        elif results[test][0] in ("ok", "skip"):
            wrong.append(f"{test} is listed as a known failure, but it is {results[test][0]}: take it off the list")
        elif entry["line"] not in (SOURCE / "tests" / f"{test.partition('.')[0]}.py").read_text():
            wrong.append(f"{test}: its file does not hold the line that the entry gives: {entry['line']}")
    return wrong


def show(trial: Trial, results: Results, known: dict[str, dict[str, Any]]) -> int:
    """Print the table and what is unexpected; the exit status."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # What fails unexpectedly gets a second chance, by itself: some of these tests measure time on a busy machine.
    failing = [test for test, (state, _) in results.items() if state not in ("ok", "skip") and test not in known]
    for test in failing if len(failing) <= 10 else ():
        again = trial.run((test,)).get(test, results[test])
        if again[0] == "ok":
            print(f"passed when run again: {test}: {' '.join(results[test])}")
            results[test] = again
    title = f"uvloop's own tests on Python {trial.python.version}, uvloop being Tideloop"
    columns = ("passed", "skipped", "known", "unexpected")
    table = Table("file", *columns, title=title, title_justify="left")
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for test, (state, _) in results.items():
        fate = {"ok": "passed", "skip": "skipped"}.get(state, "known" if test in known else "unexpected")
        counts[test.partition(".")[0]][fate] += 1
    for file, row in sorted(counts.items()):
        table.add_row(file, *(str(row[column] or "") for column in columns))
    console = Console(width=110)
    console.print(table)
    unexpected = [(t, r) for t, r in sorted(results.items()) if r[0] not in ("ok", "skip") and t not in known]
    for test, (state, why) in sorted(results.items()):
        if state == "skip":
            console.print(f"skipped: {test}: {escape(why)}", highlight=False, soft_wrap=True)
    for test, (state, why) in unexpected:
        console.print(f"[red]unexpected[/] {test}: {state} {escape(why)}", highlight=False, soft_wrap=True)
    wrong = wrong_entries(results, known)
    for sentence in wrong:
        console.print(f"[red]list[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    passed = sum(state == "ok" for state, _ in results.values())
    failed = len(unexpected) + len(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
