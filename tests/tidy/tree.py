"""The files of the checkout, for the tests about the tree itself."""

import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


# What git would not list; for a checkout without git, or whose owner git does not trust.
NOT_OURS = {"target", "build", "dist", "__pycache__"}


@cache
def listed() -> list[Path]:
    """Every file that git tracks or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return [path for path in walk(ROOT) if path.suffix not in (".so", ".pyc")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.name == ".ci" or not (path.name.startswith(".") or path.name in NOT_OURS):
            yield from walk(path)


def files(*patterns: str) -> list[Path]:
    """Our files that match one of the patterns, see `matches`."""
    return sorted(path for path in listed() if any(matches(path, pattern) for pattern in patterns))


def matches(path: Path, pattern: str) -> bool:
    """`pattern` is a folder and an ending: 'crates *.rs' is every .rs file somewhere below crates; '. *' is all."""
    folder, _, ending = pattern.partition(" ")
    relative = path.relative_to(ROOT)
    return relative.match(ending) and (folder == "." or relative.parts[0] == folder)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())
