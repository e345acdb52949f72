"""The hazards of the group "lifecycle": a request's life in the resource manager."""

from __future__ import annotations

from .hazard import Hazard

HAZARDS: list[Hazard] = [
    Hazard(
        "H10",
        "slot reuse with in-flight tokens",
        (),
        "On D a preempted request is deleted and its slot is free at once. The next request is put into it while the worker's step, "
        "begun before it read the stop, still produces a token for the slot. TOK credits it to whoever has the slot now.",
        "all, role decode; inferred",
        "Reachable with one slot, one block and two requests. (request, attempt) in the outputs mends the credit; the request alone does not, when "
        "a client posts the id again after the error. It does not mend the block: a step begun before the worker read the stop writes it after it "
        "is free, and on D P's messagers may have put the next owner's cache there, so slot and blocks are kept until the stop is reported. That "
        "was found by replaying, with tensors, a version that held. On D the preemption also races with the end: TOK has looked and the request is "
        "preempted, so the client gets an error and the result. A stop may be credited to the wrong request, too: one that finds its slot empty, "
        "because the last token came first, must not be reported. If it is, in A' and R', the report is taken for that of the next request in the "
        "slot once that one is aborted, and frees its slot while its last token is under way.",
        told_by="lifecycle-foreign-token-in-newest",
    ),
    Hazard(
        "H12",
        "abort waits and forced recycling",
        ("#7642",),
        "An abort of a request that waits or prefills is noted, and acted on once the request decodes. One that is not done in "
        "a second is recycled by force: the slot is given away while the worker's outputs for it are still on their way.",
        "newest; inferred, #7642 seen",
        "Forced recycling leads to H10 in the mixed role; with numbered outputs force does no harm to tokens, but the step in flight writes "
        "blocks that are free. In the mixed role every "
        "abort ends by itself, under fairness, so force is only needed where a worker reports no stop (before #7633, or stuck). A pause "
        "waits for ever because of H15. A prompt is computed to its end after its abort, and on D an aborted reservation goes to the worker "
        "before it is stopped. On P nothing acts on an abort at all: what was aborted is computed and sent.",
        told_by="lifecycle-forced-slot-reuse-in-newest",
    ),
    Hazard(
        "H15",
        "error tasks are never forgotten",
        (),
        "The preprocessing of a request fails; the client gets an error, and the request stays in `requests` and in the scheduler. A retry "
        "under the same id is refused as a duplicate, and a pause that drains waits for ever.",
        "all, mixed; inferred",
    ),
    Hazard(
        "H23",
        "finish versus preempt",
        (),
        "The last token was credited and FIN is busy; `schedule()` preempts the request, its stop is reported, and TOK puts it into "
        "`waiting`, where it is admitted and run again. In the version that looks the preempted up first, FIN may delete one between "
        "the look and the lookup: a KeyError, and the outputs of the whole step are dropped.",
        "all; the log text shows that it was seen",
        "Both reachable. Preemption may also come first, with the last token on its way; the path to it is as long. One request suffices for "
        "the zombie. FIN may also come after the zombie was admitted again: it frees the blocks under it, another request gets them, and a "
        "step writes one block for both (P7), which is a candidate for H31 that the facts do not name. The dropped step needs the stop to be "
        "reported after the end was credited and before FIN.",
        told_by="lifecycle-zombie-stopped-after-its-end-in-newest",
    ),
    Hazard(
        "H30",
        "re-insertion at the front of running",
        (),
        "A request with the extended block table is not preempted but put back at the front of `running`, while `schedule()` walks "
        "along it by an index. All before the index move back by one, and the one that was just visited is visited again.",
        "all; inferred",
    ),
    Hazard(
        "H-24",
        "preemption invalidates the blocks that the messager knows",
        ("#7944",),
        "`schedule()` on P needs a block more than was preallocated and preempts a request whose cache task is registered. It gets "
        "other blocks when it is admitted again; the messager ships the old ones.",
        "mainline; inferred",
        "With speculation as in the claim. A stop (old pause, abort) does it with prefill_schedule too: the blocks of a request that "
        "has been computed are freed before the messager has shipped them.",
    ),
    Hazard(
        "H-29",
        "V2 slot clobber",
        (),
        "A finishing thread frees the slot and then sends FINISH. Between the two another request is given the slot; upon FINISH the "
        "slot is freed again, and a third request gets it beside the second.",
        "V2; interleaving inferred",
        "The gap need not be there: FINISH may wait in the queue behind a PREALLOCATE. Freeing it only if it is still one's own mends "
        "it as well. A query waits for ever with prefill_schedule, which does not drain the queue, whatever the number of prepare threads; and "
        "behind the gate of #6680 when the worker dies in a forward (else the gate opens). Draining before the look at the gate mends that.",
        told_by="lifecycle-queue-slot-shared-in-v2",
    ),
    Hazard(
        "H-41",
        "finish of a waiting request",
        ("#7944",),
        "FIN skips a request that it finds in `waiting`: slot and blocks stay with it.",
        "all; from code",
        "Never freed only where `waiting` is not served, which is prefill_schedule. Where it is, the request runs again and is freed "
        "at its second end (H23).",
        told_by="lifecycle-prefill-sent-and-freed-in-optimised",
    ),
]
