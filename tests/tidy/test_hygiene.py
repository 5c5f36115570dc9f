"""The checks that run after each test, each proven by a test that offends: one that never fails would look the same."""

import os
import re
import subprocess
import sys

import pytest

from tidy import tree

# The test in hygiene_cases.py, and the check that must report it.
OFFENCES = {
    "test_leaves_tasks": "tasks left pending",
    "test_leaves_handles": "handles: ",
    "test_leaves_descriptors": "descriptors: ",
    "test_leaves_threads": "threads: ",
    "test_leaves_children": "children: ",
    "test_leaves_signals": "signals: ",
    "test_leaves_reports": "reports: ",
    "test_leaves_running": "running loop: ",
    "test_leaves_policy": "policy: ",
}


@pytest.fixture(scope="module")
def outcome():
    """What pytest says about hygiene_cases.py, run in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-rA", "-W", "ignore::DeprecationWarning", "tests/tidy/hygiene_cases.py"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COLUMNS", "CI"))}
    done = subprocess.run(command, cwd=tree.ROOT, env=env | {"COLUMNS": "400"}, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("test", OFFENCES)
def test_an_offence_is_reported(outcome, test):
    section = re.search(rf"_ ERROR at teardown of {test}\b.*?(?=\n_{{5,}}|\n={{5,}})", outcome, re.DOTALL)
    assert section is not None, outcome
    assert OFFENCES[test] in section[0]


def test_a_clean_test_is_not_reported(outcome):
    assert re.findall(r"^ERROR \S+::(test_clean\w*)", outcome, re.MULTILINE) == []
    assert set(re.findall(r"^PASSED \S+::(test_clean\w*)", outcome, re.MULTILINE)) == {
        "test_clean",
        "test_clean_with_reports_expected",
    }
