"""Tideloop: Python's concurrency, rebuilt in Rust. An asyncio program runs on it unchanged.

``import tideloop as asyncio`` has every name of asyncio's, its modules' too, with Tideloop's behind them.
``tideloop.run(main())`` runs a program; ``tideloop.install()`` makes every loop that asyncio creates a Tideloop one.
"""

from __future__ import annotations

import os as _os
import sys
import typing as _typing

try:
    from asyncio import SelectorEventLoop as SelectorEventLoop

    from ._install import install as install
    from ._install import uninstall as uninstall
    from ._loop import EventLoop as EventLoop
    from ._names import complete as _complete
    from ._names import complete_package as _complete_package
    from ._native import __version__ as __version__
    from ._registry import install as _show_native_tasks
    from .base_events import *
    from .coroutines import *
    from .events import *
    from .exceptions import *
    from .futures import *
    from .locks import *
    from .protocols import *
    from .queues import *
    from .runners import *
    from .streams import *
    from .subprocess import *
    from .taskgroups import *
    from .tasks import *
    from .threads import *
    from .timeouts import *
    from .transports import *

    if sys.version_info >= (3, 14):
        from .graph import *
    else:
        from asyncio import AbstractChildWatcher as AbstractChildWatcher
        from asyncio import DefaultEventLoopPolicy as DefaultEventLoopPolicy
        from asyncio import FastChildWatcher as FastChildWatcher
        from asyncio import MultiLoopChildWatcher as MultiLoopChildWatcher
        from asyncio import PidfdChildWatcher as PidfdChildWatcher
        from asyncio import SafeChildWatcher as SafeChildWatcher
        from asyncio import ThreadedChildWatcher as ThreadedChildWatcher
except ImportError as _broken:
    _broken.add_note("`tideloop doctor` says what is wrong with this installation.")
    if sys.argv[1:2] != ["doctor"]:  # which lives in this package, and has to be imported for that
        raise
else:
    _complete(
        *"base_events coroutines events exceptions futures locks protocols queues runners streams subprocess taskgroups"
        " tasks threads timeouts transports".split(),
        *["graph"] * (sys.version_info >= (3, 14)),
    )
    if sys.version_info < (3, 14):
        from ._install import EventLoopPolicy
    _complete_package()
    _show_native_tasks()  # asyncio.all_tasks() sees them from here on
    if sys.version_info < (3, 14):
        # All at once: a module with a __getattr__ of its own has each of its names looked up the slow way.
        from . import (
            base_futures,
            base_subprocess,
            base_tasks,
            channels,
            constants,
            format_helpers,
            log,
            mixins,
            observe,
            selector_events,
            sslproto,
            staggered,
            sync,
            trsock,
            unix_events,
        )

if _os.environ.get("TIDELOOP_DEADLOCKS"):
    from ._deadlocks import begin_as_the_environment_says as _begin

    _begin()

if _typing.TYPE_CHECKING:
    from . import (
        base_events,
        base_futures,
        base_subprocess,
        base_tasks,
        channels,
        constants,
        coroutines,
        events,
        exceptions,
        format_helpers,
        futures,
        locks,
        log,
        mixins,
        observe,
        protocols,
        queues,
        runners,
        selector_events,
        sslproto,
        staggered,
        streams,
        subprocess,
        sync,
        taskgroups,
        tasks,
        threads,
        timeouts,
        transports,
        trsock,
        unix_events,
    )
    from ._install import EventLoopPolicy as EventLoopPolicy

    if sys.version_info >= (3, 14):
        from . import graph
elif sys.version_info >= (3, 14):
    # Modules that few ask for are imported when somebody does.
    _LATER = frozenset(
        "base_futures base_subprocess base_tasks channels constants format_helpers log mixins observe selector_events"
        " sslproto staggered sync trsock unix_events".split()
    )

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})

    def __getattr__(name: str) -> _typing.Any:
        if name in _LATER:
            import importlib

            return importlib.import_module(f"{__name__}.{name}")
        if name != "EventLoopPolicy":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise AttributeError(
            "tideloop.EventLoopPolicy does not exist on Python 3.14 and later, where asyncio's policies are "
            "deprecated: use tideloop.run(), tideloop.install() or asyncio.Runner(loop_factory="
            "tideloop.new_event_loop)"
        )
