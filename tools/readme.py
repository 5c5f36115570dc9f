"""The tables of README.md that programs write: each stands between two marks."""

from __future__ import annotations

from collections.abc import Sequence

from pythons import ROOT

README = ROOT / "README.md"


def put(begin: str, lines: Sequence[str], end: str) -> None:
    """Have these lines stand between the two marks."""
    before, rest = README.read_text().split(begin)
    README.write_text(before + "\n".join([begin, *lines, end]) + rest.split(end)[1])
