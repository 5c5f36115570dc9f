"""The arithmetic: quartiles, the interval of a median, geometric means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LEVEL", "Spread", "geometric_mean", "interval_ranks", "spread"]

LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """A sample by its median, quartiles, and an interval in which the true median lies."""

    median: float
    q1: float
    q3: float
    low: float
    high: float
    level: float
    """How sure the interval is, at least LEVEL if there were six values or more."""
    count: int

    @property
    def half_width(self) -> float:
        """Half of the interval as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else math.inf


def spread(values: Sequence[float]) -> Spread:
    """Describe a sample of one value or more."""
    ordered = sorted(values)
    rank, level = interval_ranks(len(ordered))
    q1, median, q3 = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return Spread(median, q1, q3, ordered[rank - 1], ordered[-rank], level, len(ordered))


def interval_ranks(count: int, level: float = LEVEL) -> tuple[int, float]:
    """Return (k, how sure): the k-th smallest and the k-th largest of `count` values hold the median in between.

    That is so for every distribution: each value is above the median with probability one half, so the k-th smallest
    is above it when fewer than k are below, which the binomial distribution tells. k is the largest for which the
    interval is as sure as `level`, or 1 where not even the smallest and the largest value are.
    """
    outside = [0.0]  # by k: the probability that fewer than k of the values are below the median
    for below in range(count // 2 + 1):
        outside.append(outside[-1] + math.comb(count, below) / 2**count)
    best = max((k for k in range(1, (count + 1) // 2 + 1) if 1 - 2 * outside[k] >= level), default=1)
    return best, max(0.0, 1 - 2 * outside[best])


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive values, at least one."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))
