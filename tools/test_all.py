"""What `make test-all` does after `make test`: foreign suites, the other Pythons, wheels, model checking, endurance.

For each of Python 3.11 to 3.14: a release wheel for manylinux, installed where there is nothing but the standard
library; our own tests on the installed wheel; CPython's asyncio tests, and on two of them uvloop's. Then real libraries
against real servers, on the wheel for this Python; wheels and checks for other machines; loom over what is lock-free;
random programs beside asyncio; mutated TLS; and soak.
What is missing is said loudly; where CI is set it is a failure, unless it is a Python that cannot be had there.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cross
import pythons
import real_libraries
from pythons import ROOT, Python
from step import missing, step

Result = TypeVar("Result")

IN_CI = bool(os.environ.get("CI"))
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
# What may run side by side. Builds, too: the linker's optimisation, most of a release build, uses one core.
AT_ONCE = 2
SUITES_AT_ONCE = 3
# Our own tests of the tree itself need no second Python, nor do the counts of instructions, which are kept for one, nor
# does it to measure every workload of the laboratory once.
OWN_TESTS = "-m pytest -q -n auto --dist worksteal --ignore tests/tidy --ignore tests/instructions"
OWN_TESTS += " --ignore-glob tests/cli/test_bench_*.py tests"
# What asyncio does with our tests there is not asked again: whether a test is right is settled where `make test` runs.
OWN_TESTS += " --without-control"
SOAK_SECONDS = 120
SIMULATED_PROGRAMS = 20_000
# The oldest Python that it knows, and the newest without a deprecated policy.
UVLOOPS_TESTS_ON = ("3.11", "3.13")
# A program without a single package: the loop runs, the wheel's dependencies are the standard library alone.
BARE = """
import sys; sys.path.insert(0, sys.argv[1])
import asyncio, tideloop
async def main():
    return await asyncio.gather(asyncio.sleep(0.01, 1), asyncio.sleep(0, 2))
