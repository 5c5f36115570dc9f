"""What the commits say about growth: the best count of each row since the last growth that a commit gave a reason for.

A commit that records a row more than 3 % above that best must have a line in its message

    Instructions: ROW: reason        (ROW may be *)

and where it has one, later commits are compared with what it recorded. So many small steps do not add up unseen.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from instructions import baseline
from instructions.baseline import Baseline

GROWTH_MAX = 0.03
# The dots are what the tool shows in place of a reason.
REASON = re.compile(r"^Instructions: *(\S+?) *: *[^\s….]", re.MULTILINE)
ALL_ROWS = "*"


@dataclass(frozen=True)
class Recording:
    """The baseline as a commit left it."""

    commit: str
    message: str
    baseline: Baseline

    def explains(self, row: str) -> bool:
        return not {row, ALL_ROWS}.isdisjoint(REASON.findall(self.message))


@dataclass(frozen=True)
class Growth:
    """A row that a commit recorded too high, and said nothing about."""

    environment: str
    row: str
    before: float
    now: float
    commit: str


@dataclass
class Verdict:
    """Keys are environment and row."""

    best: dict[tuple[str, str], float] = field(default_factory=dict)
    unexplained: dict[tuple[str, str], Growth] = field(default_factory=dict)
    #: Rows whose growth was recorded and explained in another environment, and not in this.
    outdated: set[tuple[str, str]] = field(default_factory=set)

    def rows(self, environment: str) -> dict[str, float]:
        """What to compare the rows of an environment with; none where a part of it is outdated."""
        if any(where == environment for where, _ in self.outdated):
            return {}
        return {row: best for (where, row), best in self.best.items() if where == environment}


def grown(before: float, now: float) -> bool:
    return now > before * (1 + GROWTH_MAX)


def judge(recordings: Iterable[Recording]) -> Verdict:
    """Go through the recordings, the oldest first."""
    verdict = Verdict()
    previous: Baseline = {}
    for recording in recordings:
        for environment, entry in recording.baseline.items():
            is_new = previous.get(environment) != entry
            for row, now in entry.rows.items():
                _judge_row(verdict, recording, (environment, row), now, is_new)
        previous = recording.baseline
    return verdict


def _judge_row(verdict: Verdict, recording: Recording, key: tuple[str, str], now: float, is_new: bool) -> None:
    best = verdict.best.get(key)
    if recording.explains(key[1]) and best is not None:
        verdict.unexplained.pop(key, None)
        if is_new:
            verdict.best[key] = now
            verdict.outdated.discard(key)
        else:
            verdict.outdated.add(key)
    elif not is_new:
        return
    elif key in verdict.outdated or best is None:
        verdict.best[key] = now
        verdict.outdated.discard(key)
    elif grown(best, now):
        verdict.unexplained[key] = Growth(*key, best, now, recording.commit)
    else:
        verdict.best[key] = min(best, now)
        verdict.unexplained.pop(key, None)


def git(*arguments: str, root: Path = baseline.ROOT) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def head(root: Path = baseline.ROOT) -> str | None:
    """The commit that is checked out; None where there is no git, or no history."""
    try:
        return git("rev-parse", "HEAD", root=root).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def changed_since(commit: str, paths: Iterable[str], root: Path = baseline.ROOT) -> bool:
    """Whether the files below these paths are others than those of the commit."""
    tracked = git("diff", "--name-only", commit, "--", *paths, root=root)
    return bool(tracked + git("ls-files", "--others", "--exclude-standard", "--", *paths, root=root))


def recordings(file: Path = baseline.FILE, root: Path = baseline.ROOT) -> list[Recording]:
    """Every commit that touched the file, the oldest first."""
    name = file.relative_to(root).as_posix()
    found = []
    for commit in git("log", "--reverse", "--topo-order", "--format=%H", "--", name, root=root).split():
        message = git("show", "--no-patch", "--format=%B", commit, root=root)
        if git("ls-tree", "--name-only", commit, "--", name, root=root):
            found.append(Recording(commit, message, baseline.parse(git("show", f"{commit}:{name}", root=root))))
    return found
