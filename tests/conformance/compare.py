"""Run CPython's own tests of event loops on asyncio, the peers and Tideloop, and write the scores into README.md.

    make conformance                    every Python that is found, as tools/pythons.py finds them
    python tests/conformance/compare.py 3.13

The 251 tests (on 3.13.0) are those of `run_stdlib.py --only Loop`: sockets, streams, TLS, datagrams, pipes, child
processes, sendfile, signals. A test that skips itself counts as passed, for everybody. Each Python gets an environment
of its own with a release wheel and the peers that have wheels for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "tools")]

import pythons  # noqa: E402
import readme  # noqa: E402
from run import BUILD, GOOD, ON_TRIAL, Judge, copy_suite  # noqa: E402
from test_all import build_wheel  # noqa: E402

BEGIN, END = "<!-- conformance: begin, written by `make conformance` -->", "<!-- conformance: end -->"
ONLY = "Loop"
LOOPS = {
    "asyncio": [],
    "uvloop": ["--loop", "uvloop:new_event_loop"],
    "rloop": ["--loop", "rloop:new_event_loop"],
    "tideloop": ON_TRIAL,
}
ABOUT = """
import importlib.metadata, platform, sys
print(platform.python_version() if sys.argv[1] == "asyncio" else importlib.metadata.version(sys.argv[1]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", help=f"of {', '.join(pythons.VERSIONS)}; all that are found otherwise")
    args = parser.parse_args()
    found, absent = pythons.find()
    for sentence in absent:
        print(f"!!! LEFT OUT: {sentence}")
    rows = [row(python) for python in found if not args.versions or python.version in args.versions]
    if not rows:
        sys.exit("there is no Python to compare on")
    write(rows)


def row(python: pythons.Python) -> tuple[str, dict[str, str], dict[str, str]]:
    """The exact version of a Python, the scores there, and the versions of the peers."""
    judge = environment(python)
    scores: dict[str, str] = {}
    versions: dict[str, str] = {}
    for name, on_trial in LOOPS.items():
        asked = judge.run("-c", ABOUT, name)
        if asked.returncode:
            print(f"!!! {name} is not installed on {python.version}: LEFT OUT")
            continue
        versions[name] = asked.stdout.strip()
        out = BUILD / f"compare-{python.version}-{name}.json"
        out.unlink(missing_ok=True)
        # A process that is forked may suit one of them better than another: here each test has one of its own.
        results = judge.suite(ONLY, on_trial, out, "run_stdlib.py")
        scores[name] = f"{sum(result[0] in GOOD for result in results.values())} of {len(results)}"
        hangs = sum(result[0] == "HANG" for result in results.values())
        aborts = sum(result[0] == "ABORT" for result in results.values())
        scores[name] += f", {hangs} hang" * bool(hangs) + f", {aborts} abort" * bool(aborts)
        print(f"{name} on {python.version}: {scores[name]}", flush=True)
    return versions.pop("asyncio"), scores, versions


def environment(python: pythons.Python) -> Judge:
    """An environment with the peers and a release wheel."""
    venv = f".venv-peers-{python.version}"
    inside = [*python.run[:-1], f"{python.root}/{venv}/bin/python"]
    copy_suite(python.version)
    wheel = build_wheel(python)
    if wheel is None:
        sys.exit(f"no wheel for Python {python.version}")
    make = [*python.run, "tools/venv.py", venv, "tests/requirements-test.txt"]
    subprocess.run([*make, "--optional", "tests/requirements-peers.txt"], cwd=ROOT, check=True)
    pip = [*inside, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--force-reinstall", f"{python.root}/{wheel.relative_to(ROOT)}"], cwd=ROOT, check=True)
    return Judge(python.version, inside, python.root)


def write(rows: list[tuple[str, dict[str, str], dict[str, str]]]) -> None:
    """Put the table between the two marks in README.md."""
    peers = {name: version for _, _, versions in rows for name, version in versions.items() if name != "tideloop"}
    titles = ["asyncio", *(f"{name} {version}" for name, version in peers.items()), "**Tideloop**"]
    lines = ["| CPython's tests of | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    for python, scores, _ in rows:
        cells = [scores.get(name, "—") for name in ("asyncio", *peers)]
        lines.append(f"| {python} | " + " | ".join([*cells, f"**{scores['tideloop']}**"]) + " |")
    readme.put(BEGIN, lines, END)
    print("README.md has the table")


if __name__ == "__main__":
    main()
