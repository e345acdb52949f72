"""What the facts tell and no row or property expresses, section by section, each with its reason.

What is an interleaving question and is missing here is an omission. E: the engine-worker facts; C: those of the cache hand-over.
"""

from __future__ import annotations

BEYOND: tuple[tuple[str, str, str], ...] = (
    ("E 1.1", "the interpreter's resource tracker unlinks a segment when somebody who has attached exits",
     "a later attach fails at once and by name; what a segment made anew does to those who have attached is H25"),
    ("E 1.1", "stores that other processes see late",
     "every pair of accesses that matters has a remote call or a collective between, says the section itself"),
    ("E 1.2", "worker_healthy_live_signal, read for rank 0 alone",
     "30 seconds is a time, and there is none here; that other ranks' standstill reaches rank 0 at the next meeting is in the groups of collectives"),
    ("E 1.2", "exist_swapped_task_signal, ExistTaskStatus.REFUSE", "nobody reads them"),
    ("E 1.2", "kv_cache_status, prefix_tree_status", "the facts name their values, and not who waits for whom"),
    ("E 1.2, 7", "worker_ready, loaded_model, launched_expert_service and the others of the start",
     "each is raised once and waited for by one process; a word of an earlier life is H25"),
    ("E 1.2, 2.3", "the V0 scheduling loop: exist_prefill_task_signal, num_cache_infos, no schedule while an answer's key is left over",
     "of V0 the messager is modelled (H-35); its loop is in none of the versions that are compared"),
    ("E 3.8, H5", "answers to control requests that come after 60 seconds",
     "an answer names its request, and both versions keep it from the next one: the old skips it, the new puts it by"),
    ("E 4.5", "recovery stops (-3) and blocks of a stalled slot", "what a worker computes, not when"),
    ("E 5", "InferScheduler: its deque has no lock, expired requests are dropped without an answer",
     "each operation on a deque is one step, and one thread takes from it; that expired requests are not answered takes no interleaving. "
     "With several threads (R) a pop of the emptied deque raises, which is H14"),
    ("E 7", "agreement on the phase of a mixed instance, the barrier of AFD in front of the loop",
     "one more collective an iteration, in the same order on every rank; what happens where the order differs is H8"),
    ("C 1.1", "the pool that fetches multimodal features", "a request's preprocessing ends, or fails, at any time (H14, H-09)"),
    ("C CH7", "high-water mark, reconnects, heart-beats to the router",
     "a send that does not arrive is a lost message, which the group network has"),
    ("C CH8", "seven retries of a post, negative block ids",
     "retries end in one outcome, which is decided; ids are data, and the padded list is H-18"),
    ("C 6.7", "the step number of V0 wraps around at 100,003", "decreases are counted; nothing happens at the wrap that happens nowhere else"),
    ("C 9.1", "retries by the router with a new id", "a new id is a new request; the one that was given up is H-38 and H22"),
    ("C 14", "polling intervals and time-outs",
     "there is no time: whoever polls may look at any moment, and a time-out may come at any moment of the wait"),
)  # fmt: skip
"""Section, what it tells, and why it is in no machine."""
