"""Count instructions, and compare them with what was recorded, or record them.

python tests/instructions compare      what `make instructions` runs: fails where a row has grown by more than 3 %
python tests/instructions record       what `make instructions-record` runs: writes tests/instructions/baseline.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
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
    verdict = history.Verdict()
    if head is None:
        loudly("there is no git history: nobody looks whether growth that was recorded has its reason")
        before = recorded[environment].rows if environment in recorded else {}
        now = measure.instructions()
    else:
        recordings = history.recordings()
        verdict = history.judge(recordings)
        before = verdict.rows(environment)
        committed = recordings[-1].baseline if recordings else {}
        if recorded != committed and environment in recorded:
            say_what_to_commit(before, recorded[environment].rows)
            before = recorded[environment].rows
        now = measure.instructions()
        if not before and recordings:
            before = at_its_commit(recordings[-1].commit, now)
    if not before:
        loudly("nothing was recorded that these counts could be compared with: `make instructions-record`, and commit")
    return report(Comparison(before, now), verdict)


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
    failed = len(found.grown) + len(unexplained)
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
    grown = Comparison(before, recorded).grown
    if grown:
        print(f"The commit's message must have these lines, each with its reason:\n{comparison.reasons_for(grown)}")


def loudly(sentence: str) -> None:
    print(f"\n!!! NOT COMPARED: {sentence}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