assert tideloop.run(main()) == [1, 2]
print(sys.version_info[:2], "runs", tideloop.__file__)
"""


def main() -> None:
    found, absent = pythons.find()
    results = [missing(why, IN_CI and pythons.can_be_had(why)) for why in absent]
    wheels = build_wheels(found)
    results.append(len(wheels) == len(found))
    ready = installed(found, wheels)
    results.append(len(ready) == len(wheels))
    results += [own_tests(python) for python in ready if python.version != THIS]
    results += foreign_suites(ready)
    results += [on_real_libraries(wheels), cross.in_ci()]
    # These are judged by what they find and count, not by time, and most have use for one processor alone.
    endurance = [loom, soak, soak_of_both, lock_programs, instructions, simulated_programs, tls_records]
    results += at_once(AT_ONCE, endurance)
    sys.exit(0 if all(results) else 1)


def at_once(count: int, calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of the calls, `count` of which run side by side."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda call: call(), calls))


def build_wheels(found: list[Python]) -> dict[str, Path]:
    """A release wheel per Python; one that cannot be built is left out of the answer, and reported."""
    built = at_once(AT_ONCE, [functools.partial(build_wheel, python) for python in found])
    return {python.version: wheel for python, wheel in zip(found, built, strict=True) if wheel is not None}


def build_wheel(python: Python) -> Path | None:
    out = ROOT / "build" / "wheels" / python.version
    shutil.rmtree(out, ignore_errors=True)
    # A target directory each: PyO3 is compiled anew for every Python.
    command = ["maturin", "build", "--quiet", "--release", "--locked", "--interpreter", python.build]
    command += ["--out", str(out), "--target-dir", str(ROOT / "target" / f"wheel-{python.version}")]
    # Linked as the wheels that are published: what is tested below is one of them.
    command += ["--zig", "--compatibility", cross.TARGETS[cross.X86_64]]
    if not step(f"wheel {python.version}", command, env={"PYO3_PYTHON": python.build, **cross.linker()}):
        return None
    (wheel,) = out.glob("*.whl")
    return wheel if cross.examine(wheel, cross.X86_64) else None


def installed(found: list[Python], wheels: dict[str, Path]) -> list[Python]:
    """The Pythons that have their wheel, in an environment with what the tests need, and run a program with it."""
    built = [python for python in found if python.version in wheels]
    done = at_once(AT_ONCE, [functools.partial(install, python, wheels[python.version]) for python in built])
    return [python for python, good in zip(built, done, strict=True) if good]


def install(python: Python, wheel: Path) -> bool:
    version, here = python.version, f"{python.root}/{wheel.relative_to(ROOT)}"
    venv = [*python.run, "tools/venv.py", python.venv(), "tests/requirements-test.txt"]
    pip = [*python.in_venv(), "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    bare = f"build/bare-{version}"
    shutil.rmtree(ROOT / bare, ignore_errors=True)
    return (
        step(f"venv {version}", venv)
        and step(f"install {version}", [*pip, "--force-reinstall", here])
        and step(f"install bare {version}", [*pip, "--target", bare, here])
        and step(f"bare program {version}", [*python.in_venv(), "-I", "-S", "-c", BARE, bare])
    )


def own_tests(python: Python) -> bool:
    env = {"TIDELOOP_REQUIRED": "1"}
    return step(f"own tests {python.version}", [*python.in_venv(), *OWN_TESTS.split()], env=env)


def foreign_suites(ready: list[Python]) -> list[bool]:
    """CPython's tests on each Python, and on some of them uvloop's.

    They mostly wait, CPython's tests of threads more than all others. Where one of CPython's measures time, and is
    disturbed, it has a second try of its own.
    """
    suites = [functools.partial(cpythons_tests_of_threads, python) for python in ready]
    suites += [functools.partial(cpythons_tests, python) for python in ready]
    suites.append(functools.partial(uvloops_tests, [p for p in ready if p.version in UVLOOPS_TESTS_ON]))
    return at_once(SUITES_AT_ONCE, suites)


def cpythons_tests(python: Python) -> bool:
    version = python.version
    if not (pythons.SHARED / "conformance").exists():
        return missing(f"CPython's tests on {version}: there is no {pythons.SHARED / 'conformance'}", IN_CI)
    return step(f"CPython's tests {version}", [sys.executable, "tests/conformance/run.py", version])


def cpythons_tests_of_threads(python: Python) -> bool:
    version = python.version
    return step(f"CPython's tests of threads {version}", [sys.executable, "tests/conformance/run_threads.py", version])


def uvloops_tests(on: list[Python]) -> bool:
    """On one Python after the other: each run unpacks the tests anew."""
    runner = [sys.executable, "tests/uvloop_suite/run.py"]
    results = [step(f"uvloop's tests {python.version}", [*runner, python.version]) for python in on]
    return all(results)


def on_real_libraries(wheels: dict[str, Path]) -> bool:
    """tests/integration on the wheel for the Python of .venv; on what `make build` made where there is none."""
    return real_libraries.run(wheels.get(THIS))


def loom() -> bool:
    """Every interleaving of what is lock-free, as far as the model's bounds go."""
    tests = sorted(path.stem for path in (ROOT / "crates" / "tideloop-core" / "tests").glob("loom_*.rs"))
    if not tests:
        return missing("loom: there are no tests crates/tideloop-core/tests/loom_*.rs", IN_CI)
    command = "cargo test --quiet --locked --release -p tideloop-core".split()
    for test in tests:
        command += ["--test", test]
    # Without a bound one of these models alone runs for longer than anybody waits; bugs need few preemptions.
    flags = {"RUSTFLAGS": "--cfg loom", "LOOM_MAX_PREEMPTIONS": "3", "CARGO_TARGET_DIR": str(ROOT / "target" / "loom")}
    return step("loom", command, env=flags)


def tls_records() -> bool:
    """A hundred thousand mutations of what a TLS peer sends, on what `make build` made."""
    return step("TLS records", [sys.executable, "tests/fuzz_tls.py", "--cases", "100000"])


def simulated_programs() -> bool:
    """Random programs over all primitives, on a simulated clock, beside asyncio; on what `make build` made."""
    return step("simulated programs", [sys.executable, "tests/simulation", "--programs", str(SIMULATED_PROGRAMS)])


def instructions() -> bool:
    """No workload takes over 3 % more instructions than it did, unless a commit says why; on what `make build` made."""
    if shutil.which("valgrind") is None:
        return missing("instruction counts: valgrind is not installed", IN_CI)
    return step("instruction counts", [sys.executable, "tests/instructions", "compare"])


def soak() -> bool:
    """Connect, echo, reset, cancel and time out at random for two minutes, on what `make build` made."""
    return step("soak", [sys.executable, "tests/soak/soak.py", "--seconds", "120"])


def soak_of_both() -> bool:
    """Ten million operations of threads and tasks on what they share, on what `make build` made."""
    scripts = {"soak of shared primitives": "both.py", "soak of shared queues": "both_queues.py"}
    results = [step(name, [sys.executable, f"tests/soak/{script}"]) for name, script in scripts.items()]
    return all(results)


def lock_programs() -> bool:
    """A million programs without a deadlock, and a thousand with one, on what `make build` made."""
    return step("random programs of locks", [sys.executable, "tests/soak/lock_programs.py"])


if __name__ == "__main__":
    os.chdir(ROOT)
    if subprocess.run(["maturin", "--version"], capture_output=True).returncode:
        sys.exit("run this through `make test-all`, which makes the environment it needs")
    main()
