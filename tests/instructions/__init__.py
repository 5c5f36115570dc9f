"""Instructions per operation of micro workloads: what they were when last recorded, and what they are now."""
