"""A Rust compiler with the standard library of another target: the machine's own one where it has that, else Debian's.

`rustup target add` is the short way, where the network allows it. Debian's packages are the other: rustc-web, kept
recent for its browsers, comes with its own library for arm64 Linux, and with the library's sources. From these the
libraries for musl are built (they hold machine code and bitcode, so that link-time optimisation works), and for macOS
what `cargo check` needs, which is no machine code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from cross_debian import CACHE, CannotBeHad, unpack
from pythons import ROOT

COMPILER = CACHE / "rust"
PACKAGES = "rustc-web rust-web-src".split()
ARM64_LIBRARY = "libstd-rust-web-dev:arm64"
WRAPPER = """#!/bin/sh
# The unpacked compiler finds its libraries beside it.
LD_LIBRARY_PATH='{0}/usr/lib/x86_64-linux-gnu:{0}/lib/x86_64-linux-gnu' exec '{0}/usr/bin/rustc' "$@"
"""


def compiler_for(target: str) -> dict[str, str]:
    """What cargo needs in its environment to compile for `target`; makes what is missing, in minutes the first time."""
    if has_library("rustc", target):
        return {}
    unpack(COMPILER, PACKAGES, alone=[ARM64_LIBRARY])
    rustc = COMPILER / "rustc"
    if not rustc.exists():
        rustc.write_text(WRAPPER.format(COMPILER))
        rustc.chmod(0o755)
    if not recent_enough(str(rustc)):
        raise CannotBeHad(f"Debian's rustc-web is {version_of(str(rustc))}, and the workspace needs a newer one")
    if not has_library(str(rustc), target):
        build_library(str(rustc), target)
    return {"RUSTC": str(rustc)}


def has_library(rustc: str, target: str) -> bool:
    asked = subprocess.run([rustc, "--print", "target-libdir", "--target", target], capture_output=True, text=True)
    return asked.returncode == 0 and any(Path(asked.stdout.strip()).glob("libstd*.r*"))


def version_of(rustc: str) -> str:
    done = subprocess.run([rustc, "--version"], capture_output=True, text=True)
    if done.returncode:
        raise CannotBeHad(f"{rustc} does not start: {done.stderr.strip()[-300:]}")
    return done.stdout.split()[1]


def recent_enough(rustc: str) -> bool:
    needed = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert needed is not None
    return numbers(version_of(rustc)) >= numbers(needed[1])


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:2]]


def build_library(rustc: str, target: str) -> None:
    """Build the standard library from its sources, and put it where the compiler looks for it."""
    is_apple = target.endswith("-apple-darwin")
    library = COMPILER / "usr" / "lib" / "rustlib" / "src" / "rust" / "library"
    print(f"building the standard library for {target}", flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        # Nothing is linked for macOS. What its checks do need is the library of tests, which `sysroot` brings.
        command = ["cargo", "check" if is_apple else "build", "--quiet", "--release", "--locked", "--target", target]
        command += ["--manifest-path", str(library / ("sysroot" if is_apple else "std") / "Cargo.toml")]
        command += ["--features", "panic-unwind,backtrace", "--target-dir", scratch]
        flags = "-Zforce-unstable-if-unmarked" + ("" if is_apple else " -Cembed-bitcode=yes")
        env = {**os.environ, "RUSTC": rustc, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": flags}
        # The library is itself a crate with a toolchain of its own wishes; ours are not its.
        env.pop("CARGO_ENCODED_RUSTFLAGS", None)
        if subprocess.run(command, env=env).returncode:
            raise CannotBeHad(f"the standard library for {target} does not compile")
        made = Path(scratch) / "lib"
        made.mkdir()
        for file in (Path(scratch) / target / "release" / "deps").glob("*.rmeta" if is_apple else "*.rlib"):
            shutil.copy(file, made)
        place = COMPILER / "usr" / "lib" / "rustlib" / target / "lib"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
