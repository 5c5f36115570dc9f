"""A few thousand of the random programs of tests/soak/lock_programs.py."""

import pytest
from soak.lock_programs import run_harmless, run_planted


@pytest.mark.parametrize("seed", range(3))
def test_programs_without_a_cycle_are_not_reported(seed):
    assert run_harmless(1000, seed) == []


def test_each_planted_cycle_is_found_with_all_its_members():
    run_planted(500, 1)
