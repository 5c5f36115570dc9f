"""Counts beside those of before, and what the reader is told."""

import pytest

from instructions import __main__ as program
from instructions import comparison, history
from instructions.comparison import Comparison
from instructions.history import Growth


def test_a_row_that_grew_too_much_is_shown_with_both_counts_and_what_to_do():
    found = Comparison({"sleep": 1000.0, "lock": 500.0}, {"sleep": 1031.0, "lock": 514.9})
    assert found.grown == ["sleep"]
    (sleep,) = [line.split() for line in found.table().splitlines() if line.startswith("sleep")]
    assert sleep == ["sleep", "1000.0", "1031.0", "+3.1%", "<-", "too", "much"]
    assert "Instructions: sleep: …" in found.advice()
    assert "lock" not in found.advice()
    assert "make instructions-record" in found.advice()


def test_rows_that_came_or_went_are_shown_and_are_no_growth():
    found = Comparison({"old": 100.0}, {"young": 200.0})
    assert found.grown == []
    assert [line.split() for line in found.table().splitlines()[1:]] == [
        ["young", "200.0", "new"],
        ["old", "100.0", "gone"],
    ]


def test_a_gain_is_to_be_recorded():
    assert "record" in Comparison({"sleep": 1000.0}, {"sleep": 900.0}).advice()
    assert Comparison({"sleep": 1000.0}, {"sleep": 990.0}).advice() == ""


def test_growth_that_was_recorded_without_a_reason_is_shown_with_its_commit():
    text = comparison.unexplained([Growth("here", "sleep", 1000.0, 1100.0, "0123456789abcdef")])
    assert "0123456789 " in text
    assert "+10.0%" in text
    assert "Instructions: sleep: …" in text
    assert comparison.unexplained([]) == ""


def test_the_end_of_the_report_is_what_ci_adds_up(capsys):
    verdict = history.Verdict(unexplained={("here", "lock"): Growth("here", "lock", 1.0, 2.0, "0123")})
    before, now = {"sleep": 1000.0, "lock": 500.0}, {"sleep": 1100.0, "lock": 500.0}
    assert program.report(Comparison(before, now), verdict) == 1
    assert capsys.readouterr().out.endswith("\n1 passed, 2 failed\n")
    assert program.report(Comparison(before, before), history.Verdict()) == 0
    assert capsys.readouterr().out.endswith("\n2 passed, 0 failed\n")


@pytest.mark.parametrize("stamps", [[], [".built-quick"], [".built-quick", ".built-release"]])
def test_nothing_but_the_release_build_is_counted(tmp_path, stamps):
    for stamp in stamps:
        (tmp_path / stamp).touch()
    with pytest.raises(SystemExit, match="make build"):
        program.check_build(tmp_path)


def test_the_release_build_is_counted(tmp_path):
    (tmp_path / ".built-release").touch()
    program.check_build(tmp_path)
