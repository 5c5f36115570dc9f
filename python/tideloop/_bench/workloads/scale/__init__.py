"""Many of a thing: connections, tasks, timers; and much through one."""
