"""Scenarios of the group "words": one word, two who store to it or build on it, and no lock.

| word | what goes wrong in the published versions | mended |
|---|---|---|
| `need_block_num_signal` (1.2, 6.3) | an ask that comes between the scheduler's look and its 0 is lost | one writer: how many were needed in all |
| `real_bsz` (3.8, 4.5) | an abort's batch says a smaller number of rows than are in use | one putter; ours: the worker knows its rows |
| `signal_update_weight_from_tensor` (4.6) | instance 0 speaks for all: others load half-written weights, or wait for ever | all are heard |
"""

from __future__ import annotations

from functools import partial

from ..machines.words import batch_rows, need_block, rebalance
from . import variant_scenario
from .hazard import Hazard

_need = partial(variant_scenario, "words", need_block.build)
_rows = partial(variant_scenario, "words", batch_rows.build)
_experts = partial(variant_scenario, "words", rebalance.build)

MET, KEPT, ENDS, COVER, HALF, UPDATED = "need_met", "asks_kept", "inserted_request_ends", "rows_cover_requests", "loaded_half_written", "update_ends"
TWIN = "The twin of the claims about this: "
ONE_WRITER = "The rank stores how many blocks it has needed in all; the scheduler stores nothing there, and gives the difference."
FEWER = (
    "The control thread has loaded the number of rows for its abort before another request was scheduled into a higher row, and puts its batch "
    "behind that one's: the worker goes on with the smaller number, and the row is not computed any more."
)
ALL_HEARD = "Every instance is heard by all; all load when all are ready, and take their words down then."
# fmt: off
SCENARIOS = [
    _need("ask-lost-under-the-zero", KEPT, "violated", 36, 6, ("1.2",),
          "The rank stores a larger number between the scheduler's load and its 0, which nobody has seen when it is gone.", "published"),
    _need("rank-waits-for-blocks-for-ever", MET, "violated", 35, 9, ("1.2",),
          "The rank has asked, waits, and nobody knows.", "published"),
    _need("ask-kept-in-ours", KEPT, "holds", 21, None, ("1.2",), ONE_WRITER, "repaired"),
    _need("need-met-in-ours", MET, "holds", 21, None, ("1.2",), ONE_WRITER, "repaired"),
    _need("some-need-met-in-ours", "some_need_met", "holds", 21, 5, ("1.2",), TWIN + "blocks come.", "repaired"),
    _rows("abort-takes-rows-away-in-b", COVER, "violated", 45, 8, ("#6680",), FEWER, "B"),
    _rows("request-in-a-high-row-never-ends-in-b", ENDS, "violated", 45, 8, ("#6680",), FEWER, "B"),
    _rows("one-putter-counts-rows-rightly", COVER, "holds", 7, None, ("#6743",),
          "The scheduling thread puts the abort with its own batch, and counts rows for both.", "one-putter"),
    _rows("rows-cover-requests-in-ours", COVER, "holds", 45, None, ("#6680",), "The worker knows which of its rows are in use.", "repaired"),
    _rows("request-in-a-high-row-ends-in-ours", ENDS, "holds", 45, None, ("#6680",), "The worker knows which of its rows are in use.", "repaired"),
    _rows("some-request-ends-in-ours", "some_request_ends", "holds", 45, 6, ("#6680",), TWIN + "the request ends.", "repaired"),
    _experts("half-written-experts-loaded", HALF, "violated", 2_558, 11, ("4.6",),
             "Instance 0 is ready and says so for all: an instance whose weights are half written loads them.", "published"),
    _experts("announced-experts-never-loaded", UPDATED, "violated", 2_038, 46, ("4.6",),
             "An instance that is ready behind instance 0 takes its word down and is not heard: its manager waits for ever.", "published"),
    _experts("whole-experts-loaded-in-ours", HALF, "holds", 828, None, ("4.6",), ALL_HEARD, "repaired"),
    _experts("announced-experts-loaded-in-ours", UPDATED, "holds", 828, None, ("4.6",), ALL_HEARD, "repaired"),
    _experts("some-experts-loaded-by-all-in-ours", "some_all_loaded", "holds", 828, 18, ("4.6",), TWIN + "all load.", "repaired"),
]
# fmt: on

HAZARDS: list[Hazard] = []
