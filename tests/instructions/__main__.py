"""Count instructions, and compare them with what was recorded, or record them.

python tests/instructions compare      what `make instructions` runs: fails where a row is gone, or 3 % above before
python tests/instructions record       what `make instructions-record` runs: writes tests/instructions/baseline.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructions import baseline, comparison, earlier, history, measure
from instructions.comparison import Comparison, Counts

# More than this from run to run, and a count means nothing.
SPREAD_MAX = 0.003


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compare", "record"))
    arguments = parser.parse_args()
    try:
        check_build()
        return compare() if arguments.what == "compare" else record()
    except measure.CannotMeasure as error:
        sys.exit(f"nothing was measured: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr or ''}")


def check_build(stamps: Path = Path(sys.prefix)) -> None:
    """Only the release build counts: others have other instructions."""
    profiles = sorted(stamp.name.removeprefix(".built-") for stamp in stamps.glob(".built-*"))
    if profiles != ["release"]:
        found = f"the profile {' and '.join(profiles)}" if profiles else "no profile that `make build` knows of"
        sys.exit(f"the extension was built with {found}; counted is the release build: run `make build` first")


def compare() -> int:
    environment = baseline.environment()
    recorded, head = baseline.read(), history.head()
    print(f"on {environment}", flush=True)
    if head is None:
        loudly("there is no git history: nobody looks whether growth that was recorded has its reason")
        before = recorded[environment].rows if environment in recorded else {}
        return report(compared(before, measure.instructions()), history.Verdict())
    recordings = history.recordings()
    verdict = history.judge(recordings)
    before, known = verdict.rows(environment), verdict.known()
    committed = recordings[-1].baseline if recordings else {}
    if recorded != committed and environment in recorded:
        say_what_to_commit(before, recorded[environment].rows)
        before, known = recorded[environment].rows, set()
    shallow = any(recording.cut for recording in recordings)
    if shallow:
        before, known = since_its_beginning(history.Recording(head, history.message(head), {}), before, known)
    now = measure.instructions()
    if not before and recordings and not recordings[-1].cut:
        before = at_its_commit(recordings[-1].commit, now)
    return report(compared(before, now, known), verdict)


def compared(before: Counts, now: Counts, known: Iterable[str] = ()) -> Comparison:
    if not before:
        loudly("nothing was recorded that these counts could be compared with: `make instructions-record`, and commit")
    return Comparison(before, now, frozenset(known))


def since_its_beginning(tip: history.Recording, before: Counts, known: set[str]) -> tuple[Counts, set[str]]:
    """What a shallow clone can be compared with: the counts that it came with, but for what its tip explains."""
    loudly(
        "this clone is shallow: whether growth that was recorded before it begins has its reason, cannot be told here"
        " (`git fetch --unshallow`). What has grown since then fails, unless the commit that is checked out says why"
    )
    explained = {row for row in {*before, *known} if tip.explains(row)}
    if explained:
        print(f"{tip.commit[:10]} gives a reason for {', '.join(sorted(explained))}: not compared", flush=True)
    return {row: count for row, count in before.items() if row not in explained}, known - explained


def at_its_commit(commit: str, now: Counts) -> Counts:
    """What today's workloads count on the commit that recorded last, elsewhere."""
    if not history.changed_since(commit, baseline.SOURCES):
        print(f"no source has changed since {commit[:10]} recorded its counts in another environment", flush=True)
        return now
    print(f"nothing is recorded here: building {commit[:10]}, which recorded last, to compare with", flush=True)
    with earlier.built(commit) as package:
        return measure.instructions(packages=[package])


def report(found: Comparison, verdict: history.Verdict) -> int:
    unexplained = verdict.unexplained.values()
    print(found.table())
    for text in (found.advice(), comparison.unexplained(unexplained)):
        if text:
            print(text)
    failed = len(found.grown) + len(found.gone) + len(unexplained)
    print(f"\n{len(found.now) - len(found.grown)} passed, {failed} failed")
    return 1 if failed else 0


def record() -> int:
    head = history.head()
    if head is None:
        sys.exit("counts are recorded with the commit they are made at, and here is no git history")
    environment, recordings = baseline.environment(), history.recordings()
    first, second = measure.instructions(), measure.instructions()
    apart = [row for row in first if abs(second[row] / first[row] - 1) > SPREAD_MAX]
    if apart:
        shown = ", ".join(f"{row} {first[row]} and {second[row]}" for row in apart)
        sys.exit(f"nothing is recorded: two runs differ by more than {SPREAD_MAX:.1%}: {shown}")
    uncommitted = history.changed_since(head, baseline.SOURCES)
    recorded = baseline.read()
    recorded[environment] = baseline.Entry(head, uncommitted, first)
    baseline.write(recorded)
    before = history.judge(recordings).rows(environment)
    print(f"on {environment}\n{Comparison(before, first).table()}\n")
    say_what_to_commit(before, first)
    return 0


def say_what_to_commit(before: Counts, recorded: Counts) -> None:
    print(f"{baseline.FILE.relative_to(baseline.ROOT)} is to be committed.", flush=True)
    found = Comparison(before, recorded)
    if rows := found.grown + found.gone:
        print(f"The commit's message must have these lines, each with its reason:\n{comparison.reasons_for(rows)}")


def loudly(sentence: str) -> None:
    print(f"\n!!! NOT COMPARED: {sentence}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
