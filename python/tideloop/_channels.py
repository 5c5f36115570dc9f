"""The native channels for threads and tasks, by their public names."""

from ._native import _both

Broadcast = _both.Broadcast
Channel = _both.Channel
Subscription = _both.Subscription
Watch = _both.Watch
Watcher = _both.Watcher
select = _both.select
