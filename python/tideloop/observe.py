"""Looking into a running program: deadlocks among threads and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from ._deadlocks import Deadlock as Deadlock
    from ._deadlocks import DeadlockError as DeadlockError
    from ._deadlocks import Held as Held
    from ._deadlocks import Member as Member
    from ._deadlocks import Site as Site
    from ._deadlocks import deadlocks as deadlocks

__all__ = ["Deadlock", "DeadlockError", "Held", "Member", "Site", "deadlocks"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    # Its classes take an eighth of the time in which the package is imported: they come when somebody asks.
    def __getattr__(name: str) -> _Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _deadlocks

        value = globals()[name] = getattr(_deadlocks, name)
        return value
