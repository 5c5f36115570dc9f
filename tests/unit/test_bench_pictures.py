"""The laboratory's pictures: as many as it takes, all that is written in them fits, and who is missing is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the pictures are drawn by matplotlib")
if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory runs on Linux", allow_module_level=True)

from tideloop._bench import captions, catalogue, plot
from tideloop._bench.catalogue import Entry

PEERS = {"asyncio": "asyncio", "uvloop": "uvloop", "tideloop": "Tideloop", "tideloop+": "Tideloop+"}


def document(entries: list[Entry]) -> dict[str, Any]:
    """A run in which everything took as long as anything."""
    workloads = {entry.name: group(entry.name, entry.workload.title, entry.folder) for entry in entries}
    environment = {
        "date": "2026-11-30T00:00:00",
        "python": "3.11.7",
        "libraries": {},
        "kernel": "Linux 6",
        "cpu": "one",
    }
    environment |= {"peers": dict.fromkeys(PEERS, "1.0"), "processors_usable": 2}
    missing = {"rloop": "it is not installed"}
    return {
        "environment": environment,
        "peers": PEERS,
        "missing_peers": missing,
        "conclusive": False,
        "workloads": workloads,
    }


def group(name: str, title: str = "work", folder: str = "loop") -> captions.Group:
    spread = {"median": 123_456.0, "q1": 100_000.0, "q3": 150_000.0, "count": 5}
    ratio = {"median": 0.5, "q1": 0.4, "q3": 4.0, "count": 5}
    common = {"unit": "operation", "clock": "cpu", "reference": "uvloop", "missing": None, "skipped": {}, "failed": {}}
    return {
        **common,
        "name": name,
        "title": title,
        "folder": folder,
        "peers": {peer: {"cpu_ns": spread, "ratio": ratio} for peer in PEERS},
    }


def folder(entry: Entry) -> str:
    return entry.folder


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib keeps the files of fonts open."""
    run = document([catalogue.all_entries()["sleep0"]])
    plot.draw(run, plot.shown(run), (1, 1), tmp_path_factory.mktemp("fonts") / "picture.svg")


@pytest.mark.usefixtures("fonts")
def test_all_that_is_written_lies_in_the_picture_and_in_its_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    # The longest titles of all.
    entries = sorted(catalogue.all_entries().values(), key=lambda entry: -len(entry.workload.title))[:12]
    run = document(entries)
    failing = run["workloads"][entries[0].name]
    failing["failed"]["uvloop"] = f"WrongAnswer: got {'x' * 20!r} " * 10
    del failing["peers"]["uvloop"]
    plot.draw(run, plot.shown(run), (1, 1), tmp_path / "picture.svg")
    figure = pyplot.gcf()
    edges = [axes.get_window_extent().x0 for axes in figure.axes]
    assert len(edges) == 2
    ends = [edges[1] - plot.NAMES_IN * figure.dpi, figure.bbox.x1]
    for texts, end in [(figure.texts, ends[1]), *((a.texts, end) for a, end in zip(figure.axes, ends, strict=True))]:
        for text in texts:
            extent = text.get_window_extent()
            assert 0 <= extent.x0 < extent.x1 <= end, text.get_text()
            assert 0 <= extent.y0 < extent.y1 <= figure.bbox.y1, text.get_text()


def test_a_picture_has_so_many_workloads_and_whole_folders_if_it_can() -> None:
    entries = list(catalogue.all_entries().values())
    pictures = plot.parts(entries, folder)
    assert [entry for picture in pictures for entry in picture] == entries
    assert max(map(len, pictures)) <= plot.GROUPS_MAX
    channels = [entry for entry in entries if entry.folder == "channels"]
    assert channels in pictures
    assert plot.parts(channels, folder) == [channels]
    assert [len(part) for part in plot.parts(range(25), lambda number: "one")] == [9, 8, 8]


def test_further_pictures_have_numbers() -> None:
    assert plot.files(Path("a/x.png"), 1) == [Path("a/x.png")]
    assert plot.files(Path("a/x.png"), 3) == [Path("a/x.png"), Path("a/x-2.png"), Path("a/x-3.png")]


class TestCaptions:
    def test_the_subtitle_promises_numbers_only_where_the_title_has_them(self) -> None:
        equal = [group("one"), group("two")]
        assert captions.title(equal) == "CPU time, uvloop = 1: Tideloop 0.50, Tideloop+ 0.50"
        assert captions.subtitles(equal)[0].endswith("geometric means of 2 workloads")
        del equal[0]["peers"]["tideloop+"]
        assert captions.title(equal) == "CPU time, uvloop = 1: Tideloop 0.50 (of 2), Tideloop+ 0.50 (of 1)"
        assert captions.subtitles(equal)[0].endswith("in brackets of how many workloads")

    def test_who_is_not_there_is_named_with_the_reason(self) -> None:
        run = document([])
        groups = [group("one"), group("two")]
        groups[1]["skipped"]["tideloop+"] = "the same"
        run["workloads"] = {"none": group("none") | {"missing": "it needs aiohttp"}}
        first, second = captions.footer(run, groups, (2, 2))
        assert first.endswith("picture 2 of 2")
        assert second == "Left out: rloop: it is not installed · Tideloop+ at two: the same · none: it needs aiohttp"
