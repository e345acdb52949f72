"""A request in the resource manager: mixed, prefill and decode roles, preemption, abort, two-step finish."""
