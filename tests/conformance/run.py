"""Judge Tideloop by CPython's own asyncio tests, on one Python, beside what the stdlib itself gets there.

    python tests/conformance/run.py 3.12                      the Python that tools/pythons.py finds, in its .venv-3.12
    python tests/conformance/run.py --python .venv/bin/python any other, with Tideloop installed
    … --loop asyncio                                          the stdlib on trial, to try the runner itself

The tests are run by run_stdlib.py of the shared directory, one process each (see forked.py). One that the stdlib does
not pass on this Python either counts for nobody. Failures that are known stand in known_failures.toml with their
reasons; one that is not there fails the run, and so does one that is there and passes, or whose white-box line is no
longer in the test.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import pythons  # noqa: E402

BUILD = ROOT / "build" / "conformance"
SUITES = ("Future", "Task", "Loop", "Prim")
LIMIT_S = 30
# Most tests of the loop wait more than they compute.
JOBS = 4
# More tests than that are not run one by one, each of which takes as long as it takes to list them all.
ONE_BY_ONE_MAX = 60
GOOD = {"ok", "skip"}
ON_TRIAL = "--loop tideloop:new_event_loop --future tideloop:Future --task tideloop:Task --names tideloop".split()

Results = dict[str, list[str]]

# Prints the source of each test that is named, with the methods of its class that it calls, as JSON.
SOURCES = """
import inspect, json, re, sys, stdlib_cases
def source(function):
    return "".join(inspect.getsourcelines(inspect.unwrap(function))[0])
found = {}
for name in sys.argv[1:]:
    cls, _, method = name.partition(".")
    cls = getattr(stdlib_cases, cls, None)
    if not hasattr(cls, method):
        continue
    found[name] = source(getattr(cls, method))
    for called in re.findall(r"self\\.(\\w+)\\(", found[name]):
        if inspect.isfunction(helper := getattr(cls, called, None)):
            found[name] += source(helper)
print(json.dumps(found))
"""


class Judge(pythons.Installed):
    """How commands are run in the Python under test."""

    def run(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.command, *args], cwd=ROOT, text=True, capture_output=True, **options)

    def suite(self, only: str, on_trial: list[str], out: Path, runner: str = "forked.py") -> Results:
        """Run one suite with run_stdlib.py, or with what stands before it."""
        done = self.run(
            self.inside(suite_folder(self.version) / runner),
            *("--python", self.command[-1], "--only", only, "--limit", str(LIMIT_S), "--jobs", str(JOBS)),
            *("--json", self.inside(out)),
            *on_trial,
        )
        if not out.exists():
            sys.exit(f"{only} could not be run on Python {self.version}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        results: Results = json.loads(out.read_text())["results"]
        return {test.removeprefix("stdlib_cases."): result for test, result in results.items()}

    def all_suites(self, label: str, on_trial: list[str], suites: tuple[str, ...]) -> Results:
        results: Results = {}
        for only in suites:
            out = BUILD / f"{label}-{self.version}-{only}.json"
            out.unlink(missing_ok=True)
            results |= self.suite(only, on_trial, out)
            print(f"{label} on {self.version}: {only}*, {len(results)} tests so far", flush=True)
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", choices=pythons.VERSIONS)
    parser.add_argument("--python", help="an interpreter, in place of VERSION")
    parser.add_argument("--loop", choices=("tideloop", "asyncio"), default="tideloop")
    parser.add_argument(
        "--only", action="append", help=f"how a test's name begins; may be repeated; {SUITES} otherwise"
    )
    args = parser.parse_args()
    if (args.version is None) == (args.python is None):
        parser.error("give either a version or --python")
    found = pythons.in_its_venv(args.version, args.python)
    copy_suite(found.version)
    judge = Judge(found.version, found.command, found.root)
    suites = tuple(args.only) if args.only else SUITES
    ours = judge.all_suites(args.loop, ON_TRIAL if args.loop == "tideloop" else [], suites)
    base = baseline(judge, suites, [test for test, (state, _) in ours.items() if state != "ok"])
    known = {} if args.loop == "asyncio" else known_failures(judge.version, suites)
    verdict = Verdict(judge, base, ours, known, args.loop)
    sys.exit(verdict.show())


def suite_folder(version: str) -> Path:
    """Where a Python finds the suite; one each, as several may be on trial at once."""
    return BUILD / f"suite-{version}"


def copy_suite(version: str) -> None:
    """The suite inside the checkout, for a Python in a folder of its own that sees nothing else."""
    source = pythons.SHARED / "conformance"
    if not source.exists():
        sys.exit(f"{source} is not there: the conformance suites need the shared directory beside the checkout")
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = suite_folder(version)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "forked.py", folder)


def baseline(judge: Judge, suites: tuple[str, ...], tests: list[str]) -> Results:
    """What the stdlib itself gets on this Python, at least in `tests`, which somebody else did not pass."""
    if len(tests) > ONE_BY_ONE_MAX:
        return judge.all_suites("stdlib", [], suites)
    results: Results = {}
    for test in tests:
        out = BUILD / f"stdlib-{judge.version}.json"
        out.unlink(missing_ok=True)
        results |= {name: result for name, result in judge.suite(test, [], out).items() if name == test}
    return results


def known_failures(version: str, suites: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The listed failures that concern this Python and these suites, by the test's name."""
    listed = tomllib.loads((HERE / "known_failures.toml").read_text())["failure"]
    return {
        test: entry
        for entry in listed
        if version in entry.get("pythons", pythons.VERSIONS)
        for test in entry["tests"]
        if test.startswith(suites)
    }


