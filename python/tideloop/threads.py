"""Work in threads: the names of :mod:`asyncio.threads`."""

from __future__ import annotations

from asyncio import to_thread

__all__ = ["to_thread"]
