"""The workloads: one file each, with `WORKLOAD = …`; a folder's name on the command line means all in it."""
