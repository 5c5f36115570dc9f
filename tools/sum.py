"""Add up the notes that tools/step.py left in build/results/ and end with the line 'N passed, N failed'.

The arguments are the stages that failed. Where no check tells of a failure, such a stage broke before its first check,
and counts as one failure itself.
"""

from __future__ import annotations

import json
import sys

from step import RESULTS


def main() -> None:
    notes = [
        json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"), key=lambda f: f.stat().st_mtime_ns)
    ]
    print(f"\n{'check':44s} {'passed':>7s} {'failed':>7s} {'seconds':>8s} {'of CPU':>8s}")
    for note in notes:
        print("{name:44s} {passed:7d} {failed:7d} {seconds:8.1f} {cpu:8.1f}".format(**note))
    passed, failed = (sum(note[key] for note in notes) for key in ("passed", "failed"))
    broken = sys.argv[1:]
    if broken and not failed:
        failed = len(broken)
        print("\n".join(f"{stage:44s} {'':7s} {1:7d}" for stage in broken))
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
