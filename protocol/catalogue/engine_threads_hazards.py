"""The hazards of the group "engine-threads": the engine's threads against each other."""

from __future__ import annotations

from .hazard import Hazard

# fmt: off
HAZARDS: list[Hazard] = [
    Hazard(
        "H7", "fetch without back-pressure", ("#6680",),
        "From #6680 on a fetch is submitted in every round, before the gate and whatever waits. While the gate is closed the whole "
        "queue of the scheduler moves into RM.waiting, where neither its order nor its time to live holds any more, and where the old "
        "pause clears it.",
        "B; observed",
        "Confirmed in B and B'. A is bounded, but by two fetches and not by one: it looks at what waits first and at is_fetching "
        "second, and the fetch under way may add and end between the two looks. The other order would be exact.",
    ),
    Hazard(
        "H9", "schedule() and put_tasks are not one step", ("#6680", "#7724", "#6743"),
        "RM.lock is released between schedule() and put_tasks. An abort that ZMQ-in puts itself, or the stops of a pause, can get into "
        "the queue before the batch that was decided first: the worker then runs a request that was recycled, on a block that is free "
        "or another's.",
        "A, B, A', R; inferred",
        "Violated in A (pause), B and B' (abort, pause) and R (abort). In A' and R' not so: the new pause puts nothing, and the stop of "
        "an abort comes from schedule(). Before #7633 it takes a second request, whose step reports the stop. The model adds two "
        "faults. With the same abort, a stop names a slot, and hits the next request in it; one critical section around schedule() and "
        "the put does not mend that. With the newest abort (A', R') the stop of a request that has just ended is reported all the same, "
        "and the report is taken for that of the next request in the slot: H10 in the mixed role, with two aborts. A third: an abort that is put "
        "past the scheduler says how many rows there were when it was begun, and the worker leaves out a row that has come since (group words).",
    ),
    Hazard(
        "H14", "an exception in a fetch loses its requests", ("#7724",),
        "Any exception after get_requests is logged and is_fetching lowered; the requests in hand are neither answered nor given back, "
        "with slot and blocks where they had any. In E0 a failed preprocessing in a batch of two is enough: the second look takes its "
        "id out of need again.",
        "all versions on P; observed",
        "Confirmed, in the mixed role as well (without slot and blocks). In E0's loop the second look always comes at once: the failed "
        "request's acknowledgement is never used up, so the loop does not sleep. It takes no second failure and no slow messager; a "
        "batch of one is safe.",
    ),
    Hazard(
        "H-09", "an exception is the silent loss of a prepare batch", ("#7724",),
        "The same, seen from the prepare batch: up to three requests without an answer, and their slots and blocks on P.",
        "E0, E1; observed",
        "Confirmed in both; the trigger of E0's loop is gone in E1, which looks at each request's preprocessing once, before it "
        "registers. What it leaves behind at the messager and at D is the subject of preparation.",
        told_by="engine-threads-failed-preprocessing-loses-the-batch-in-e0",
    ),
    Hazard(
        "H26", "a RuntimeError ends the scheduling thread", ("#7141", "#7791"),
        "get_available_position raises a RuntimeError when there is no position, and so does submit when the pool is closed. Old A "
        "swallowed what it did not know, and went on with a request in running without a slot; since #7141 it is raised again, and the "
        "thread ends.",
        "A'; inferred",
        "Half of it. The missing position needs an admission that does not count what is being aborted: #7141 counts it and raises "
        "again in one change, so A' never gets there (A loses a request, and A' without the count loses the thread). It is not "
        "reachable in B, whose abort leaves the request in running. A closed pool ends the thread of A' on P only, at shutdown or at "
        "the interpreter's exit.",
        told_by="engine-threads-closed-pool-ends-the-thread-in-a-prime",
    ),
    Hazard(
        "H27", "the control thread waits for a rank; a fetch outlives a reset", ("#6680",),
        "Control requests, the stops of a pause and B's aborts are put by the thread that reads the socket, and put_tasks waits until "
        "every rank has read. And a fetch looks at is_paused only when it begins: a request that it took before the reset of a pause "
        "is added after it.",
        "all versions; observed, inferred",
        "Both confirmed. With ranks that go on the wait ends; with ranks that stop the intake is over, in A' too, as control requests "
        "are put the same way. The second half needs no resume: the scheduling thread may be past its own look, and the request runs "
        "during the pause. It is the old pause only; the new one waits until the scheduler has no request left.",
    ),
    Hazard(
        "H28", "the token processor is a single point", (),
        "On P it waits for the report of one request's sent cache, with no end, and every other first token waits behind. And one "
        "handler around the whole step drops the tokens of all slots when one of them fails.",
        "all versions; observed",
        "Confirmed, both. With reports that all come, their order does not matter, as what is read for another is kept.",
    ),
    Hazard(
        "H29", "the batch is copied when it is put", ("#6680",),
        "Between schedule() and the copy that put_tasks makes, a request of the batch may be finished and its blocks freed: the worker "
        "gets an empty table for a live slot.",
        "all versions; inferred, usually benign",
        "The empty table is put in every version, and is benign after a finish: the worker has stopped the slot by itself. It is not "
        "benign with B's abort, where the copy of a prefill starts the slot with it.",
    ),
    Hazard(
        "H31", "k3_kl_mean 50 times higher", ("#6680", "#7791"),
        "The reason of #7791: with #6680 the divergence between the trained and the served model rose fifty-fold. The cause was not "
        "published.",
        "B; observed, cause unknown",
        unmodelled="A number measured on a model's outputs is no property of an interleaving; whether a control-plane fault can cause it is. The "
        "candidates are modelled under their own numbers: H9 (a step that writes another request's block), H7 and H27 with the old "
        "pause (a request that survives the reset runs on a cache that was reset), H10 (a token credited to another request), and H23, "
        "which the facts do not name: FIN frees the blocks of a request that runs again after its end, and a step writes one of them twice.",
    ),
    Hazard(
        "H-22", "abort during preparation", ("#7724",),
        "A request in preparation is in RM.requests, so B's abort puts a stop for its slot; the report recycles slot and block while "
        "the fetch still waits for D and looks at nothing. It then adds a request that has neither.",
        "E1, E0 partly; inferred: two requests own the same blocks",
        "Violated in E0 as in E1 (B and R on P). What the two requests share is the slot: freeing empties the block table, so the late "
        "one allocates anew when it is scheduled. Before preallocation the abort is lost in another way: the scheduler forgets the "
        "request, and the fetch adds it. The newest abort does no harm here and nothing else either: no one acts on it while D is "
        "silent, and the new pause waits with it.",
        told_by="engine-threads-aborted-in-preparation-shares-its-slot-in-r",
    ),
    Hazard(
        "H-23", "pause during preparation", ("#7724",),
        "The old pause rebuilds the free list while prepare threads hold blocks: after the resume a block has two owners.",
        "all versions; inferred",
        "Violated in A, B and R. It needs no preparation: FIN frees the slot first and the block later, and a reset in between frees "
        "the block twice; and a request that the pause missed may be scheduled before the reset. The new pause waits for both kinds of "
        "request, but not for FIN's second half; ours does.",
    ),
    Hazard(
        "H-37", "no prepare threads", ("#7724",),
        "With FD_PREFILL_PREPARE_REQ_THREAD_NUM at zero or less no thread is started, and P never fetches; nothing says so.",
        "E1; observed in review",
    ),
    Hazard(
        "H-40", "an abort stalls the intake", ("#6680", "#7724"),
        "B's abort is put by the thread that reads the socket; while a rank has not read the batch before, no request, abort or "
        "control message is read.",
        "all versions with the direct abort; observed",
    ),
]
# fmt: on
