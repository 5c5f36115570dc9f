"""The laboratory's tables: they fit the terminal, a pipe gets all of them, and nothing is shown that says nothing."""

from __future__ import annotations

import io
import sys

import pytest

pytest.importorskip("rich", reason="the laboratory's tables are made by rich")
if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory reads Linux's /proc", allow_module_level=True)

from tideloop._bench import catalogue, report
from tideloop._bench.results import Result, Slice, summarise
from tideloop._bench.workload import Histogram

PEERS = ("asyncio", "uvloop", "tideloop")
ENVIRONMENT = {
    "python": "3.11.7",
    "peers": {},
    "libraries": {},
    "kernel": "Linux",
    "cpu": "one",
    "processors_usable": 2,
    "python_optimised": True,
}


def result(rounds: int = 5) -> Result:
    """A server with all figures that there can be."""
    found = Result.of(catalogue.all_entries()["handshakes"])
    slices = [
        {name: Slice(1000, 1_234_567_000, 9_000_000_000, Histogram([(1_234_567, 1000)])) for name in PEERS}
        for _ in range(rounds)
    ]
    found.rounds, found.reference, found.ended = rounds, "uvloop", "the budget was spent"
    found.peers = {name: summarise(slices, name, "uvloop", (2**25, 2**26)) for name in PEERS}
    return found


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *results: Result, terminal: bool = True) -> str:
    output = io.StringIO()

    class Narrow(report.Printer):
        def __init__(self, **options: object) -> None:
            given = {"width": width, "force_terminal": terminal, "color_system": None, "file": output} | options
            super().__init__(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(report, "Printer", Narrow)
    report.show(list(results), ENVIRONMENT, {})
    return output.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = shown(monkeypatch, width, result())
    table = [line for line in text.splitlines() if line.startswith((" uvloop", " Tideloop", "uvloop", "Tideloop"))]
    assert len(table) == 2
    assert max(map(len, table)) <= width
    for needed in ("CPU per connection", "× uvloop", "1.23 ms"):
        assert needed in text
    assert "…" not in text
    assert ("a wider terminal shows more: quartiles" in text) == (width < 110)


def test_a_pipe_gets_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 80, result(), terminal=False)
    for heading in ("quartiles", "connections/s", "p50", "p99", "p99.9", "memory"):
        assert heading in text
    assert "wider" not in text


def test_few_rounds_have_no_quartiles_and_one_is_in_the_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 80, result(rounds=1), terminal=False)
    assert "(1 round: the budget was spent)" in text
    assert "quartiles" not in text


def test_a_run_without_figures_is_not_conclusive() -> None:
    assert not report.document([], ENVIRONMENT, [], {})["conclusive"]
    assert report.document([result()], ENVIRONMENT, [], {})["conclusive"]


@pytest.mark.parametrize(
    ("name", "unit"), [("sleep0", "ns of CPU"), ("run_in_executor", "ns"), ("task_memory", "bytes")]
)
def test_what_a_cost_is_counted_in_is_said(name: str, unit: str) -> None:
    assert Result.of(catalogue.all_entries()[name]).as_json()["cost_unit"] == unit
