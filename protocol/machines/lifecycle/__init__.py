"""A request in the resource manager, in the mixed, decode and prefill roles: preemption, abort, error, finish in two steps.

Four systems: `lifecycle.py` (mixed and decode, over the request of `request.py`), `prefill_scheduling.py` (prefill, over that of
`prefill_request.py`), `running_list.py` (one `schedule()` that walks along `running`) and `query_queue.py` (V2's messages).
"""
