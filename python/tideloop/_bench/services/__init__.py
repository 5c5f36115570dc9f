"""What the clients among the workloads talk to: one file each, with `SERVICE = Service(…)`."""
