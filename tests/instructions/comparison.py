"""Counts beside those of before: which have grown, as a table, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from instructions.history import GROWTH_MAX, Growth, grown

Counts = dict[str, float]
# Worth a word: what was gained is not guarded before it is recorded.
SHRINKAGE_WORTH_RECORDING = 0.03

ADVICE = f"""
These rows take over {GROWTH_MAX:.0%} more instructions than before. Find out what they are (`valgrind --tool=callgrind
--dump-instr=yes`, then `callgrind_annotate`) and take them out again; or, if they are worth it:
    make instructions-record
and commit tests/instructions/baseline.json with the change, with these lines in the message, each with its reason:
"""
GONE = """
These rows were recorded, and are not counted any more. Where that is meant, also for one that has a new name now:
    make instructions-record
and commit tests/instructions/baseline.json with the change, with these lines in the message, each with its reason:
"""
UNEXPLAINED = """
The baseline was recorded with these rows grown or gone, and the commit's message does not say why. Where the message
cannot be changed any more: `make instructions-record` once more, and commit the file with these lines, each with its
reason:
"""


@dataclass(frozen=True)
class Comparison:
    """Instructions per operation."""

    before: Counts
    now: Counts
    #: Rows that have to be there, beside those of `before`.
    known: frozenset[str] = frozenset()

    @property
    def gone(self) -> list[str]:
        return [row for row in [*self.before, *sorted(self.known - self.before.keys())] if row not in self.now]

    @property
    def grown(self) -> list[str]:
        return [row for row, now in self.now.items() if row in self.before and grown(self.before[row], now)]

    @property
    def shrunk(self) -> list[str]:
        limit = 1 - SHRINKAGE_WORTH_RECORDING
        return [row for row, now in self.now.items() if row in self.before and now < self.before[row] * limit]

    def table(self) -> str:
        lines = [f"{'instructions per operation':30s} {'before':>10s} {'now':>10s} {'growth':>9s}"]
        for row in [*self.now, *(row for row in self.before if row not in self.now)]:
            lines.append(self._line(row))
        return "\n".join(lines)

    def _line(self, row: str) -> str:
        before, now = self.before.get(row), self.now.get(row)
        if before is None or now is None:
            word = "new" if before is None else "gone"
            return f"{row:30s} {_count(before)} {_count(now)} {word:>9s}"
        mark = "  <- too much" if row in self.grown else ""
        return f"{row:30s} {_count(before)} {_count(now)} {now / before - 1:+9.1%}{mark}"

    def advice(self) -> str:
        """What to do about the rows that have grown, are gone, or have shrunk; nothing where none has."""
        grown = ADVICE + reasons_for(self.grown) if self.grown else ""
        gone = GONE + reasons_for(self.gone) if self.gone else ""
        if grown or gone:
            return "\n".join(filter(None, (grown, gone)))
        if self.shrunk:
            return f"\nFewer than before: {', '.join(self.shrunk)}. `make instructions-record` keeps them so."
        return ""


def unexplained(growths: Iterable[Growth]) -> str:
    """The rows that commits recorded too high, and what to do."""
    growths = list(growths)
    if not growths:
        return ""
    found = [
        f"    {growth.commit[:10]}  {growth.row:30s} {growth.before:10.1f} -> {_after(growth)}  on {growth.environment}"
        for growth in growths
    ]
    return "\n".join([*found, UNEXPLAINED]) + reasons_for(dict.fromkeys(growth.row for growth in growths))


def _after(growth: Growth) -> str:
    return "gone" if growth.now is None else f"{growth.now:10.1f} ({growth.now / growth.before - 1:+.1%})"


def reasons_for(rows: Iterable[str]) -> str:
    return "\n".join(f"    Instructions: {row}: …" for row in rows)


def _count(count: float | None) -> str:
    return f"{'' if count is None else f'{count:.1f}':>10s}"
