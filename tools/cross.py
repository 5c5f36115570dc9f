"""Wheels for every Linux, and whether the workspace compiles for other systems: all of it from one x86-64 machine.

    make wheels                              sixteen release wheels, in dist/
    python3 tools/cross.py wheels [--target TRIPLE]… [--python 3.N]… [--cheap] [--out DIR]
    python3 tools/cross.py check [TRIPLE]…   cargo check of everything, tests too, warnings as errors
    python3 tools/cross.py arm64 [--wheel FILE] [TESTS]… [PYTEST'S OPTIONS]…

The linker is zig's (tests/requirements-cross.txt), which knows the C libraries of manylinux2014 and musllinux_1_2. The
compiler is the machine's where it has the target's standard library, else Debian's (tools/cross_toolchain.py).
`--cheap` is for trying: hardly optimised, in less than half the time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import cross_arm64
import cross_toolchain
from cross_debian import CannotBeHad
from pythons import ROOT, VERSIONS
from step import missing, step

IN_CI = bool(os.environ.get("CI"))
# What each target's wheels promise to run on.
X86_64 = "x86_64-unknown-linux-gnu"
TARGETS = {
    X86_64: "manylinux2014",
    "aarch64-unknown-linux-gnu": "manylinux2014",
    "x86_64-unknown-linux-musl": "musllinux_1_2",
    "aarch64-unknown-linux-musl": "musllinux_1_2",
}
CHECKED = ("aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
# The newest Python in the checks: what is left out for one must be missed by none.
CHECKED_FOR_PYTHON = VERSIONS[-1]
ZIG_VENV = ROOT / ".venv-cross"
CARGO = ["--locked", "--target-dir", str(ROOT / "target" / "cross")]
# What CI asks is whether it compiles, links and loads; what a full optimisation gives is tried on x86-64.
CHEAP = {
    "CARGO_PROFILE_QUICK_LTO": "off",
    "CARGO_PROFILE_QUICK_OPT_LEVEL": "0",
    "CARGO_PROFILE_QUICK_DEBUG": "0",
    "CARGO_PROFILE_QUICK_CODEGEN_UNITS": "16",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    wheels = commands.add_parser("wheels")
    wheels.add_argument("--target", action="append", choices=TARGETS)
    wheels.add_argument("--python", action="append", choices=VERSIONS)
    wheels.add_argument("--out", type=Path, default=ROOT / "dist")
    wheels.add_argument("--cheap", action="store_true")
    check = commands.add_parser("check")
    check.add_argument("targets", nargs="*", default=CHECKED)
    arm64 = commands.add_parser("arm64")
    arm64.add_argument("--wheel", type=Path, help="one for Debian's Python; without it, a cheap one is built")
    arm64.add_argument("tests", nargs="*")
    args, rest = parser.parse_known_args()
    if rest and args.command != "arm64":
        parser.error(f"unknown: {' '.join(rest)}")
    os.chdir(ROOT)
    try:
        if args.command == "check":
            good = check_all(args.targets)
        elif args.command == "wheels":
            good = build_all(args.target or list(TARGETS), args.python or list(VERSIONS), args.out, args.cheap)
        else:
            good = run_on_arm64(args.wheel, args.tests, rest)
    except CannotBeHad as exc:
        good = missing(f"other machines: {exc}", IN_CI)
    sys.exit(0 if good else 1)


def in_ci() -> bool:
    """What belongs in the examination of a checkout: each target once (x86-64's manylinux wheels are made anyway)."""
    others = [target for target in TARGETS if target != X86_64]
    out = ROOT / "build" / "wheels" / "cross"
    shutil.rmtree(out, ignore_errors=True)
    try:
        version = cross_arm64.python_version()
        built = build_all(others, [version], out, cheap=True)
        # The emulator uses one core, whatever it runs.
        with concurrent.futures.ThreadPoolExecutor(1) as other_core:
            emulated = other_core.submit(run_on_arm64, next(out.glob("*manylinux*_aarch64.whl"), None))
            checked = check_all(CHECKED)
        return all([built, checked, emulated.result()])
    except CannotBeHad as exc:
        return missing(f"other machines: {exc}", IN_CI)


def build_all(targets: list[str], versions: list[str], out: Path, cheap: bool) -> bool:
    """Every wheel is tried, whatever became of the others."""
    results = [build_wheel(target, version, out, cheap) for target in targets for version in versions]
    return all(results)


def build_wheel(target: str, version: str, out: Path, cheap: bool) -> bool:
    """One wheel for one target, examined; the Python it is for need not be there."""
    env = {**cross_toolchain.compiler_for(target), **linker(), **(CHEAP if cheap else {})}
    # Left to itself, rustc links the C library in.
    if target.endswith("-musl"):
        env[flags(target)] = "-C target-feature=-crt-static"
    into = out / f"{target}-{version}"
    shutil.rmtree(into, ignore_errors=True)
    command = ["maturin", "build", "--quiet", "--profile", "quick" if cheap else "release", *CARGO]
    command += ["--zig", "--target", target, "--compatibility", TARGETS[target]]
    command += ["--interpreter", f"python{version}", "--out", str(into)]
    # The name of a Python of this machine is no use here.
    if not step(f"wheel {version} {target}", command, env={**env, "PYO3_PYTHON": ""}):
        return False
    (made,) = into.glob("*.whl")
    wheel = made.replace(out / made.name)
    into.rmdir()
    return examine(wheel, target)


def examine(wheel: Path, target: str) -> bool:
    """Whether the extension in the wheel asks for no more than its name promises."""
    return step(f"examine {wheel.name}", [sys.executable, "tools/cross_wheel.py", str(wheel), target])


def check_all(targets: Sequence[str]) -> bool:
    results = [check_target(target) for target in targets]
    return all(results)


def check_target(target: str) -> bool:
    """cargo check of the workspace and its tests."""
    env = {**cross_toolchain.compiler_for(target), **CHEAP, flags(target): "-D warnings"}
    env |= {"PYO3_PYTHON": "", "PYO3_CROSS_PYTHON_VERSION": CHECKED_FOR_PYTHON}
    command = ["cargo", "check", "--quiet", "--workspace", "--all-targets", "--profile", "quick"]
    return step(f"check {target}", [*command, *CARGO, "--target", target], env=env)


def run_on_arm64(wheel: Path | None, tests: Sequence[str] = (), options: Sequence[str] = ()) -> bool:
    """Our tests on an arm64 wheel, emulated."""
    if wheel is None:
        out = ROOT / "build" / "wheels" / "arm64"
        if not build_wheel(cross_arm64.TARGET, cross_arm64.python_version(), out, cheap=True):
            return False
        (wheel,) = out.glob("*.whl")
    cross_arm64.install(wheel)
    return step("arm64, emulated", cross_arm64.tests([*tests], [*options]), env=cross_arm64.ENVIRONMENT)


def flags(target: str) -> str:
    """The variable with rustc's flags for a target alone, not for what is compiled to run here."""
    return f"CARGO_TARGET_{target.upper().replace('-', '_')}_RUSTFLAGS"


def linker() -> dict[str, str]:
    """Where zig is: in an environment of its own, as it is large."""
    (zig,) = ZIG_VENV.glob("lib/python3.*/site-packages/ziglang/zig")
    return {"CARGO_ZIGBUILD_ZIG_PATH": str(zig)}


if __name__ == "__main__":
    main()
