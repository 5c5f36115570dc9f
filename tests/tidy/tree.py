"""The files of the checkout, for the tests about the tree itself."""

import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def files(*patterns: str) -> list[Path]:
    """Every file that git tracks or would take, that matches one of the patterns (pathlib's, from the root)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [ROOT / name for name in listed if (ROOT / name).is_file()]
    return sorted(path for path in found if any(matches(path, pattern) for pattern in patterns))


def matches(path: Path, pattern: str) -> bool:
    """`pattern` is a folder and an ending: 'crates *.rs' is every .rs file somewhere below crates; '. *' is all."""
    folder, _, ending = pattern.partition(" ")
    relative = path.relative_to(ROOT)
    return relative.match(ending) and (folder == "." or relative.parts[0] == folder)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())
