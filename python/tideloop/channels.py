"""Channels between threads and tasks: each object serves any thread and any task, on any loop."""

from __future__ import annotations

from typing import Any

from ._channels import Broadcast as Broadcast
from ._channels import Channel as Channel
from ._channels import Subscription as Subscription
from ._channels import Watch as Watch
from ._channels import Watcher as Watcher
from ._channels import select as select
from ._parallel import Parallel as Parallel
from ._parallel import Sequence as Sequence

__all__ = [
    "Broadcast",
    "Channel",
    "Closed",
    "Lagged",
    "Parallel",
    "Sequence",
    "Subscription",
    "Watch",
    "Watcher",
    "WouldBlock",
    "select",
]


class Closed(Exception):
    """It is closed: nothing can be sent any more, or nothing is left to receive."""

    channel: Any
    """The channel that it is about: a Channel, Broadcast, Subscription, Watch or Watcher."""

    def __init__(self, channel: Any = None) -> None:
        super().__init__("the channel is closed")
        self.channel = channel


class WouldBlock(Exception):
    """A call that does not wait would have to: there is nothing to receive, or no room."""


class Lagged(Exception):
    """Values were dropped before this subscriber of a Broadcast has received them."""

    missed: int
    """How many."""

    def __init__(self, missed: int) -> None:
        super().__init__(f"{missed} values were dropped before they were received")
        self.missed = missed


for _class in (Parallel, Sequence):
    _class.__module__ = __name__
del _class
