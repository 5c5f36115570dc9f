"""The loop to use where none was named."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings

from ._loop import new_event_loop

__all__ = ["get_event_loop"]

if sys.version_info >= (3, 14):
    from asyncio import get_event_loop  # which makes none
else:

    def get_event_loop() -> asyncio.AbstractEventLoop:
        """Return the running loop; where none runs, the thread's loop, for the main thread a new Tideloop one.

        Deprecated without a running loop or one that set_event_loop() has set: a DeprecationWarning from 3.12 on, a
        RuntimeError from 3.14 on, and in other threads than the main one. Counterpart: :func:`asyncio.get_event_loop`.
        """
        running = asyncio._get_running_loop()
        if running is not None:
            return running
        policy = asyncio.get_event_loop_policy()
        # Who has set a policy of his own is asked alone.
        if type(policy) is asyncio.DefaultEventLoopPolicy and _has_no_loop(policy):
            if sys.version_info >= (3, 12):
                warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=2)
            policy.set_event_loop(new_event_loop())
        return policy.get_event_loop()

    def _has_no_loop(policy: asyncio.AbstractEventLoopPolicy) -> bool:
        """Whether asyncio would make one here."""
        local = getattr(policy, "_local", None)
        return (
            getattr(local, "_loop", policy) is None
            and not getattr(local, "_set_called", True)
            and threading.current_thread() is threading.main_thread()
        )
