"""What the commits say about growth: the best count of each row since the last growth that a commit gave a reason for.

A commit that records a row more than 3 % above that best must have a line in its message

    Instructions: ROW: reason        (ROW may be *)

and where it has one, later commits are compared with what it recorded. So many small steps do not add up unseen. A row
that was recorded and is not any more needs such a line, too: else a new name would make its growth unseen.
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
REASON = re.compile(r"^Instructions: *(\S+?) *:(.*)$", re.MULTILINE)
#: One or two words ("slower", "see above") tell nobody anything; nor do the dots that the tool shows in their place.
REASON_WORDS_MIN = 3
ALL_ROWS = "*"


@dataclass(frozen=True)
class Recording:
    """The baseline as a commit left it."""

    commit: str
    message: str
    baseline: Baseline
    #: The clone is shallow and begins here: whether it was this commit that recorded this cannot be told.
    cut: bool = False

    def explains(self, row: str) -> bool:
        return any(
            found in (row, ALL_ROWS) and len(re.findall(r"\w+", reason)) >= REASON_WORDS_MIN
            for found, reason in REASON.findall(self.message)
        )


@dataclass(frozen=True)
class Growth:
    """A row that a commit recorded too high, or took away, and said nothing about."""

    environment: str
    row: str
    before: float
    #: None: the row is gone.
    now: float | None
    commit: str


@dataclass
class Verdict:
    """Keys are environment and row."""

    best: dict[tuple[str, str], float] = field(default_factory=dict)
    unexplained: dict[tuple[str, str], Growth] = field(default_factory=dict)
    #: Rows whose growth was recorded and explained in another environment, and not in this.
    outdated: set[tuple[str, str]] = field(default_factory=set)

    def known(self) -> set[str]:
        """The rows that are recorded anywhere."""
        return {row for _, row in self.best}

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
            for key in [key for key in verdict.best if key[0] == environment and key[1] not in entry.rows]:
                _judge_gone(verdict, recording, key, is_new)
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


def _judge_gone(verdict: Verdict, recording: Recording, key: tuple[str, str], is_new: bool) -> None:
    if recording.explains(key[1]):
        # Environments that still have it are not recorded again for that.
        for other in [other for other in verdict.best if other[1] == key[1]]:
            del verdict.best[other]
            verdict.unexplained.pop(other, None)
            verdict.outdated.discard(other)
    elif is_new:
        verdict.unexplained[key] = Growth(*key, verdict.best[key], None, recording.commit)


def git(*arguments: str, root: Path = baseline.ROOT) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def head(root: Path = baseline.ROOT) -> str | None:
    """The commit that is checked out; None where there is no git, or no history."""
    try:
        return git("rev-parse", "HEAD", root=root).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def message(commit: str, root: Path = baseline.ROOT) -> str:
    return git("show", "--no-patch", "--format=%B", commit, root=root)


def beginnings(root: Path = baseline.ROOT) -> set[str]:
    """The commits that a shallow clone begins with: git shows them as if they had made all that they have."""
    file = root / git("rev-parse", "--git-path", "shallow", root=root).strip()
    return set(file.read_text().split()) if file.exists() else set()


def changed_since(commit: str, paths: Iterable[str], root: Path = baseline.ROOT) -> bool:
    """Whether the files below these paths are others than those of the commit."""
    tracked = git("diff", "--name-only", commit, "--", *paths, root=root)
    return bool(tracked + git("ls-files", "--others", "--exclude-standard", "--", *paths, root=root))


def recordings(file: Path = baseline.FILE, root: Path = baseline.ROOT) -> list[Recording]:
    """Every commit that touched the file, the oldest first."""
    name = file.relative_to(root).as_posix()
    found, begin = [], beginnings(root)
    for commit in git("log", "--reverse", "--topo-order", "--format=%H", "--", name, root=root).split():
        if git("ls-tree", "--name-only", commit, "--", name, root=root):
            counts = baseline.parse(git("show", f"{commit}:{name}", root=root))
            found.append(Recording(commit, message(commit, root), counts, commit in begin))
    return found
