"""Run one check, show what it prints, say how long it took, and note its result for the sum at the end of a CI run.

    python3 tools/step.py NAME -- COMMAND ARGS…

The number of tests is read from what cargo, nextest or pytest print at their end; any other command is one check,
passed when its exit status is 0. A command that fails without naming a failed test counts as one failure. The notes
are files in build/results/, and only where CI or STEP_RESULTS is set, so that a later sum adds up one run alone. What
runs in a thread, beside something else, is shown when it has ended.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "build" / "results"

# One pattern per runner: passed, failed. cargo test prints its line once for each crate.
COUNTS = (
    re.compile(r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed", re.MULTILINE),
    re.compile(
        r"^ *Summary .*? tests? run: (?P<passed>\d+) passed(?: \([^)]*\))?(?:, (?P<failed>\d+) failed)?", re.MULTILINE
    ),
    re.compile(r"^(?P<passed>\d+) passed, (?P<failed>\d+) failed$", re.MULTILINE),
)
PYTEST_END = re.compile(r"^=*\s*((?:\d+ \w+(?:, )?)+) in [\d.]+s(?: \([\d:]+\))? *=*$", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def heed_signals() -> None:
    """Have programs that are started from here end by Ctrl+C and its like: whoever runs this in the background may have
    these signals ignored, which is inherited, and tests interrupt what they start."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


# On import: only the main thread may, and steps run in others too.
heed_signals()


def main() -> None:
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit(__doc__)
    sys.exit(0 if step(sys.argv[1], sys.argv[3:]) else 1)


def step(name: str, command: list[str], env: dict[str, str] | None = None) -> bool:
    """Run `command` as the check `name`, `env` added to the environment; True when it passed."""
    print(f"--- {name}: {' '.join(command)}", flush=True)
    began = time.monotonic()
    at_once = threading.current_thread() is threading.main_thread()
    status, text, cpu = run(command, {**os.environ, **(env or {})}, at_once)
    seconds = time.monotonic() - began
    passed, failed = count(COLOUR.sub("", text), status)
    held = "" if at_once else text
    verdict = f"{'ok' if status == 0 else 'FAILED'} in {seconds:.1f} s, {cpu:.1f} s of CPU time"
    sys.stdout.write(f"{held}--- {name}: {verdict}\n")
    sys.stdout.flush()
    note({"name": name, "passed": passed, "failed": failed, "seconds": round(seconds, 1), "cpu": round(cpu, 1)})
    return status == 0


def missing(sentence: str, is_failure: bool) -> bool:
    """Say loudly that something could not be tested; False when that is a failure."""
    print(f"\n!!! NOT TESTED: {sentence}\n", flush=True)
    name = f"NOT TESTED {sentence.partition(':')[0]}"
    note({"name": name, "passed": 0, "failed": int(is_failure), "seconds": 0.0, "cpu": 0.0})
    return not is_failure


def note(result: dict[str, str | int | float]) -> None:
    """Keep a result for the sum at the end."""
    if os.environ.get("CI") or os.environ.get("STEP_RESULTS"):
        RESULTS.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9.]+", "-", str(result["name"]))
        (RESULTS / f"{name}.json").write_text(json.dumps(result))


def run(command: list[str], env: dict[str, str], at_once: bool) -> tuple[int, str, float]:
    """The exit status, the output, which is passed on as it comes if `at_once`, and the seconds of CPU time."""
    kept: list[str] = []
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=env, **pipes) as child:
        assert child.stdout is not None
        for raw in child.stdout:
            line = raw.decode(errors="replace")
            if at_once:
                sys.stdout.write(line)
                sys.stdout.flush()
            kept.append(line)
        # As child.wait() does; that says nothing of what the child, and all that it has waited for, used.
        _, ended, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(ended)
    # A shell's way of telling that a signal ended the child.
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return status, "".join(kept), used.ru_utime + used.ru_stime


def count(text: str, status: int) -> tuple[int, int]:
    """How many tests passed and failed, by the output and the exit status of what ran them."""
    passed = failed = 0
    seen = False
    for pattern in COUNTS:
        for match in pattern.finditer(text):
            seen = True
            passed += int(match["passed"])
            failed += int(match["failed"] or 0)
    for match in PYTEST_END.finditer(text):
        words = {kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", match[1])}
        seen = True
        passed += words.get("passed", 0) + words.get("xfailed", 0)
        failed += sum(words.get(kind, 0) for kind in ("failed", "error", "errors"))
    if not seen:
        return (1, 0) if status == 0 else (0, 1)
    return passed, max(failed, 1) if status else failed


if __name__ == "__main__":
    main()
