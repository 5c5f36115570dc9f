"""The soak run, for ten seconds: long enough to see that it works and that nothing obvious is left."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.loop_kinds("tideloop")
def test_ten_seconds_of_random_connections_leave_nothing(loop_kind):
    done = subprocess.run(
        [sys.executable, str(SOAK), "--seconds", "10", "--loop", loop_kind],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed ")
    assert done.stderr == ""


@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize("script", ["both.py", "both_queues.py"])
def test_a_hundred_thousand_operations_of_threads_and_tasks_add_up(script, loop_kind):
    done = subprocess.run(
        [sys.executable, str(SOAK.with_name(script)), "--operations", "100000"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed ")
    assert done.stderr == ""
