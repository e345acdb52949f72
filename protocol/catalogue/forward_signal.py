"""Scenarios of the group "forward-signal": may the engine schedule while a rank is still in its forward?

The first part is what was found in the pull requests: variant A (before #6680 and after #7791), B (#6680) and B' (its
follow-ups). The second is the repaired variant, asked everything, with batches that never end. Which variant has which fault
(at two ranks, in both roles, with and without experts; "async" = with a forward that does not block):

| | A | B | B' | repaired |
|---|---|---|---|---|
| schedule during a forward | always | early zero | early zero; mixed: not gated | never |
| write conflict on the signal | - | async, unless experts meet before the forward | never | never |
| lost store on the signal | - | yes | yes | never |
| write conflict on the announcement | async | async, unless prefill with experts | never | never |
| late zero | - | only without the barrier at the top | only without it | never |
| ranks divided over a batch | async | async, unless prefill with experts | never | never |
| a batch read twice | async | async, mixed role | never | never |
| a worker killed by an empty queue | - | async, unless prefill with experts | never | never |
"""

from __future__ import annotations

from typing import Any

from ..machines.signalling.forward_signal import build
from . import Scenario
from .hazard import Hazard

NO_SCHEDULE, SAME_BATCH, READ_ONCE = "no_schedule_during_forward", "same_batch_per_iteration", "each_batch_read_once"
NO_CONFLICT, NO_LOSS, NO_LATE = "no_write_conflict_on_forward_signal", "no_lost_store_on_forward_signal", "no_late_zero"


def _scenario(name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...], about: str, **config: Any) -> Scenario:
    """One scenario; its variant is that of its configuration."""
    return Scenario(name, "forward-signal", build, asked, expected, sources, config["variant"], about, config, distinct, path)


EARLY_ZERO = (
    "Every rank raises the signal before it reads its batch and lowers it after its own forward. The first to finish takes it down "
    "for all; the gate, which finds the queue empty and then the signal down, schedules while another rank is still in its forward."
)
EARLY_ZERO_SYNC = (
    "The forward ends in a collective that holds every rank until all have reached it, but not until all have returned: one returns and lowers "
    "the signal while another has yet to return, and the gate opens in between."
)

