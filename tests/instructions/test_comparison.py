"""Counts beside those of before, and what the reader is told."""

import pytest

from instructions import __main__ as program
from instructions import baseline, comparison, history
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


def test_rows_that_came_or_went_are_shown_and_are_no_growth_but_what_went_is_missed():
    found = Comparison({"old": 100.0}, {"young": 200.0})
    assert (found.grown, found.gone) == ([], ["old"])
    assert "Instructions: old: …" in found.advice()
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
    assert "1000.0 -> gone" in comparison.unexplained([Growth("here", "sleep", 1000.0, None, "0123456789abcdef")])


def test_the_end_of_the_report_is_what_ci_adds_up(capsys):
    verdict = history.Verdict(unexplained={("here", "lock"): Growth("here", "lock", 1.0, 2.0, "0123")})
    before, now = {"sleep": 1000.0, "lock": 500.0}, {"sleep": 1100.0, "lock": 500.0}
    assert program.report(Comparison(before, now), verdict) == 1
    assert capsys.readouterr().out.endswith("\n1 passed, 2 failed\n")
    assert program.report(Comparison(before, before), history.Verdict()) == 0
    assert capsys.readouterr().out.endswith("\n2 passed, 0 failed\n")


def test_a_row_that_is_known_and_not_counted_any_more_fails(capsys):
    found = Comparison({"sleep": 1000.0}, {"sleep": 1000.0}, frozenset({"sleep", "lock"}))
    assert found.gone == ["lock"]
    assert program.report(found, history.Verdict()) == 1
    assert capsys.readouterr().out.endswith("\n1 passed, 1 failed\n")


class TestShallow:
    @pytest.fixture
    def compare(self, monkeypatch):
        """Compare in a clone that begins with its only commit, which has sleep at 1000."""

        def run(message, **now):
            entry = baseline.Entry("0123", uncommitted=False, rows={"sleep": 1000.0})
            recording = history.Recording("0123", message, {"here": entry}, cut=True)
            monkeypatch.setattr(baseline, "environment", lambda: now.pop("where", "here"))
            monkeypatch.setattr(baseline, "read", lambda: recording.baseline)
            monkeypatch.setattr(history, "head", lambda: "0123")
            monkeypatch.setattr(history, "message", lambda commit: message)
            monkeypatch.setattr(history, "recordings", lambda: [recording])
            monkeypatch.setattr(program.measure, "instructions", lambda: now)
            return program.compare()

        return run

    def test_it_is_said_and_growth_fails(self, compare, capsys):
        assert compare("tip", sleep=1010.0) == 0
        assert "this clone is shallow" in capsys.readouterr().out
        assert compare("tip", sleep=1100.0) == 1
        assert compare("tip\n\nInstructions: sleep: slower", sleep=1100.0) == 1
        assert compare("tip", lock=100.0) == 1

    def test_what_the_commit_that_is_checked_out_explains_is_not_compared(self, compare, capsys):
        assert compare("tip\n\nInstructions: sleep: it checks more", sleep=1100.0) == 0
        assert "gives a reason for sleep" in capsys.readouterr().out

    def test_in_another_environment_it_is_not_compared_with_itself(self, compare, capsys):
        assert compare("tip", where="elsewhere", sleep=5000.0) == 0
        assert "nothing was recorded that these counts could be compared with" in capsys.readouterr().out


@pytest.mark.parametrize("stamps", [[], [".built-quick"], [".built-quick", ".built-release"]])
def test_nothing_but_the_release_build_is_counted(tmp_path, stamps):
    for stamp in stamps:
        (tmp_path / stamp).touch()
    with pytest.raises(SystemExit, match="make build"):
        program.check_build(tmp_path)


def test_the_release_build_is_counted(tmp_path):
    (tmp_path / ".built-release").touch()
    program.check_build(tmp_path)
