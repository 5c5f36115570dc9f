"""What `make test-all` does after `make test`: foreign suites, the other Pythons, wheels, model checking, endurance.

For each of Python 3.11 to 3.14: a release wheel, installed where there is nothing but the standard library; our own
tests on the installed wheel; CPython's asyncio tests, and on two of them uvloop's. Then real libraries against real
servers, on the wheel for this Python; loom over what is lock-free; random programs beside asyncio; mutated TLS; and
soak.
What is missing is said loudly; where CI is set it is a failure, unless it is a Python that cannot be had there.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pythons
import real_libraries
from pythons import ROOT, Python
from step import missing, step

IN_CI = bool(os.environ.get("CI"))
# Builds that may run side by side: the linker's optimisation, most of a release build, uses one core.
BUILDS_AT_ONCE = 2
# Our own tests of the tree itself need no second Python.
OWN_TESTS = "-m pytest -q --ignore tests/tidy tests".split()
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
    for python in found:
        wheel = wheels.get(python.version)
        results.append(wheel is not None and on_one_python(python, wheel))
    results += [on_real_libraries(wheels), loom(), simulated_programs(), tls_records(), soak()]
    sys.exit(0 if all(results) else 1)


def build_wheels(found: list[Python]) -> dict[str, Path]:
    """A release wheel per Python; one that cannot be built is left out of the answer, and reported."""
    with concurrent.futures.ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        built = pool.map(build_wheel, found)
    return {python.version: wheel for python, wheel in zip(found, built, strict=True) if wheel is not None}


def build_wheel(python: Python) -> Path | None:
    out = ROOT / "build" / "wheels" / python.version
    shutil.rmtree(out, ignore_errors=True)
    # A target directory each: PyO3 is compiled anew for every Python.
    command = ["maturin", "build", "--quiet", "--release", "--locked", "--interpreter", python.build]
    command += ["--out", str(out), "--target-dir", str(ROOT / "target" / f"wheel-{python.version}")]
    if not step(f"wheel {python.version}", command, env={"PYO3_PYTHON": python.build}):
        return None
    (wheel,) = out.glob("*.whl")
    return wheel


def on_one_python(python: Python, wheel: Path) -> bool:
    """Install the wheel and run the tests there; everything is tried, whatever failed before."""
    version, here = python.version, f"{python.root}/{wheel.relative_to(ROOT)}"
    venv = [*python.run, "tools/venv.py", python.venv(), "tests/requirements-test.txt"]
    pip = [*python.in_venv(), "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    bare = f"build/bare-{version}"
    shutil.rmtree(ROOT / bare, ignore_errors=True)
    ready = (
        step(f"venv {version}", venv)
        and step(f"install {version}", [*pip, "--force-reinstall", here])
        and step(f"install bare {version}", [*pip, "--target", bare, here])
    )
    if not ready:
        return False
    results = [step(f"bare program {version}", [*python.in_venv(), "-I", "-S", "-c", BARE, bare])]
    if version != f"{sys.version_info[0]}.{sys.version_info[1]}":
        env = {"TIDELOOP_REQUIRED": "1"}
        results.append(step(f"own tests {version}", [*python.in_venv(), *OWN_TESTS], env=env))
    if (pythons.SHARED / "conformance").exists():
        suite = [sys.executable, "tests/conformance/run.py", version]
        results.append(step(f"CPython's tests {version}", suite))
    else:
        results.append(missing(f"CPython's tests on {version}: there is no {pythons.SHARED / 'conformance'}", IN_CI))
    if version in UVLOOPS_TESTS_ON:
        suite = [sys.executable, "tests/uvloop_suite/run.py", version]
        results.append(step(f"uvloop's tests {version}", suite))
    return all(results)


def on_real_libraries(wheels: dict[str, Path]) -> bool:
    """tests/integration on the wheel for the Python of .venv; on what `make build` made where there is none."""
    return real_libraries.run(wheels.get(f"{sys.version_info[0]}.{sys.version_info[1]}"))


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


def soak() -> bool:
    """Connect, echo, reset, cancel and time out at random for two minutes, on what `make build` made."""
    return step("soak", [sys.executable, "tests/soak/soak.py", "--seconds", "120"])


if __name__ == "__main__":
    os.chdir(ROOT)
    if subprocess.run(["maturin", "--version"], capture_output=True).returncode:
        sys.exit("run this through `make test-all`, which makes the environment it needs")
    main()
