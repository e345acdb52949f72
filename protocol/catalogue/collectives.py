"""Scenarios of the group "collectives": ranks that must meet, and what one of them may hold up.

Four subjects. The first three have a repaired rule, which the whole repaired protocol takes over:

- *The round of expert-parallel instances.* Behind TPB#0 all ranks of all instances enter one all_gather, in every iteration
  and at one place, which says who has work, a batch or requests that go on decoding: if anybody has, everybody runs one
  forward, with its own work or an empty one, and if nobody has, nobody does. Engines put real batches only, so the workers
  of a stopped engine answer its rounds themselves; whatever else must be agreed (weights, controls, balancing) is agreed at
  that place.
- *The legacy update of weights.* Rank 0 hands out the weights' status at that place, too; a rank that learns of an update makes
  it and starts over; rank 0 alone stores the result, behind the all_gather of the next iteration. Workers never clear the queue.
- *The queue's lock.* A method of the queue is one remote call, inside which the server takes its lock and gives it back; what
  can raise is done by the client before.
- *Signals.* One writer, on the engine's node; and a segment's name carries the generation of the engine that made it.

| | A | B | B' | repaired |
|---|---|---|---|---|
| one stopped engine stalls all (H5) | no | yes | yes | no |
| ... when it is only paused, until it is resumed | no | heals | heals | no |
| an idle instance stalls all | no | without empty batches | - | without the question |
| forwards drift apart by two | on the CPU | without EPB | no | no |
| decode hangs at EPB (#6164) | no EPB | with EPB in every role | no | no |
| crossed with a broadcast at the top (H8) | no | yes | yes | no |
| crossed with one in the middle, or at the end of executed iterations | no | no | no | no |
| signal up for ever: the workers sleep (H6) | no signal | until they wake | until they wake | no |
| signal up for ever: a rank is dead (H6, H-34) | no signal | yes | yes | time-out |
| update of weights kills a worker (H3) | no assertion | with #7111, too | without #7111 | no |
| ... pairs different collectives | no | no | without #7111 | no |
| ... crosses collectives | yes | yes | without #7111, with experts | no |
| update drops a batch between two clears (H4) | yes | yes | yes | no |
| update drops a batch that waits | yes | yes | yes, also when one rank clears for all | no |

H13, H24, H25 and H11 are told with their machines, `lock_holder.py`, `placement.py` and `silent_batch.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..machines.collectives.expert_round import build as build_round
from ..machines.collectives.lock_holder import build as build_lock
from ..machines.collectives.placement import build as build_placement
from ..machines.collectives.silent_batch import build as build_silent
from ..machines.collectives.weight_update import build as build_weights
from . import Scenario, is_deep
from .collectives_hazards import HAZARDS

CROSSED, MISMATCHED, DRIFT = "no_crossed_collectives", "no_mismatched_collectives", "rounds_drift_at_most_one"
FORWARDED, READ, OPENS, FALLS = "batch_is_forwarded", "batch_is_read", "gate_opens", "signal_falls"
ENDS = "control_ends"
SOME, NO_SCHEDULE = "some_batch_forwarded", "no_schedule_during_forward"
FAILS, BETWEEN, UNREAD = "no_worker_fails", "no_batch_dropped_between_clears", "no_batch_dropped_unread"


def _scenario(
    group: str, build: Callable[..., Any], name: str, asked: str, expected: str, distinct: int, path: int | None,
    sources: tuple[str, ...], about: str, variant: str, **bounds: Any,
) -> Scenario:  # fmt: skip
    """One scenario; its variant is part of its configuration."""
    config = {"variant": variant, **bounds}
    deep = is_deep(distinct, expected)
    return Scenario(f"{group}-{name}", group, build, asked, expected, sources, variant, about, config, distinct, path, deep)


# A group of its own for each system, so that every one of them has its pages.
_round = partial(_scenario, "collectives", build_round)
_weights = partial(_scenario, "collectives-weights", build_weights)
_lock = partial(_scenario, "collectives-lock", build_lock)
_silent = partial(_scenario, "collectives-silence", build_silent)
_placed = partial(_scenario, "collectives-placement", build_placement)

STOPPED = (
    "The engine of one instance is stopped and puts nothing. The ranks of another read their batch and wait at EPB, with the forward signal up; "
    "the ranks of the stopped one pass TPB#1b for ever. So no instance gets a forward, and every gate stays shut."
)
SUBSET = (
    "A control request to one instance only: its ranks keep it until an all_gather shows one on every rank, which never happens. The engine gives up "
    "after 60 s, and the request stays behind."
)
IDLE = (
    "Only the first instance has requests. Its ranks read the batch and wait at EPB for the others, whose engines put nothing "
    "because they have nothing: nobody ever gets a forward, and the gate stays shut."
)
ASKED = (
    "All ranks of all instances enter one all_gather in every iteration, which says who has a batch; the ranks of an instance that "
    "has none, for whatever reason, run an empty forward beside the others."
)
INVERTED = (
    "Rank 0 of the first instance has read its batch and waits at EPB; the other instance saw none, is back at the top and waits in "
    "the broadcast of the whole world. Each waits for the other."
)
EVERYWHERE = "In A every rank runs every iteration, so all enter every collective in one order."
EXECUTED = "The collective lies in iterations that have a forward, and every rank has the same number of those."
HANGS = (
    "With EPB in every role an instance that has read a batch in the decode role waits there, while one that has none goes straight "
    "into the all-to-all of its empty forward. Empty batches do not help: they come in another iteration."
)
ASLEEP = (
    "The control request that puts the workers to sleep comes as a batch: every rank raises the signal, reads it, and leaves "
    "the iteration through the sleeping branch, which does not lower it. The gate is shut while they sleep."
)
DEAD = "A rank dies between its raise and its zero, or keeps the others in a collective; nobody else lowers the signal, and the gate has no time-out."
GIVES_UP = "A rank that dies ends the wait of every gate by its time-out, with an answer to the client."

# fmt: off
ROUND = [
    # -- H5: one stopped engine ------------------------------------------------------------------------------------------
    _round("stopped-engine-stalls-all-in-b", FORWARDED, "violated", 13_803, 21, ("#6680", "H5"), STOPPED, "B", fault="stop"),
    _round("stopped-engine-stalls-all-in-b-tp2", FORWARDED, "violated", 483_792, 31, ("#6680", "H5"), STOPPED, "B", fault="stop", ranks=2),
    _round("stopped-engine-stalls-all-in-b-prime", FORWARDED, "violated", 25_728, 27, ("#6680", "H5"), STOPPED, "B'", fault="stop"),
    _round("stopped-engine-shuts-every-gate-in-b", OPENS, "violated", 13_803, 21, ("#6680", "H5"), STOPPED, "B", fault="stop"),
    _round("paused-engine-heals-in-b", FORWARDED, "holds", 18_404, None, ("#6680", "H5"),
           "The engine is resumed: it finds its gate open and puts the batch, empty or not, that completes the round.", "B", fault="pause"),
    _round("stopped-engine-in-a", FORWARDED, "holds", 6720, None, ("#6680", "H5"),
           "In A the workers run on by themselves: those of a stopped engine run empty forwards.", "A", fault="stop"),
    _round("stopped-engine-in-ours", FORWARDED, "holds", 5715, None, ("#6680", "H5"), ASKED, "repaired", fault="stop"),
    _round("stopped-engine-in-ours-tp2", FORWARDED, "holds", 71_715, None, ("#6680", "H5"), ASKED, "repaired", fault="stop", ranks=2),
    _round("stopped-engine-in-ours-tp2-async", FORWARDED, "holds", 182_265, None, ("#6680", "H5"), ASKED,
           "repaired", fault="stop", ranks=2, forward="async"),
    _round("stopped-engine-leaves-gates-open-in-ours-tp2", OPENS, "holds", 71_715, None, ("#6680", "H5"), ASKED, "repaired", fault="stop", ranks=2),
    _round("some-batch-forwarded-beside-stopped-engine-in-ours", SOME, "holds", 5715, 19, ("#6680", "H5"),
           "The round does take place. " + ASKED, "repaired", fault="stop"),
    _round("control-for-one-instance-waits-in-b", ENDS, "violated", 17_622, 70, ("H5",), SUBSET, "B", fault="control_one", collective="middle"),
    _round("control-for-one-instance-waits-in-a", ENDS, "violated", 9184, 36, ("H5",), SUBSET, "A", fault="control_one", collective="middle"),
    _round("control-for-all-instances-runs-in-b", ENDS, "holds", 70_516, None, ("H5",),
           "Every instance gets the request, so the all_gather of pending controls finds one everywhere.",
           "B", fault="control_all", collective="middle"),
    _round("control-for-all-instances-runs-in-ours", ENDS, "holds", 28_466, None, ("H5",),
           "Every instance gets the request, so the all_gather of pending controls finds one everywhere.",
           "repaired", fault="control_all", collective="middle"),
    _round("control-for-one-instance-ends-in-ours", ENDS, "holds", 13_641, None, ("H5",),
           "The engine's time-out puts a withdrawal behind the request: every rank runs it, or none does.",
           "repaired", fault="control_withdrawn", collective="middle"),
    # -- P13: an idle instance, and every part of the rule -----------------------------------------------------------------
    _round("idle-instance-stalls-all-without-empty-batches", SOME, "violated", 570, None, ("#6680", "P13"),
           IDLE, "B-without-empty-batches", traffic="first"),
    _round("batch-waits-for-idle-instance-without-empty-batches", FORWARDED, "violated", 570, 23, ("#6680", "P13"),
           IDLE, "B-without-empty-batches", traffic="first"),
    _round("idle-instance-puts-empty-batches-in-b", FORWARDED, "holds", 2870, None, ("#6680", "P13"),
           "An engine that has nothing to schedule puts an empty batch, so the round is complete.", "B", traffic="first"),
    _round("idle-instance-puts-empty-batches-in-b-tp2", FORWARDED, "holds", 90_232, None, ("#6680", "P13"),
           "An engine that has nothing to schedule puts an empty batch, so the round is complete.", "B", traffic="first", ranks=2),
    _round("some-batch-forwarded-beside-idle-instance-in-b", SOME, "holds", 2870, 30, ("#6680", "P13"),
           "The round does take place.", "B", traffic="first"),
    _round("idle-instance-in-a", FORWARDED, "holds", 560, None, ("#6680", "P13"),
           "Idle ranks run empty forwards all the time.", "A", traffic="first"),
    _round("idle-instance-in-ours-tp2", FORWARDED, "holds", 9474, None, ("#6680", "P13"), ASKED, "repaired", traffic="first", ranks=2),
    _round("idle-instance-stalls-ours-unasked", SOME, "violated", 738, None, ("#6680", "P13"),
           "Ours without the question: the ranks with a batch enter the all-to-all of its forward, and the others never do.",
           "repaired-without-asking", traffic="first"),
    _round("idle-instance-stalls-ours-unasked-tp2", SOME, "violated", 10_362, None, ("#6680", "P13"), "As above, with two ranks an instance.",
           "repaired-without-asking", traffic="first", ranks=2),
    _round("three-instances-in-ours", FORWARDED, "holds", 302_388, None, ("#6680", "H5", "P13"), ASKED, "repaired", instances=3, fault="stop"),
    _round("three-instances-in-ours-tp2", FORWARDED, "holds", 12_473_988, None, ("#6680", "H5", "P13"), ASKED,
           "repaired", instances=3, ranks=2, fault="stop"),
    _round("two-instances-in-ours-tp3-async", FORWARDED, "holds", 4_327_905, None, ("#6680", "H5", "P13"), ASKED,
           "repaired", ranks=3, fault="stop", forward="async"),
    _round("batches-read-in-ours-tp2-async", READ, "holds", 60_755, None, ("#6680", "P13"), ASKED, "repaired", ranks=2, forward="async"),
    _round("batch-never-read-in-ours-without-top-barrier", READ, "violated", 74_665, 51, ("#6680",),
           "Ours without TPB#0: rank 0, through a forward that did not block, offers the batch that another rank has yet to read; when all are "
           "told to work on it, it is gone.", "repaired-without-top-barrier", ranks=2, forward="async"),
    _round("gates-open-in-ours-tp2", OPENS, "holds", 23_905, None, ("#6680",), ASKED, "repaired", ranks=2),
    _round("gates-open-in-ours-tp2-async", OPENS, "holds", 60_755, None, ("#6680",), ASKED, "repaired", ranks=2, forward="async"),
    _round("gate-starves-in-ours-raising-for-others", OPENS, "violated", 2151, 34, ("#6680",),
           "Ours, but rank 0 raises the signal for an empty forward, too: beside a busy instance the signal of an idle one is down for "
           "moments only, and its gate may look in between for ever.", "repaired-raising-for-others"),
    _round("gate-starves-in-ours-raising-for-others-tp2", OPENS, "violated", 26_383, 56, ("#6680",), "As above, with two ranks an instance.",
           "repaired-raising-for-others", ranks=2),
    _round("no-schedule-during-forward-in-ours-tp2-async", NO_SCHEDULE, "holds", 60_755, None, ("#6680", "H1"), ASKED,
           "repaired", ranks=2, forward="async"),
    _round("schedule-during-forward-in-b-tp2", NO_SCHEDULE, "violated", 161_264, 50, ("#6680", "H1"),
           "The early zero, in the round: the first rank of an instance to finish lowers the signal for all.", "B", ranks=2),
    # -- the drift of rounds -----------------------------------------------------------------------------------------------
    _round("rounds-in-step-in-b-async", DRIFT, "holds", 5609, None, ("#6680",),
           "Nobody passes EPB before every rank has read the batch of this round.", "B", forward="async"),
    _round("rounds-in-step-in-b-tp2-async", DRIFT, "holds", 374_528, None, ("#6680",),
           "Nobody passes EPB before every rank has read the batch of this round.", "B", forward="async", ranks=2),
    _round("rounds-drift-in-b-without-meeting", DRIFT, "violated", 19_845, 28, ("#6680",),
           "Empty batches do not keep the rounds in step: without EPB, where a launch does not block, one engine puts batch after batch.",
           "B-without-meeting", forward="async"),
    _round("rounds-drift-in-a-async", DRIFT, "violated", 8000, 9, ("#6680",),
           "A has no step but the all-to-all itself: where a launch does not block, the loops run apart, and only the device waits.",
           "A", forward="async"),
    _round("rounds-in-step-in-ours-tp2-async", DRIFT, "holds", 60_755, None, ("#6680",), ASKED, "repaired", forward="async", ranks=2),
    _round("some-rank-begins-ahead-in-ours", "some_rank_begins_ahead", "holds", 2759, 14, ("#6680",),
           "A rank may be one forward ahead of another.", "repaired", forward="async"),
    # -- #6164: EPB in the decode role -------------------------------------------------------------------------------------
    _round("decode-hangs-with-meeting-in-every-role", CROSSED, "violated", 6456, 17, ("#6085", "#6164"), HANGS, "6085", role="decode"),
    _round("decode-never-forwards-with-meeting-in-every-role", FORWARDED, "violated", 6456, 23, ("#6085", "#6164"), HANGS, "6085", role="decode"),
    _round("decode-meets-another-collective-with-meeting-in-every-role", MISMATCHED, "violated", 7424, 17, ("#6085", "#6164"),
           "With FD_ENABLE_V1_UPDATE_WEIGHTS an instance without a batch enters the all_gather of pending controls in the communicator in which the "
           "other waits at EPB: the two are paired.", "6085", role="decode", collective="middle"),
    _round("prefill-meets-with-meeting-in-every-role", FORWARDED, "holds", 4601, None, ("#6085", "#6164"),
           "In the prefill role an iteration without a batch has no forward, so everybody comes to EPB.", "6085"),
    _round("decode-without-meeting-in-b", CROSSED, "holds", 6440, None, ("#6164",),
           "EPB restricted to the prefill role: decoding ranks run on, held in step by the all-to-all.", "B", role="decode"),
    _round("decode-forwards-in-b", FORWARDED, "holds", 6440, None, ("#6164",),
           "EPB restricted to the prefill role: decoding ranks run on, held in step by the all-to-all.", "B", role="decode"),
    _round("decode-in-ours", CROSSED, "holds", 75_730, None, ("#6164",), ASKED, "repaired", role="decode", ranks=2),
    _round("decoding-goes-on-in-ours-tp2", "decoding_goes_on", "holds", 75_730, None, ("#6164",),
           "Requests that go on decoding are work as well: rank 0 offers them, and the others run an empty forward.",
           "repaired", role="decode", ranks=2),
    _round("decoding-stops-in-ours-offering-batches-only", "decoding_goes_on", "violated", 6528, 39, ("#6164",),
           "Ours, but only a batch is offered: an instance whose requests decode rests with the others.",
           "repaired-offering-batches-only", role="decode"),
    _round("same-collective-in-b-middle", MISMATCHED, "holds", 4729, None, ("#6164",), EXECUTED, "B", collective="middle"),
    _round("same-collective-in-ours-middle", MISMATCHED, "holds", 25_825, None, ("#6164",), ASKED, "repaired", collective="middle", ranks=2),
    # -- H8: the order of collectives ------------------------------------------------------------------------------------------
    _round("broadcast-at-top-crosses-in-b", CROSSED, "violated", 6991, 23, ("#6680", "H8"), INVERTED, "B", collective="top"),
    _round("broadcast-at-top-crosses-in-b-tp2", CROSSED, "violated", 122_583, 30, ("#6680", "H8"), INVERTED, "B", collective="top", ranks=2),
    _round("broadcast-at-top-crosses-in-b-prime", CROSSED, "violated", 11_716, 29, ("#6680", "H8"), INVERTED, "B'", collective="top"),
    _round("broadcast-at-top-stalls-b", FORWARDED, "violated", 6991, 29, ("#6680", "H8"), INVERTED, "B", collective="top"),
    _round("broadcast-at-top-in-a", CROSSED, "holds", 2112, None, ("#6680", "H8"), EVERYWHERE, "A", collective="top"),
    _round("broadcast-at-top-in-a-tp2", CROSSED, "holds", 29_952, None, ("#6680", "H8"), EVERYWHERE, "A", collective="top", ranks=2),
    _round("balancing-at-end-in-b", CROSSED, "holds", 4397, None, ("#6680", "H8"),
           "Why #6680 moved the broadcast of load balancing. " + EXECUTED, "B", collective="end"),
    _round("balancing-at-end-in-b-tp2", CROSSED, "holds", 126_653, None, ("#6680", "H8"),
           "Why #6680 moved the broadcast of load balancing. " + EXECUTED, "B", collective="end", ranks=2),
    _round("pending-controls-in-middle-in-b", CROSSED, "holds", 4729, None, ("#6680", "H8"), EXECUTED, "B", collective="middle"),
    _round("broadcast-at-top-in-ours-tp2", CROSSED, "holds", 25_275, None, ("#6680", "H8"),
           "Every rank runs every iteration of ours up to the all_gather, so a broadcast beside it is safe, if wasteful.",
           "repaired", collective="top", ranks=2),
    _round("balancing-at-end-in-ours-tp2", CROSSED, "holds", 25_825, None, ("#6680", "H8"), EXECUTED, "repaired", collective="end", ranks=2),
    _round("some-rank-waits-for-all-in-b", "some_rank_waits", "holds", 4397, 13, ("#6680", "H8"),
           "A rank does wait at EPB for the others: that collectives do not cross is not vacuous.", "B", collective="end"),
    # -- H6, H-34: the signal stays up -----------------------------------------------------------------------------------------
    _round("sleep-leaves-signal-up-in-b", FALLS, "violated", 1413, 33, ("#6680", "H6", "H-34"), ASLEEP, "B", instances=1, ranks=2, fault="sleep"),
    _round("sleep-leaves-signal-up-in-b-prime", FALLS, "violated", 1475, 44, ("#6680", "H6", "H-34"), ASLEEP,
           "B'", instances=1, ranks=2, fault="sleep"),
    _round("sleep-leaves-signal-up-in-b-decode", FALLS, "violated", 1249, 27, ("#6680", "H6", "H-34"), ASLEEP,
           "B", instances=1, ranks=2, fault="sleep", role="decode"),
    _round("sleep-shuts-gate-in-b", OPENS, "violated", 1413, 33, ("#6680", "H6", "H-34"), ASLEEP, "B", instances=1, ranks=2, fault="sleep"),
    _round("wake-heals-gate-in-b", OPENS, "holds", 2575, None, ("#6680", "H6", "H-34"),
           "The request to wake is a batch as well, put by a thread that no gate holds up: its iteration is executed, and lowers the signal.",
           "B", instances=1, ranks=2, fault="sleep_and_wake"),
    _round("sleep-in-ours", FALLS, "holds", 609, None, ("#6680", "H6", "H-34"),
           "Rank 0 lowers the signal behind TPB#0, which a sleeping rank passes as any other.", "repaired", instances=1, ranks=2, fault="sleep"),
    _round("sleep-leaves-gate-open-in-ours", OPENS, "holds", 609, None, ("#6680", "H6", "H-34"),
           "Rank 0 lowers the signal behind TPB#0, which a sleeping rank passes as any other.", "repaired", instances=1, ranks=2, fault="sleep"),
    _round("dead-rank-leaves-signal-up-in-b", FALLS, "violated", 886, 14, ("#6680", "H6", "H-34"), DEAD, "B", instances=1, ranks=2, fault="kill"),
    _round("dead-rank-leaves-signal-up-in-b-prime", FALLS, "violated", 1000, 17, ("#6680", "H6", "H-34"), DEAD,
           "B'", instances=1, ranks=2, fault="kill"),
    _round("dead-rank-shuts-gates-of-all-in-b", OPENS, "violated", 6943, 20, ("#6680", "H5", "H6", "H-34"),
           "A rank of one instance dies: the ranks of the other wait for it at EPB, with their signal up.", "B", fault="kill"),
    _round("dead-rank-shuts-gate-in-a", OPENS, "violated", 397, 5, ("#6680", "H6"),
           "A has no signal, but a queue that a dead rank never reads keeps its gate shut as well.", "A", instances=1, ranks=2, fault="kill"),
    _round("dead-rank-in-ours", FALLS, "holds", 555, None, ("H6", "H-34"), GIVES_UP, "repaired", instances=1, ranks=2, fault="kill"),
    _round("dead-rank-ends-in-an-answer-in-ours", OPENS, "holds", 7582, None, ("H5", "H6", "H-34"), GIVES_UP, "repaired", fault="kill"),
    _round("dead-rank-ends-in-an-answer-in-ours-tp2", OPENS, "holds", 193_748, None, ("H5", "H6", "H-34"), GIVES_UP,
           "repaired", fault="kill", ranks=2),
    _round("dead-rank-shuts-gate-in-ours-without-time-out", OPENS, "violated", 361, 6, ("H6", "H-34"),
           "Ours without the time-out: " + DEAD, "repaired-without-time-out", instances=1, ranks=2, fault="kill"),
]

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

NO_FINALLY = "An exception between the two calls leaves the server's lock taken: every later call of the engine and of the ranks waits for ever."
KILLED = "A rank dies between the two calls that take the lock and give it back; the server does not know, and nobody else ever gets it."
ONE_CALL = "A method is one remote call, inside which the server takes its lock and gives it back; a batch is pickled before."
SILENT = (
    "The only running request is stopped. The worker inserts that, has nothing left to run, and skips its forward; so there is no output, no -9, and "
    "the slot is never freed."
)
ONE_NODE = {"layout": "one_node"}
TWO_NODES = {"layout": "two_nodes"}
LEFT_OVER = {"layout": "left_over", "flag": "shared_memory"}
ORPHAN = (
    "A rank attaches to a segment that an earlier engine has left; the engine unlinks that and makes a new one. What the rank stores nobody "
    "reads: the signal seems down during the forward."
)
GENERATION = "The segment's name carries the engine's generation, so a rank waits until the right one is there."
OWN_NODE = "Rank 0, on the engine's node, speaks for all behind a barrier that spans the nodes."

OTHERS = [
    # -- H13 -------------------------------------------------------------------------------------------------------------------
    _lock("kept-by-exception", "engine_reaches_the_queue", "violated", 237, 5, ("#6680", "H13"), NO_FINALLY, "all", fault="raise"),
    _lock("kept-by-dead-rank", "engine_reaches_the_queue", "violated", 296, 11, ("H13",), KILLED, "all", fault="kill"),
    _lock("freed-by-finally", "engine_reaches_the_queue", "holds", 283, None, ("H13",),
          "With try/finally an exception gives the lock back.", "finally", fault="raise"),
    _lock("put-waits-for-ever-after-finally", "batch_is_put", "violated", 283, 8, ("H13",),
          "The lock is given back, but the read flags went down before the exception: no batch is there, nobody reads, and the next put waits "
          "for the flags for ever.", "finally", fault="raise"),
    _lock("kept-by-dead-rank-despite-finally", "engine_reaches_the_queue", "violated", 296, 11, ("H13",), KILLED, "finally", fault="kill"),
    _lock("free-after-death-in-ours", "engine_reaches_the_queue", "holds", 93, None, ("H13",), ONE_CALL, "repaired", fault="kill"),
    _lock("free-after-exception-in-ours", "engine_reaches_the_queue", "holds", 75, None, ("H13",), ONE_CALL, "repaired", fault="raise"),
    _lock("put-ends-after-exception-in-ours", "batch_is_put", "holds", 75, None, ("H13",), ONE_CALL, "repaired", fault="raise"),
    _lock("some-batch-read-in-ours", "some_batch_read", "holds", 93, 7, ("H13",), "Batches are put and read.", "repaired", fault="kill"),
    # -- H11 -------------------------------------------------------------------------------------------------------------------
    _silent("stopped-request-keeps-slot-before-7633", "stopped_request_is_freed", "violated", 24, 5, ("#7633", "H11"), SILENT, "before-7633"),
    _silent("stopped-request-freed-beside-another-before-7633", "stopped_request_is_freed", "holds", 33, None, ("#7633", "H11"),
            "Another request runs, so there is a forward, an output and the -9.", "before-7633", other="runs"),
    _silent("stopped-request-freed-by-the-next-before-7633", "stopped_request_is_freed", "holds", 108, None, ("#7633", "H11"),
            "The next request that runs brings the output: what happens is a delay of unknown length.", "before-7633", other="comes"),
    _silent("stopped-request-freed-since-7633", "stopped_request_is_freed", "holds", 27, None, ("#7633", "H11"),
            "A step in which a slot was stopped has an output even if nothing runs.", "since-7633"),
    _silent("stopped-request-freed-beside-the-next-since-7633", "stopped_request_is_freed", "holds", 112, None, ("#7633", "H11"),
            "A step in which a slot was stopped has an output even if nothing runs.", "since-7633", other="comes"),
    _silent("some-request-freed-since-7633", "some_request_freed", "holds", 27, 5, ("#7633", "H11"), "The slot does become free.", "since-7633"),
    # -- H24 -------------------------------------------------------------------------------------------------------------------
    _placed("counter-is-right-on-one-node", NO_SCHEDULE, "holds", 232, None, ("#6680", "H24"),
            "Every rank counts up before it reads and down after its forward: the gate waits for all.", "counted", **ONE_NODE),
    _placed("remote-rank-unseen-by-counter", NO_SCHEDULE, "violated", 244, 24, ("#6680", "H24"),
            "The rank of the second node counts in its own memory, which the engine never sees: the gate opens during its forward.",
            "counted", **TWO_NODES),
    _placed("remote-rank-unseen-in-b-prime", NO_SCHEDULE, "violated", 244, 24, ("#6680", "H24"),
            "The engine waits for the zero of its own node only.", "B'", **TWO_NODES),
    _placed("remote-rank-covered-in-ours", NO_SCHEDULE, "holds", 195, None, ("#6680", "H24"), OWN_NODE, "repaired", **TWO_NODES),
    _placed("some-forward-waited-for-on-two-nodes-in-ours", "some_forward_waited_for", "holds", 195, 18, ("#6680", "H24"),
            "The gate does look while a rank works.", "repaired", **TWO_NODES),
    _placed("announcement-unseen-on-second-node-without-server", READ, "violated", 133, 18, ("H24",),
            "An announcement in shared memory is not seen on the second node: its rank never reads, and rank 0 waits for it in the forward.",
            "repaired", **TWO_NODES, flag="shared_memory"),
    _placed("announcement-by-server-on-two-nodes", READ, "holds", 195, None, ("H24",),
            "read_finish_flag lies on the server, where both nodes see it.", "repaired", **TWO_NODES),
    # -- H25 -------------------------------------------------------------------------------------------------------------------
    _placed("orphan-signal-in-b-prime", NO_SCHEDULE, "violated", 145, 16, ("#6680", "H25"), ORPHAN, "B'", **LEFT_OVER, ranks=1),
    _placed("orphan-announcement-in-b-prime", READ, "violated", 871, 21, ("#6680", "H25"),
            "One rank has attached to the left-over segment, the other to the new one: what rank 0 announces the other never sees.",
            "B'", **LEFT_OVER),
    _placed("orphan-shuts-gate-in-b-prime", OPENS, "violated", 871, 21, ("#6680", "H25"),
            "One rank has attached to the left-over segment, the other to the new one: the batch is never read by both.", "B'", **LEFT_OVER),
    _placed("attached-by-generation-in-ours", NO_SCHEDULE, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
    _placed("announcement-seen-by-generation-in-ours", READ, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
    _placed("gate-opens-by-generation-in-ours", OPENS, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
]
# fmt: on

__all__ = ["HAZARDS", "SCENARIOS"]

SCENARIOS = [*ROUND, *WEIGHTS, *OTHERS]
