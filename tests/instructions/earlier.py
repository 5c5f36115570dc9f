"""An earlier commit, built as a release beside the checkout, to be measured where nothing was ever recorded."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from instructions import history
from instructions.baseline import ROOT

# Kept, so that the crates of others are compiled once.
TARGET = ROOT / "target" / "instructions"


@contextlib.contextmanager
def built(commit: str) -> Iterator[Path]:
    """A folder with the package as the commit has it, for this Python."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history.git("worktree", "add", "--detach", str(folder / "tree"), commit)
        try:
            command = [sys.executable, "-m", "maturin", "build", "--quiet", "--release", "--locked"]
            command += ["--interpreter", sys.executable, "--out", str(folder / "wheel"), "--target-dir", str(TARGET)]
            env = {**os.environ, "PYO3_PYTHON": sys.executable}
            subprocess.run(command, cwd=folder / "tree", env=env, check=True)
            (wheel,) = (folder / "wheel").glob("*.whl")
            pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-index"]
            subprocess.run([*pip, "--no-deps", "--target", str(folder / "package"), str(wheel)], check=True)
            yield folder / "package"
        finally:
            history.git("worktree", "remove", "--force", str(folder / "tree"))
