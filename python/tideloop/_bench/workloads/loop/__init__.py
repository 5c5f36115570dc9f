"""What asyncio does above the socket: CPU time per operation of tasks, timers, locks, queues and threads."""
