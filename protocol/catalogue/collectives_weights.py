"""Scenarios of the group "collectives": the legacy update of weights. The table of what was found is in `collectives.py`."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..machines.collectives.weight_update import build
from . import variant_scenario

CROSSED, MISMATCHED, OPENS = "no_crossed_collectives", "no_mismatched_collectives", "gate_opens"
FAILS, BETWEEN, UNREAD = "no_worker_fails", "no_batch_dropped_between_clears", "no_batch_dropped_unread"
_weights = partial(variant_scenario, "collectives-weights", build)

# fmt: off
FALLS_THROUGH = (
    "Rank 0 announces the batch, then learns of the update; after it every rank clears the queue, and the iteration goes on to read "
    "with the old announcement: the queue is empty, and the assertion of #6680 kills the worker."
)
GHOST = (
    "The queue is cleared but its register stays up (before #7111). In the next iteration the first rank to read finds nothing, and "
    "since all read flags are up it is also the last: it takes the announcement back, and the others see none."
)
SECOND = (
    "One rank clears the queue after the update; the engine finds it empty and puts the next batch; another rank clears the "
    "queue. The batch is gone, the read flags are up, and the engine believes that it was delivered."
)
WAITING = (
    "A batch lies in the queue when the update is made, and is cleared away with the rest; the engine is not told, so its "
    "requests stay in `running` for ever."
)
KEPT = "Workers never clear the queue: a batch that waits there during an update is read by every rank in the next iteration."
COPIED = (
    "Nothing in the update holds the ranks together here. Rank 0 is done and stores NORMAL; a slow rank copies UPDATING back over it, and waits "
    "for a value that nobody will store."
)
BY_ONE = "Rank 0 alone stores the result, behind the all_gather of the next iteration, which every rank enters after its own update."
DROPPED: dict[str, Any] = {"begins_dropped": True}

WEIGHTS = [
    # -- H3: clear_data and the announcement -----------------------------------------------------------------------------------
    _weights("update-kills-worker-in-b", FAILS, "violated", 4778, 39, ("#7111", "#6680", "H3"), FALLS_THROUGH, "B", **DROPPED),
    _weights("update-kills-worker-in-b-with-7111", FAILS, "violated", 10_500, 39, ("#7111", "#6680", "H3"),
             FALLS_THROUGH + " #7111 lowers the register, not the announcement.", "B-with-7111", **DROPPED),
    _weights("update-kills-worker-in-b-prime-before-7111", FAILS, "violated", 3938, 67, ("#7111", "#6680", "H3"), GHOST,
             "B'-without-7111", **DROPPED),
    _weights("update-spares-worker-in-b-prime", FAILS, "holds", 4018, None, ("#7111", "#6680", "H3"),
             "The iteration starts over after the update, and rank 0 looks again.", "B'", **DROPPED),
    _weights("update-crosses-collectives-in-b-experts", CROSSED, "violated", 4966, 45, ("#7111", "#6680", "H3"),
             GHOST + " It waits at EPB, they at TPB#1b.", "B", **DROPPED, experts=True),
    _weights("update-crosses-collectives-in-a", CROSSED, "violated", 5692, 53, ("#7111", "H3"),
             "One rank reads the cleared queue, another the batch that the engine has put in between; it works and goes on to the next "
             "broadcast, while the first idles at TPB#2.", "A", **DROPPED),
    _weights("update-slips-a-barrier-in-b-prime-before-7111", MISMATCHED, "violated", 3938, 65, ("#7111", "#6680", "H3"),
             GHOST + " It waits at TPB#2', they at TPB#1b: the two are paired, and the phases have slipped.", "B'-without-7111", **DROPPED),
    _weights("update-crosses-collectives-in-b-prime-before-7111-experts", CROSSED, "violated", 4226, 69, ("#7111", "#6680", "H3"),
             GHOST + " With the phases slipped, it goes on to EPB, they to the next broadcast.", "B'-without-7111", **DROPPED, experts=True),
    _weights("update-shuts-gate-in-b", OPENS, "violated", 4778, 49, ("#7111", "#6680", "H3"),
             FALLS_THROUGH + " The next batch is never read.", "B", **DROPPED),
    _weights("same-collective-in-b-prime", MISMATCHED, "holds", 4018, None, ("#7111", "#6680", "H3"),
             "With the register lowered and the announcement taken back, all ranks see the same.", "B'", **DROPPED),
    _weights("update-spares-worker-in-ours", FAILS, "holds", 9075, None, ("#7111", "H3"), KEPT, "repaired"),
    _weights("update-kills-worker-in-ours-without-top-barrier", FAILS, "violated", 6257, 49, ("#7111", "H3"),
             "Ours without TPB#0: rank 0 sees the batch that another rank has yet to read, and announces it again.",
             "repaired-without-top-barrier", **DROPPED),
    _weights("update-crosses-nothing-in-ours", CROSSED, "holds", 9207, None, ("#7111", "H3"), KEPT, "repaired", experts=True),
    _weights("same-collective-in-ours", MISMATCHED, "holds", 9207, None, ("#7111", "H3"), KEPT, "repaired", experts=True),
    _weights("update-leaves-gate-open-in-ours", OPENS, "holds", 9075, None, ("#7111", "H3"), KEPT, "repaired"),
    # -- H4: clear_data by every rank ------------------------------------------------------------------------------------------
    _weights("batch-lost-between-clears-in-a", BETWEEN, "violated", 9210, 35, ("#7111", "H4"), SECOND, "A", **DROPPED),
    _weights("batch-lost-between-clears-in-b", BETWEEN, "violated", 5458, 35, ("#7111", "#6680", "H4"), SECOND, "B", **DROPPED),
    _weights("batch-lost-between-clears-in-b-prime", BETWEEN, "violated", 7166, 40, ("#7111", "#6680", "H4"), SECOND, "B'", **DROPPED),
    _weights("successor-read-first-in-b-prime", "each_batch_read_once", "violated", 7442, 62, ("#7111", "#6680", "H4"),
             "The ranks read the batch that follows a lost one.", "B'", **DROPPED),
    _weights("nothing-lost-between-clears-by-one-rank", BETWEEN, "holds", 3728, None, ("#7111", "H4"),
             "One rank clears, between two barriers.", "B'-cleared-once", **DROPPED),
    _weights("waiting-batch-lost-when-one-rank-clears", UNREAD, "violated", 6080, 42, ("#7111", "H4"),
             "One rank clears, between two barriers. " + WAITING, "B'-cleared-once", **DROPPED),
    _weights("waiting-batch-lost-in-ours-cleared-by-all", UNREAD, "violated", 7319, 16, ("#7111", "H4"), WAITING,
             "repaired-cleared-by-all", **DROPPED),
    _weights("nothing-lost-between-clears-in-ours", BETWEEN, "holds", 9075, None, ("#7111", "H4"), KEPT, "repaired"),
    _weights("nothing-lost-in-ours", UNREAD, "holds", 9075, None, ("#7111", "H4"), KEPT, "repaired"),
    _weights("each-batch-read-once-in-ours", "each_batch_read_once", "holds", 9075, None, ("#7111", "H4"), KEPT, "repaired"),
    _weights("each-batch-read-once-in-ours-tp3", "each_batch_read_once", "holds", 51_555, None, ("#7111", "H4"), KEPT, "repaired", ranks=3),
    # -- the status itself -----------------------------------------------------------------------------------------------------
    _weights("status-copied-over-result-in-b-prime", "update_ends", "violated", 4478, 37, ("#6680",), COPIED, "B'", **DROPPED, update_meets=False),
    _weights("write-conflict-on-status-in-b-prime", "no_write_conflict_on_model_weights_status", "violated", 4478, 27, ("#6680",),
             COPIED, "B'", **DROPPED, update_meets=False),
    _weights("result-before-all-updated-in-b-prime", "no_result_before_all_updated", "violated", 4478, 28, ("#6680",),
             "Nothing in the update holds the ranks together here. Rank 0 is done and says so; another is still loading its weights.",
             "B'", **DROPPED, update_meets=False),
    _weights("update-ends-in-b-prime", "update_ends", "holds", 11_988, None, ("#6680",),
             "A collective inside the update, behind every copy, keeps rank 0's result the last store.", "B'"),
    _weights("update-ends-in-ours", "update_ends", "holds", 9075, None, ("#6680",), BY_ONE, "repaired", update_meets=False),
    _weights("no-write-conflict-on-status-in-ours", "no_write_conflict_on_model_weights_status", "holds", 9075, None, ("#6680",), BY_ONE,
             "repaired", update_meets=False),
    _weights("result-after-all-updated-in-ours", "no_result_before_all_updated", "holds", 9075, None, ("#6680",), BY_ONE,
             "repaired", update_meets=False),
    _weights("two-instances-update-in-ours", "update_ends", "holds", 348_903, None, ("#6680", "H8"), BY_ONE, "repaired", instances=2, ranks=1),
    _weights("two-instances-told-after-all-updated-in-ours", "no_result_before_all_updated", "holds", 348_903, None, ("#6680",), BY_ONE,
             "repaired", instances=2, ranks=1),
    _weights("two-instances-read-each-batch-once-in-ours", "each_batch_read_once", "holds", 348_903, None, ("#7111", "H4"), KEPT,
             "repaired", instances=2, ranks=1),
    _weights("two-instances-cross-nothing-in-ours-tp2", CROSSED, "holds", 3_820_604, None, ("#6680", "H8"), BY_ONE,
             "repaired", instances=2, ranks=2, **DROPPED),
    _weights("some-update-with-unread-batch-in-ours", "some_update_with_unread_batch", "holds", 9075, 14, ("#7111", "H4"),
             "A batch does wait in the queue while the weights are updated.", "repaired"),
    _weights("some-update-done-in-ours", "some_update_done", "holds", 9075, 55, ("#7111",), "An update does come to its end.", "repaired"),
    _weights("some-batch-read-after-update-in-ours", "some_batch_read_after_update", "holds", 9075, 63, ("#7111",),
             "Work goes on with the new weights.", "repaired"),
]
# fmt: on
