"""Timeouts: the names of :mod:`asyncio.timeouts`."""

from __future__ import annotations

from asyncio import Timeout, timeout, timeout_at

__all__ = ["Timeout", "timeout", "timeout_at"]
