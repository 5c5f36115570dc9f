"""`tideloop bench scaling`: what more worker processes bring, and Amdahl's serial share of it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["predicted", "serial_share"]


def serial_share(speed_ups: Mapping[int, float]) -> float:
    """Fit Amdahl's law, 1 / speed-up = s + (1 - s) / n, to speed-ups by number of workers; return the serial share s.

    The law is linear in s: 1 / speed-up - 1 / n = s (1 - 1 / n), so least squares are one division. Needs a number of
    workers above 1. A share below 0 would be a speed-up above n, which caches give now and then; it is returned as 0.
    """
    points = [(1 - 1 / n, 1 / speed_up - 1 / n) for n, speed_up in speed_ups.items()]
    return max(0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points))


def predicted(share: float, n: float) -> float:
    """Return the speed-up that Amdahl's law gives n workers with this serial share."""
    return 1 / (share + (1 - share) / n)
