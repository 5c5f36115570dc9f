"""`tideloop bench scaling` keeps the rounds that are finished, and its axis can be read."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="the laboratory's tables are made by rich")
if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory reads Linux's /proc", allow_module_level=True)

from tideloop._bench.ending import Ending
from tideloop._bench.scaling import command
from tideloop._bench.scaling.plot import TICKS_MAX, ticks


def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: list[command.Round]) -> dict[str, Any]:
    """What a run leaves that is interrupted after these rounds."""
    end = Ending()

    def measure(done: list[command.Round], *rest: object) -> None:
        done.extend(rounds)
        end.begin(15, None)

    monkeypatch.setattr(command, "_measure", measure)
    options = Namespace(workers=2, quick=True, json=tmp_path / "figures", plot=tmp_path / "picture.png")
    assert command.main(options, end) == 128 + 15
    document: dict[str, Any] = json.loads((tmp_path / "figures").read_text())
    return document


def test_rounds_that_are_finished_outlive_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tideloop._bench.scaling.plot.draw", lambda document, file: file.touch())
    document = interrupted(tmp_path, monkeypatch, [{1: 100.0, 2: 150.0}, {1: 100.0, 2: 190.0}])
    assert (document["rounds"], document["plan"]["rounds"]) == (2, 3)
    assert document["points"][1]["rounds"] == [
        {"jobs_per_s": 150.0, "speed_up": 1.5},
        {"jobs_per_s": 190.0, "speed_up": 1.9},
    ]
    assert (tmp_path / "picture.png").exists()
    said = capsys.readouterr().out
    assert "interrupted after 2 rounds of 3" in said
    assert "1.70" in said
    assert "1.60 – 1.80" not in said, "two rounds have no quartiles"


def test_without_a_finished_round_nothing_is_concluded_or_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = interrupted(tmp_path, monkeypatch, [])
    assert (document["points"], document["conclusive"]) == ([], False)
    assert not (tmp_path / "picture.png").exists()
    assert "is not drawn" in capsys.readouterr().err


def test_the_axis_names_all_workers_or_so_few_that_they_can_be_read() -> None:
    assert ticks(2) == [1, 2]
    assert ticks(16) == list(range(1, 17))
    assert ticks(64) == [1, *range(4, 65, 4)]
    assert all(len(ticks(most)) <= TICKS_MAX + 1 for most in range(2, 300))
