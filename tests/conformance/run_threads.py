"""Judge Tideloop's threads by CPython's own tests of what they stand in for, from the installed interpreter.

    python tests/conformance/run_threads.py 3.12                       the Python that tools/pythons.py finds
    python tests/conformance/run_threads.py --python .venv/bin/python  any other, with Tideloop installed
    … --only concurrent.futures                                        one suite; `--stdlib` puts nothing on trial

Each suite is a few modules of CPython's package `test` and a function that puts ours in the stdlib's place before they
are imported. It runs in a process of its own; a test that fails runs once more by itself. Failures that are known stand
in known_thread_failures.toml with their reasons: one that is not there fails the run, and so does one that passes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import pythons  # noqa: E402

LIMIT_S = 600
# As others have installed these, some tests were left away, which CI cannot bring back; Debian's have all of them.
MAY_LACK_TESTS = {"3.11", "3.12"}
KNOWN = HERE / "known_thread_failures.toml"
# Another file beside this one has for each suite what to run and how to put ours in its place.
INNER = "tests/conformance/thread_suites.py"

Results = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", choices=pythons.VERSIONS)
    parser.add_argument("--python", help="an interpreter, in place of VERSION")
    parser.add_argument("--only", action="append", help="a suite; may be repeated")
    parser.add_argument("--stdlib", action="store_true", help="the stdlib itself, to try the runner")
    args = parser.parse_args()
    if (args.version is None) == (args.python is None):
        parser.error("give either a version or --python")
    judge = pythons.in_its_venv(args.version, args.python)
    suites = args.only or ask(judge, "--list", limit_s=60).split()
    failed = [suite for suite in suites if not judged(judge, suite, args.stdlib)]
    sys.exit(1 if failed else 0)


def judged(judge: pythons.Installed, suite: str, stdlib: bool) -> bool:
    """Run one suite and show what is unexpected; whether nothing is."""
    flags = ["--stdlib"] if stdlib else []
    results = run(judge, suite, flags)
    if not results:
        print(f"\n!!! NOT TESTED: {suite} on Python {judge.version}, which has come without these tests\n")
        return judge.version in MAY_LACK_TESTS or not os.environ.get("CI")
    known = {} if stdlib else known_failures(judge.version, suite)
    failing = {test for test, state in results.items() if state not in ("ok", "skip")}
    flaky = []
    for test in sorted(failing - set(known)):
        # Some of CPython's tests measure time, on a machine that may be busy.
        if run(judge, suite, [*flags, "--test", test]).get(test) == "ok":
            flaky.append(test)
    failing -= set(flaky)
    wrong = [f"unexpected: {test}: {results[test]}" for test in sorted(failing - set(known))]
    wrong += [
        f"listed, but passes: {test}" for test in sorted(set(known) & {t for t, s in results.items() if s == "ok"})
    ]
    wrong += [f"listed, but there is no such test: {test}" for test in sorted(set(known) - set(results))]
    passed = sum(state == "ok" for state in results.values())
    print(f"{suite} on Python {judge.version}: {passed} passed, {len(failing & set(known))} known, {len(wrong)} failed")
    for line in wrong:
        print(f"  {line}")
    for test in flaky:
        print(f"  passed only on the second run: {test}")
    return not wrong and passed > 0


def run(judge: pythons.Installed, suite: str, flags: list[str]) -> Results:
    """Each test's name and how it went."""
    printed = ask(judge, suite, *flags, limit_s=LIMIT_S)
    results: Results = json.loads(printed.splitlines()[-1])
    return results


def ask(judge: pythons.Installed, *args: str, limit_s: float) -> str:
    """What thread_suites.py prints in the Python under test."""
    command = [*judge.command, "-W", "ignore", INNER, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, env=os.environ)
    if done.returncode or not done.stdout.strip():
        sys.exit(
            f"{' '.join(args)} could not be run on Python {judge.version}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def known_failures(version: str, suite: str) -> dict[str, Any]:
    """The listed failures that concern this Python and this suite, by the test's name."""
    return {
        test: entry
        for entry in tomllib.loads(KNOWN.read_text()).get("failure", [])
        if entry["suite"] == suite and version in entry.get("pythons", pythons.VERSIONS)
        for test in entry["tests"]
    }


if __name__ == "__main__":
    main()