class Verdict:
    """Our results beside the stdlib's and the list of known failures."""

    def __init__(self, judge: Judge, base: Results, ours: Results, known: dict[str, Any], name: str) -> None:
        self.judge, self.base, self.ours, self.known, self.name = judge, base, ours, known, name
        self.counted = {test for test in ours if base.get(test, ours[test])[0] in GOOD}
        self.failing = {test for test in self.counted if not self.fine(test)}
        self.second_try()
        self.unexpected = sorted(self.failing - set(known))
        self.wrong_entries = self.check_entries()

    def fine(self, test: str) -> bool:
        """Passed, or skipped where the stdlib skips too."""
        state = self.ours[test][0]
        return state == "ok" or (state == "skip" and self.base[test][0] == "skip")

    def second_try(self) -> None:
        """Run what failed unexpectedly once more, by itself: some of CPython's tests measure time on a busy machine."""
        again = sorted(self.failing - set(self.known))
        self.flaky: list[str] = []
        if len(again) > 20:
            return  # no coincidence
        for test in again:
            out = BUILD / f"again-{self.judge.version}.json"
            out.unlink(missing_ok=True)
            result = self.judge.suite(test, ON_TRIAL if self.name == "tideloop" else [], out).get(test)
            if result is not None and result[0] == "ok":
                self.flaky.append(f"{test}: {' '.join(self.ours[test])}")
                self.ours[test] = result
                self.failing.discard(test)

    def check_entries(self) -> list[str]:
        """What is wrong with the list: entries that pass, that name no test, or whose line is not in the test."""
        wrong = []
        found = self.judge.run("-W", "ignore", "-c", SOURCES, *sorted(self.known), env=suite_environment(self.judge))
        if found.returncode:
            return [f"the sources of the listed tests cannot be read: {found.stderr.strip()[-500:]}"]
        sources = json.loads(found.stdout)
        for test, entry in sorted(self.known.items()):
            if test not in self.ours:
                if "pythons" not in entry:
                    continue  # a test of other versions
                wrong.append(f"{test} is listed, but there is no such test on Python {self.judge.version}")
            elif test in self.counted and test not in self.failing:
                wrong.append(f"{test} is listed as a known failure, but passes: take it off the list")
            elif "line" in entry and entry["line"] not in sources.get(test, ""):
                wrong.append(f"{test} does not hold the line that its entry gives: {entry['line']}")
        return wrong

    def show(self) -> int:
        """Print the table and what is unexpected; the exit status."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        title = f"CPython's asyncio tests on Python {self.judge.version}: {self.name}"
        table = Table("class", *("passed", "known", "unexpected", "fails on stdlib"), title=title, title_justify="left")
        classes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for test in self.ours:
            classes[test.partition(".")[0]][self.verdict_of(test)] += 1
        for cls, counts in sorted(classes.items()):
            table.add_row(cls, *(str(counts[k] or "") for k in ("passed", "known", "unexpected", "stdlib")))
        console = Console(width=110)
        console.print(table)
        for test in self.unexpected:
            console.print(f"[red]unexpected[/] {test}: {escape(' '.join(self.ours[test]))}", highlight=False)
        for line in self.wrong_entries:
            console.print(f"[red]list[/] {escape(line)}", highlight=False)
        for line in self.flaky:
            console.print(f"[yellow]passed only on the second run[/] {escape(line)}", highlight=False)
        passed = sum(self.verdict_of(test) == "passed" for test in self.ours)
        failed = len(self.unexpected) + len(self.wrong_entries)
        self.write(passed, failed)
        print(f"{passed} passed, {failed} failed")
        return 1 if failed else 0

    def verdict_of(self, test: str) -> str:
        if test not in self.counted:
            return "stdlib"
        if test not in self.failing:
            return "passed"
        return "known" if test in self.known else "unexpected"

    def write(self, passed: int, failed: int) -> None:
        report = {
            "python": self.judge.version,
            "loop": self.name,
            "passed": passed,
            "failed": failed,
            "results": {test: [self.verdict_of(test), *result] for test, result in self.ours.items()},
            "list": self.wrong_entries,
            "second run": self.flaky,
        }
        (BUILD / f"report-{self.name}-{self.judge.version}.json").write_text(json.dumps(report, indent=1))


def suite_environment(judge: Judge) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": judge.inside(suite_folder(judge.version))}


if __name__ == "__main__":
    main()
