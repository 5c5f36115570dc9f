"""Tideloop: Python's concurrency, rebuilt in Rust. An asyncio program runs on it unchanged.

``tideloop.run(main())`` runs a program; ``tideloop.install()`` makes every loop that asyncio creates a Tideloop one.
"""

from __future__ import annotations

import sys as _sys
import typing as _typing

try:
    from ._install import install, uninstall
    from ._loop import EventLoop, new_event_loop
    from ._native import Future, Handle, Task, TimerHandle, __version__
    from ._registry import install as _show_native_tasks
    from ._server import Server
    from .runners import Runner, run
except ImportError as _broken:
    _broken.add_note("`tideloop doctor` says what is wrong with this installation.")
    if _sys.argv[1:2] != ["doctor"]:  # which lives in this package, and has to be imported for that
        raise

else:
    _show_native_tasks()  # asyncio.all_tasks() sees them from here on

if _typing.TYPE_CHECKING:
    from ._install import EventLoopPolicy as EventLoopPolicy

__all__ = [
    "EventLoop",
    "Future",
    "Handle",
    "Runner",
    "Server",
    "Task",
    "TimerHandle",
    "__version__",
    "install",
    "new_event_loop",
    "run",
    "uninstall",
]
if _sys.version_info < (3, 14):
    __all__.insert(__all__.index("EventLoop") + 1, "EventLoopPolicy")


def __getattr__(name: str) -> _typing.Any:
    if name == "EventLoopPolicy":
        if _sys.version_info >= (3, 14):
            raise AttributeError(
                "tideloop.EventLoopPolicy does not exist on Python 3.14 and later, where asyncio's policies are "
                "deprecated: use tideloop.run(), tideloop.install() or asyncio.Runner(loop_factory="
                "tideloop.new_event_loop)"
            )
        from ._install import EventLoopPolicy

        return EventLoopPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
