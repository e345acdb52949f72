"""The load client: plays a workload against an engine or a server, and measures what a client of theirs would see."""