# fmt: off
FOUND = [
    # -- H1: the early zero --------------------------------------------------------------------------------------------
    _scenario("early-zero-in-b-async-tp2", NO_SCHEDULE, "violated", 1387, 19, ("#6680", "H1"), EARLY_ZERO, variant="B", forward="async"),
    _scenario("early-zero-in-b-async-tp3", NO_SCHEDULE, "violated", 14884, 23, ("#6680", "H1"), EARLY_ZERO, variant="B", forward="async", ranks=3),
    _scenario("early-zero-in-b-sync-tp2", NO_SCHEDULE, "violated", 652, 23, ("#6680", "H1"), EARLY_ZERO_SYNC, variant="B"),
    _scenario("early-zero-in-b-sync-tp3", NO_SCHEDULE, "violated", 2814, 29, ("#6680", "H1"), EARLY_ZERO_SYNC, variant="B", ranks=3),
    _scenario("early-zero-in-b-prefill-async-tp2", NO_SCHEDULE, "violated", 858, 19, ("#6680", "H1"),
              EARLY_ZERO, variant="B", role="prefill", forward="async"),
    _scenario("early-zero-in-b-prefill-sync-tp2", NO_SCHEDULE, "violated", 399, 23, ("#6680", "H1"), EARLY_ZERO_SYNC, variant="B", role="prefill"),
    _scenario("early-zero-in-b-prefill-experts-sync-tp3", NO_SCHEDULE, "violated", 1512, 32, ("#6680", "#6164", "H1"),
              "The meeting of the experts (EPB) lies before the forward, so it does not keep the first rank to finish from lowering the "
              "signal for all.",
              variant="B", role="prefill", ranks=3, expert_parallel=True),
    _scenario("early-zero-in-b-prime-prefill-async-tp2", NO_SCHEDULE, "violated", 508, 26, ("#6680", "H1"),
              "The third barrier of B' lies before the forward as well: " + EARLY_ZERO, variant="B'", role="prefill", forward="async"),
    _scenario("early-zero-in-b-prime-prefill-async-tp3", NO_SCHEDULE, "violated", 2020, 33, ("#6680", "H1"),
              "The third barrier of B' lies before the forward as well: " + EARLY_ZERO, variant="B'", role="prefill", forward="async", ranks=3),
    _scenario("early-zero-in-b-prime-prefill-sync-tp2", NO_SCHEDULE, "violated", 493, 29, ("#6680", "H1"),
              EARLY_ZERO_SYNC, variant="B'", role="prefill"),
    _scenario("mixed-role-not-gated-in-b-prime-tp2", NO_SCHEDULE, "violated", 724, 18, ("#6680",),
              "In the mixed role B' asks only whether the queue is empty, as A does: it schedules as soon as every rank has read.", variant="B'"),
    _scenario("schedule-during-forward-in-a-tp2", NO_SCHEDULE, "violated", 487, 12, ("#6680", "#7791"),
              "A asks only whether every rank has read the last batch, which is the start of the forward: the next batch is frozen one "
              "forward early. This is what #6680 set out to mend, and where its revert went back to.",
              variant="A"),
    _scenario("some-schedule-after-forward-in-b-tp2", "some_schedule_after_forward", "holds", 652, 24, ("#6680",),
              "The purpose of #6680 is met where nothing goes wrong: the first batch is done with on every rank, and the gate opens.", variant="B"),
    # -- write conflict and lost store on the signal ---------------------------------------------------------------------
    _scenario("write-conflict-in-b-async-tp2", NO_CONFLICT, "violated", 1387, 14, ("#6680", "H1"),
              "One rank is through its forward and about to store 0 while another, just let go by TPB#1, is about to store 1 for the same "
              "batch.",
              variant="B", forward="async"),
    _scenario("write-conflict-in-b-prefill-async-tp2", NO_CONFLICT, "violated", 858, 14, ("#6680", "H1"),
              "As in the mixed role: nothing lies between one rank's raise and another's forward.", variant="B", role="prefill", forward="async"),
    _scenario("no-write-conflict-in-b-prefill-experts-async-tp2", NO_CONFLICT, "holds", 414, None, ("#6680", "#6164"),
              "The meeting of the experts lies between every raise and every forward, so no rank lowers while another has yet to raise.",
              variant="B", role="prefill", forward="async", expert_parallel=True),
    _scenario("no-write-conflict-in-b-sync-tp2", NO_CONFLICT, "holds", 652, None, ("#6680",),
              "A forward that nobody ends before all have begun it lies between every raise and every zero.", variant="B"),
    _scenario("no-write-conflict-in-b-prime-async-tp2", NO_CONFLICT, "holds", 758, None, ("#6680",),
              "TPB#2' lies between every raise and every zero of an iteration, whatever the forward does.", variant="B'", forward="async"),
    _scenario("no-write-conflict-in-b-prime-prefill-async-tp3", NO_CONFLICT, "holds", 2020, None, ("#6680",),
              "TPB#2' lies between every raise and every zero of an iteration, whatever the forward does.",
              variant="B'", role="prefill", forward="async", ranks=3),
    _scenario("lost-store-in-b-async-tp2", NO_LOSS, "violated", 4524, 16, ("#6680", "H1"),
              "One rank's zero replaces another's one before the gate has loaded it: the early zero, seen from the cell.",
              variant="B", forward="async"),
    _scenario("lost-store-in-b-sync-tp2", NO_LOSS, "violated", 2743, 19, ("#6680", "H1"),
              "One rank's zero replaces another's one before the gate has loaded it: the early zero, seen from the cell.", variant="B"),
    _scenario("lost-store-in-b-prime-prefill-async-tp2", NO_LOSS, "violated", 1672, 24, ("#6680", "H1"),
              "TPB#2' keeps the stores apart but not in their owners' hands: the first zero still replaces the last one unread.",
              variant="B'", role="prefill", forward="async"),
    _scenario("lost-store-in-b-prime-prefill-sync-tp2", NO_LOSS, "violated", 1638, 27, ("#6680", "H1"),
              "TPB#2' keeps the stores apart but not in their owners' hands: the first zero still replaces the last one unread.",
              variant="B'", role="prefill"),
    _scenario("lost-store-in-b-prime-async-tp2", NO_LOSS, "violated", 2468, 23, ("#6680",),
              "In the mixed role of B' nobody ever loads the signal, so each of its stores is lost.", variant="B'", forward="async"),
    _scenario("some-zero-after-one-in-b-async-tp2", "some_zero_after_one", "holds", 1387, 13, ("#6680",),
              "The signal is up and a rank is about to lower it: the questions about zeros are not empty.", variant="B", forward="async"),
    # -- the late zero: what the barrier at the top is for -----------------------------------------------------------------
    _scenario("no-late-zero-in-b-async-tp2", NO_LATE, "holds", 4161, None, ("#6680",),
              "A rank stores the zero of its iteration before it arrives at TPB#1, another the next iteration's one after it has left: a late"
              " zero cannot be.",
              variant="B", forward="async"),
    _scenario("no-late-zero-in-b-prefill-sync-tp3", NO_LATE, "holds", 5040, None, ("#6680",),
              "A rank stores the zero of its iteration before it arrives at TPB#1, another the next iteration's one after it has left: a late"
              " zero cannot be.",
              variant="B", role="prefill", ranks=3),
    _scenario("no-late-zero-in-b-prime-prefill-async-tp2", NO_LATE, "holds", 1524, None, ("#6680",),
              "As in B, with TPB#0 before TPB#1.", variant="B'", role="prefill", forward="async"),
    _scenario("late-zero-in-b-without-top-barrier-tp2", NO_LATE, "violated", 80319, 16, ("#6680",),
              "With TPB#1 taken away, a slow rank's zero takes down the one that a fast rank has raised for the next batch, which the gate "
              "then never sees.",
              variant="B", forward="async", loop_top_barrier=False),
    _scenario("late-zero-in-b-prefill-without-top-barrier-tp2", NO_LATE, "violated", 1851, 30, ("#6680",),
              "A forward that blocks does not make up for TPB#1: its zero comes after it.", variant="B", role="prefill", loop_top_barrier=False),
    _scenario("late-zero-in-b-prime-prefill-without-top-barriers-tp2", NO_LATE, "violated", 5178, 20, ("#6680",),
              "Nor does TPB#2', which the fast rank only reaches after its raise.",
              variant="B'", role="prefill", forward="async", loop_top_barrier=False),
    # -- H2: ranks divided ---------------------------------------------------------------------------------------------------
    _scenario("divided-ranks-in-a-experts-async-tp2", SAME_BATCH, "violated", 4100, 13, ("H2",),
              "Both ranks pass TPB#1; rank 0 sees no batch, runs an empty forward that does not block, and announces a batch in its next "
              "iteration; rank 1 only now looks, sees it, and reads the batch one iteration before rank 0.",
              variant="A", forward="async", expert_parallel=True),
    _scenario("divided-ranks-in-b-experts-async-tp2", SAME_BATCH, "violated", 6234, 16, ("#6680", "H2"),
              "#6680 leaves the loop top as it was: as in A.", variant="B", forward="async", expert_parallel=True),
    _scenario("divided-ranks-in-b-experts-async-tp3", SAME_BATCH, "violated", 136060, 17, ("#6680", "H2"),
              "#6680 leaves the loop top as it was: as in A.", variant="B", forward="async", expert_parallel=True, ranks=3),
    _scenario("divided-ranks-in-a-prefill-async-tp2", SAME_BATCH, "violated", 2561, 27, ("H2",),
              "Contrary to the claim, without experts too, on a prefill instance: rank 0 is through a forward that did not block, finds the queue "
              "full because rank 1 has yet to read, and announces when rank 1 has read and taken the announcement back. One rank then meets an "
              "empty queue, and the other the next batch.",
              variant="A", role="prefill", forward="async"),
    _scenario("divided-ranks-in-b-decoding-async-tp2", SAME_BATCH, "violated", 3502, 35, ("#6680", "H2"),
              "It takes no experts: where a forward does not block, rank 0 finds the queue full while rank 1 has yet to read, and announces when "
              "all have read; one rank then meets an empty queue, the other the next batch, which was put in between.",
              variant="B", forward="async"),
    _scenario("same-batch-in-a-experts-sync-tp2", SAME_BATCH, "holds", 1449, None, ("H2",),
              "A forward that blocks keeps rank 0 from its next look until every rank has made this iteration's.",
              variant="A", expert_parallel=True),
    _scenario("same-batch-in-b-prime-experts-async-tp2", SAME_BATCH, "holds", 2591, None, ("#6680", "H2"),
              "TPB#0 keeps rank 0 from its next look until every rank has made this iteration's.",
              variant="B'", forward="async", expert_parallel=True),
    _scenario("same-batch-in-b-prime-experts-async-tp3", SAME_BATCH, "holds", 12589, None, ("#6680", "H2"),
              "TPB#0 keeps rank 0 from its next look until every rank has made this iteration's.",
              variant="B'", forward="async", expert_parallel=True, ranks=3),
    _scenario("some-batch-held-by-every-rank-in-b-tp2", "some_batch_held_by_every_rank", "holds", 1448, 14, ("#6680",),
              "Every rank is at work on one batch.", variant="B", forward="async", expert_parallel=True),
    _scenario("batch-read-twice-in-a-experts-async-tp2", READ_ONCE, "violated", 1253, 19, ("H2b",),
              "The rank that read ahead still sees the announcement in the next iteration; get_tasks gives it the same batch again, for "
              "nothing asks whether it has read.",
              variant="A", forward="async", expert_parallel=True),
    _scenario("batch-read-once-in-b-prime-experts-async-tp2", READ_ONCE, "holds", 619, None, ("#6680", "H2b"),
              "Ranks that agree on the iteration read each batch once.", variant="B'", forward="async", expert_parallel=True),
    _scenario("some-batch-read-by-every-rank-in-b-prime-tp2", "some_batch_read_by_every_rank", "holds", 619, 17, ("#6680",),
              "Every rank has read the first batch.", variant="B'", forward="async", expert_parallel=True),
    _scenario("write-conflict-on-announcement-in-a-async-tp2", "no_write_conflict_on_batch_announced", "violated", 1039, 14, ("H2",),
              "The last reader is about to take the announcement back while rank 0, already in its next iteration, is about to make one.",
              variant="A", forward="async"),
    _scenario("no-write-conflict-on-announcement-in-b-prime-async-tp2", "no_write_conflict_on_batch_announced", "holds", 758, None, ("#6680",),
              "TPB#2' and TPB#0 lie between the last reader's reset and rank 0's next look.", variant="B'", forward="async"),
    # -- the stale announcement ------------------------------------------------------------------------------------------------
    _scenario("worker-killed-in-b-prefill-async-tp2", "no_worker_fails", "violated", 858, 29, ("#6680",),
              "Rank 0 is through a forward that did not block and sees the queue's register up, because rank 1 has yet to read; rank 1 reads,"
              " empties the queue and takes the announcement back; rank 0 announces. Both go to an empty queue, where the assertion of #6680 "
              "kills the worker.",
              variant="B", role="prefill", forward="async"),
    _scenario("worker-lives-in-b-prefill-sync-tp2", "no_worker_fails", "holds", 399, None, ("#6680",),
              "A forward that blocks keeps rank 0 from looking before every rank has read.", variant="B", role="prefill"),
    _scenario("deadlock-in-b-prefill-async-tp2", "deadlock", "violated", 858, 35, ("#6680",),
              "After the stale announcement one rank is dead and the others wait for it at the barrier; the batch in the queue is never read.",
              variant="B", role="prefill", forward="async"),
    _scenario("gate-stays-shut-in-b-prefill-async-tp2", "gate_opens", "violated", 858, 33, ("#6680",),
              "With a worker dead, the signal or the queue keeps the gate shut for ever: nothing in the gate gives up waiting.",
              variant="B", role="prefill", forward="async"),
    _scenario("batch-never-read-in-b-async-tp2", "batch_is_read", "violated", 7233, 37, ("#6680",),
              "After the stale announcement one rank is dead; the next batch waits in the queue for it.", variant="B", forward="async", batches=None),
    _scenario("decoding-stops-in-b-async-tp2", "work_goes_on", "violated", 7233, 42, ("#6680",),
              "After the stale announcement one rank is dead; the other, which still decodes, waits for it at the barrier.",
              variant="B", forward="async", batches=None),
    _scenario("gate-opens-in-b-sync-tp2", "gate_opens", "holds", 652, None, ("#6680",),
              "Where no rank is killed, a shut gate opens again.", variant="B"),
    _scenario("gate-opens-in-b-prime-prefill-experts-async-tp2", "gate_opens", "holds", 517, None, ("#6680",),
              "Where no rank is killed, a shut gate opens again, provided the other instances come to the meeting of the experts.",
              variant="B'", role="prefill", forward="async", expert_parallel=True),
]

