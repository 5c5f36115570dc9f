"""What a picture says in words: its title, what its bars are, and below it who is not there, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tideloop._bench.environment import one_line
from tideloop._bench.peers import OURS, find
from tideloop._bench.results import counted
from tideloop._bench.statistics import geometric_mean

__all__ = ["Group", "footer", "plain", "subtitles", "title"]

#: A workload of the document, as `results.Result.as_json` gives it.
Group = dict[str, Any]
#: So many workloads are named one by one.
NAMED_MAX = 4


def plain(text: str) -> str:
    """Return a workload's title without the marks of code."""
    return text.replace("`", "")


def title(groups: list[Group]) -> str:
    """Return the line above all."""
    if len(groups) == 1:
        return plain(groups[0]["title"])
    means = _means(groups)
    counts = {count for _, count in means.values()}
    # Means over different workloads are no comparison of the two: then each says over how many it is.
    said = [
        f"{find(name).title} {mean:.2f}" + (f" (of {count})" if len(counts) > 1 else "")
        for name, (mean, count) in means.items()
    ]
    return f"{_clock(groups)}, uvloop = 1: {', '.join(said)}" if said else f"{_clock(groups)}, side by side"


def subtitles(groups: list[Group]) -> tuple[str, str]:
    """Return the two lines below the title."""
    how = "peers took turns; bars are medians, whiskers quartiles of the rounds; every answer was checked"
    if len(groups) == 1:
        return f"{_clock(groups)} per {groups[0]['unit']}, less is better", how
    bases = sorted({group["reference"] for group in groups if group["reference"]})
    counts = sorted({count for _, count in _means(groups).values()})
    means = ""
    if len(counts) == 1:
        means = f"; the title has geometric means of {counted(counts[0], 'workload')}"
    elif counts:
        means = "; the title has geometric means, in brackets of how many workloads"
    return f"per operation, as a share of what {' or '.join(bases) or 'it'} needs, less is better{means}", how


def footer(document: dict[str, Any], groups: list[Group], part: tuple[int, int]) -> Iterator[str]:
    """Yield the paragraphs below the picture, which is one of so many."""
    environment = document["environment"]
    said = f"{one_line(environment)} · {environment['date'][:10]} · tideloop bench"
    if any("tideloop+" in group["peers"] for group in groups):
        said += " · Tideloop+: with import tideloop as asyncio; Tideloop: under a program that is not touched"
    yield said + (f" · picture {part[0]} of {part[1]}" if part[1] > 1 else "")
    absent = [f"{find(peer).title}: {reason}" for peer, reason in document["missing_peers"].items()]
    skipped: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        for peer, reason in group["skipped"].items():
            skipped.setdefault((peer, reason), []).append(group["name"])
    for (peer, reason), names in skipped.items():
        where = f" at {_named(names)}" if len(names) < len(groups) else ""
        absent.append(f"{find(peer).title}{where}: {reason}")
    if part[0] == part[1]:
        empty = [group for group in document["workloads"].values() if group["missing"]]
        absent += [f"{group['name']}: {group['missing']}" for group in empty]
    if absent:
        yield f"Left out: {' · '.join(absent)}"


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED_MAX else f"{len(names)} of the workloads"


def _means(groups: list[Group]) -> dict[str, tuple[float, int]]:
    """Return the geometric means of our ratios to uvloop in these workloads, and of how many each is."""
    found: dict[str, tuple[float, int]] = {}
    for name in OURS:
        ratios = [
            group["peers"][name]["ratio"]["median"]
            for group in groups
            if group["reference"] == "uvloop" and group["clock"] != "memory" and name in group["peers"]
        ]
        if ratios:
            found[name] = geometric_mean(ratios), len(ratios)
    return found


def _clock(groups: list[Group]) -> str:
    clocks = {group["clock"] for group in groups}
    named = {"cpu": "CPU time", "wall": "Wall time", "memory": "Memory"}
    return named[clocks.pop()] if len(clocks) == 1 else "Cost" if "memory" in clocks else "Time"
