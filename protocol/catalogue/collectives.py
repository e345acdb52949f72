"""Scenarios of the group "collectives": ranks that must meet, and what one of them may hold up.

Six subjects, each with a repaired rule, most of which the whole repaired protocol takes over:

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
- *A rank that comes back.* For every exit of a rank the group gets a number, before the rank is started again; batches and collectives are of
  one number, the queue is emptied when it is raised, and the engine answers what it had put before.
- *A rank among instances that share rounds.* All of them end with it, what they share is made anew, and nobody goes on before all are back.

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
| a rank that is started again is joined with another batch | never started again | - | - | no |
| ... or with ranks of another life, where instances share rounds | never started again | - | - | no, all of them are |

The scenarios are here for the round, in `collectives_fate.py` for the end of one of its members, in `collectives_weights.py` for the update, and
in `collectives_ranks.py` for what one rank can do: keep a lock (H13), have no output (H11), be on another node (H24), attach too early (H25),
die and come back (9.6).
"""

from __future__ import annotations

from functools import partial

from ..machines.collectives.expert_round import build as build_round
from . import variant_scenario
from .collectives_fate import FATE
from .collectives_hazards import HAZARDS
from .collectives_ranks import RANKS
from .collectives_weights import WEIGHTS

CROSSED, MISMATCHED, DRIFT = "no_crossed_collectives", "no_mismatched_collectives", "rounds_drift_at_most_one"
FORWARDED, READ, OPENS, FALLS = "batch_is_forwarded", "batch_is_read", "gate_opens", "signal_falls"
ENDS = "control_ends"
SOME, NO_SCHEDULE = "some_batch_forwarded", "no_schedule_during_forward"
_round = partial(variant_scenario, "collectives", build_round)

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
# fmt: on

__all__ = ["HAZARDS", "SCENARIOS"]

SCENARIOS = [*ROUND, *FATE, *WEIGHTS, *RANKS]
