"""Timeouts: the names of :mod:`asyncio.timeouts`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import _native

if not TYPE_CHECKING:
    from ._native import timeout, timeout_at

__all__ = ["Timeout", "timeout", "timeout_at"]


class Timeout(_native.Timeout, asyncio.Timeout):  # type: ignore[misc]  # final to type checkers
    """An asynchronous context manager that cancels what takes too long; :func:`timeout` makes one.

    *when*: the deadline, in seconds on the loop's clock, or None for none; one that is past comes in the next turn.
    Leaving it raises TimeoutError where the deadline has come and nobody else has cancelled the task.
    Counterpart: :class:`asyncio.Timeout`.
    """

    __slots__ = ()


_native._adopt_timeout(Timeout)

if TYPE_CHECKING:

    def timeout(delay: float | None) -> Timeout:
        """Make a timeout of *delay* seconds. Counterpart: :func:`asyncio.timeout`."""

    def timeout_at(when: float | None) -> Timeout:
        """Make a timeout that ends at *when*, on the loop's clock. Counterpart: :func:`asyncio.timeout_at`."""
