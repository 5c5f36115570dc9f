"""What the scripts that compare contestants in one process have in common: ratios round by round, and their print."""

from __future__ import annotations

import json
import statistics
from typing import Any

# The digits behind the point, by unit.
UNITS = {"ns": ("ns", 1), "us": ("µs", 2), "ms": ("ms", 1)}


def ratios(ours: str, seconds: dict[str, list[float]]) -> dict[str, float]:
    """How ours compares with each of the others: medians of the rounds' own ratios."""
    return {
        f"{ours} / {name}": statistics.median(a / b for a, b in zip(seconds[ours], times, strict=True))
        for name, times in seconds.items()
        if name != ours
    }


def show(results: dict[str, dict[str, Any]], as_json: bool) -> None:
    """Print the figures of each work, and the ratios."""
    if as_json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        (unit,) = figures.keys() & UNITS.keys()
        shown, digits = UNITS[unit]
        print(name + ":", ", ".join(f"{who} {value:.{digits}f} {shown}" for who, value in figures[unit].items()))
        for pair, ratio in figures["ratios"].items():
            print(f"    {pair} = {ratio:.3f}")