OWNER = (
    "Rank 0 alone raises the signal, before it reads, and lowers it behind TPB#0 of the next iteration, which every rank reaches only after its "
    "forward. Batches never end here: their numbers wrap."
)
"""What the repaired variant does; the part of every one of its scenarios."""

ENDLESS: dict[str, Any] = {"variant": "repaired", "batches": None}

REPAIRED = [
    _scenario("repaired-no-early-zero-sync-tp2", NO_SCHEDULE, "holds", 1113, None, ("#6680", "H1"), OWNER, **ENDLESS),
    _scenario("repaired-no-early-zero-async-tp2", NO_SCHEDULE, "holds", 1164, None, ("#6680", "H1"), OWNER, **ENDLESS, forward="async"),
    _scenario("repaired-no-early-zero-sync-tp3", NO_SCHEDULE, "holds", 4179, None, ("#6680", "H1"), OWNER, **ENDLESS, ranks=3),
    _scenario("repaired-no-early-zero-async-tp3", NO_SCHEDULE, "holds", 5268, None, ("#6680", "H1"), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-no-early-zero-prefill-sync-tp2", NO_SCHEDULE, "holds", 630, None, ("#6680", "H1"), OWNER, **ENDLESS, role="prefill"),
    _scenario("repaired-no-early-zero-prefill-async-tp2", NO_SCHEDULE, "holds", 639, None, ("#6680", "H1"),
              OWNER, **ENDLESS, role="prefill", forward="async"),
    _scenario("repaired-no-early-zero-prefill-sync-tp3", NO_SCHEDULE, "holds", 2160, None, ("#6680", "H1"),
              OWNER, **ENDLESS, role="prefill", ranks=3),
    _scenario("repaired-no-early-zero-prefill-async-tp3", NO_SCHEDULE, "holds", 2421, None, ("#6680", "H1"),
              OWNER, **ENDLESS, role="prefill", forward="async", ranks=3),
    _scenario("repaired-no-early-zero-prefill-experts-async-tp4", NO_SCHEDULE, "holds", 7035, None, ("#6680", "H1"),
              OWNER, **ENDLESS, role="prefill", forward="async", ranks=4, expert_parallel=True),
    _scenario("repaired-some-schedule-after-forward-async-tp3", "some_schedule_after_forward", "holds", 5268, 34, ("#6680",),
              "The gate does open. " + OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-some-zero-after-one-async-tp3", "some_zero_after_one", "holds", 5268, 21, ("#6680",),
              "The signal does fall. " + OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-no-write-conflict-async-tp3", NO_CONFLICT, "holds", 5268, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-no-lost-store-async-tp3", NO_LOSS, "holds", 8178, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-no-late-zero-async-tp3", NO_LATE, "holds", 15804, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-same-batch-experts-async-tp3", SAME_BATCH, "holds", 18468, None, ("H2",),
              OWNER, **ENDLESS, forward="async", ranks=3, expert_parallel=True),
    _scenario("repaired-batch-read-once-experts-async-tp3", READ_ONCE, "holds", 3891, None, ("H2b",),
              OWNER, **ENDLESS, forward="async", ranks=3, expert_parallel=True),
    _scenario("repaired-some-batch-held-by-every-rank-tp3", "some_batch_held_by_every_rank", "holds", 3891, 22, ("H2",),
              "The ranks do work together. " + OWNER, **ENDLESS, forward="async", ranks=3, expert_parallel=True),
    _scenario("repaired-no-deadlock-async-tp3", "deadlock", "holds", 5268, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-gate-opens-async-tp3", "gate_opens", "holds", 5268, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-gate-opens-prefill-experts-async-tp3", "gate_opens", "holds", 2115, None, ("#6680",),
              OWNER, **ENDLESS, role="prefill", forward="async", ranks=3, expert_parallel=True),
    _scenario("repaired-batch-is-read-async-tp3", "batch_is_read", "holds", 5268, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-no-write-conflict-on-announcement-async-tp3", "no_write_conflict_on_batch_announced", "holds", 5268, None, ("H2",),
              OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-decoding-goes-on-async-tp3", "work_goes_on", "holds", 5268, None, ("#6680",), OWNER, **ENDLESS, forward="async", ranks=3),
    _scenario("repaired-experts-go-on-async-tp3", "work_goes_on", "holds", 3891, None, ("#6680",),
              OWNER, **ENDLESS, forward="async", ranks=3, expert_parallel=True),
    _scenario("repaired-early-zero-without-top-barriers-tp2", NO_SCHEDULE, "violated", 743, 22, ("#6680", "H1"),
              "With TPB#0 taken away the owner lowers the signal after its own forward only: the barrier is what makes its zero mean all.",
              variant="repaired", loop_top_barrier=False),
    _scenario("repaired-divided-ranks-without-top-barriers-tp2", SAME_BATCH, "violated", 989, 13, ("H2",),
              "With TPB#0 and TPB#1 taken away a rank looks at the announcement of another iteration.", variant="repaired", loop_top_barrier=False),
]

# fmt: on
SCENARIOS = [*FOUND, *REPAIRED]

HAZARDS = [
    Hazard(
        "H1",
        "early zero",
        ("#6680",),
        "Every rank raises the forward signal before it reads its batch and lowers it after its own forward. There is one cell and no "
        "count, so the first rank to finish lowers it for all, and the engine schedules while another rank is still in its forward. No "
        "data is lost, but the batch is frozen one forward early, which #6680 set out to mend.",
        claim="B, B'; found by a small search. That only rank 0 writes, as a reviewer asked, would move the point; a count or a barrier "
        "would mend it.",
        finding="As claimed, and a forward that blocks does not help: the zero fits between one rank's return from the last collective "
        "and another's. In B two ranks may even be about to store different values, where a forward does not block and experts do not "
        "meet before it; in the mixed role of B' nobody looks at the signal. Rank 0 alone is right once its zero lies behind TPB#0 of "
        "the next iteration.",
    ),
    Hazard(
        "H2",
        "tensor-parallel ranks divided",
        ("#6680",),
        "Rank 0 copies the queue's register into the announcement, and the others look at it behind TPB#1. Through a forward that does "
        "not block, rank 0 reaches its next announcement while a slow rank has yet to look at the last one; that rank reads the batch "
        "an iteration too early, and may read it a second time in the next (H2b).",
        claim="A and B with experts, in the mixed and decode roles, two ranks or more; found by a small search. TPB#0 of B' mends it.",
        finding="It takes no experts: while a rank has yet to read, rank 0 finds the register up, and announces when all have read. In "
        "B the assertion that a batch was read then kills a worker, in the prefill role, too. EPB or TPB#0 keeps rank 0 from looking "
        "before all have read.",
    ),
]
