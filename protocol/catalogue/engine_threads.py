"""Scenarios of the group "engine-threads": The engine's threads against each other.

The engine process's threads share a mutex, RM.lock and the engine-worker queue; what is on its way between two of them belongs to
none. Variants: A, B, B', A', R as in the facts (R with the abort and pause of the hand-over's E1), R' (R with the newest abort and
pause), ours, and ours or A' with one part changed. In words:

| | A | B, B' | A' | R | R' | repaired |
|---|---|---|---|---|---|---|
| H9: a stale prefill runs after its stop (abort) | - | yes | - | yes | - | never |
| H9: the same with a pause | yes | yes | - | yes | - | never |
| a stop hits the next request in the slot | - | yes | - | yes | - | never |
| H10: the report of a stop is taken for the next request's | - | - | yes | - | yes | never |
| H-22: an abort in preparation, two requests in a slot | - | yes | - | yes | - | never |
| an abort in preparation ends nothing while D is silent | yes | yes | yes | yes | yes | never |
| H-23: the cache is reset under a request in preparation | yes | yes | - | yes | - | never |
| H27: a request joins after the reset that answered it | yes | yes | - | yes | - | never |
| H27, H-40: the intake waits for a rank (control request) | yes | yes | yes | yes | yes | never |
| H27, H-40: the intake waits for a rank (abort) | - | yes | - | yes | - | never |
| H7: more waits than two fetches | - | yes | - | - | - | never |
| H14, H-09: an exception loses a request | yes | yes | yes | yes | yes | never |
| H26: no position for what was admitted | loses one | - | counted | counted | counted | never |
| H26: a closed pool ends SCHED | - | - | on P | no pool | no pool | no pool |
| exit: a fetch waits for ever | on P | on P | on P | on P | on P | never |
| H28: one missing report stops all answers | yes | yes | yes | yes | yes | never |
| H29: an empty table is put | unused | runs | unused | runs | unused | never |
| H-37: no fetch thread | pool | pool | pool | yes | yes | never |
"""

from __future__ import annotations

from typing import Any

from ..machines.engine_threads import acknowledgement, snapshot, token_wait
from ..machines.engine_threads.engine_threads import build
from . import Scenario, is_deep
from . import engine_threads_stories as story
from .engine_threads_hazards import HAZARDS


def _scenario(
    name: str, asked: str, expected: str, distinct: int | None, path: int | None, sources: tuple[str, ...], about: str, epoch: str, **bounds: Any
) -> Scenario:
    """One scenario of the whole engine; its variant is its epoch."""
    config = {"epoch": epoch, **bounds}
    deep = is_deep(distinct, expected)
    return Scenario(f"engine-threads-{name}", "engine-threads", build, asked, expected, sources, epoch, about, config, distinct, path, deep)


def _small(
    module: Any, name: str, asked: str, expected: str, distinct: int | None, path: int | None, sources: tuple[str, ...], about: str, variant: str,
    **bounds: Any,
) -> Scenario:  # fmt: skip
    """One scenario of one of the three smaller systems."""
    config = {"variant": variant, **bounds}
    return Scenario(f"engine-threads-{name}", "engine-threads", module.build, asked, expected, sources, variant, about, config, distinct, path)


OWNED, SHARED, INNOCENT = "written_by_owner", "no_block_shared_in_step", "no_stop_for_another"
FREED = "no_freed_block_written"
TWICE, HELD_FREE, ENDING_FREE = "no_block_owned_twice", "no_held_block_free", "no_ending_block_free"
PLACED, TOGETHER = "running_has_slot", "no_slot_shared"
ANSWERED, ENDS, LOST = "requests_answered", "aborts_end", "no_held_request_lost"
LATE, ADDED = "no_answered_request_scheduled", "no_answered_request_added"
ONE_BATCH, BOUNDED = "waiting_is_one_batch", "waiting_bounded"
PUT_WAITS = "no_put_waits"
LIVES, OPENS, TAKEN, BEHIND, OVER = "no_schedule_thread_dies", "gate_opens", "messages_taken", "no_message_behind_put", "threads_end"


TWO, THREE = {"slots": 2, "blocks": 2}, {"requests": 3, "slots": 2, "blocks": 2}
P, ABORT, PAUSE = {"role": "prefill"}, {"commands": ("abort",)}, {"commands": ("pause", "resume")}
CONTROL, ABORTS = {"commands": ("control",)}, {"commands": ("abort", "abort")}
BOTH = {"commands": ("abort", "pause", "resume")}
ALL: dict[str, Any] = {"commands": ("abort", "pause", "resume", "control"), "late": 1, "failures": 1, "step_failures": 1}
DOWN, QUIT = {"exits": "shutdown"}, {"exits": "interpreter"}
H7, H9, H14, H26 = ("#6680", "H7"), ("#6680", "H9"), ("H14", "H-09"), ("#7141", "H26")
H27, H40, H28, H29 = ("H27",), ("H-40", "H27"), ("H28",), ("#6680", "H29")
H22, H23, H37 = ("#7724", "H-22"), ("#7724", "H-23"), ("#7724", "H-37")

# fmt: off
STALE_BATCHES = [
    _scenario("stale-prefill-after-abort-in-b", OWNED, "violated", 206_406, 52, H9, story.STALE, "B", **TWO, **ABORT),
    _scenario("stale-prefill-after-abort-in-b-prime", OWNED, "violated", 99_596, 38, H9, story.STALE, "B'", **TWO, **ABORT),
    _scenario("stale-prefill-after-abort-in-r", OWNED, "violated", 39_240, 29, ("#7724", "H9"), story.STALE, "R", **TWO, **ABORT),
    _scenario("stale-prefill-writes-the-next-owners-block-in-r", SHARED, "violated", 251_616, 43, ("#7724", "H9"),
              story.STALE + " A third request gets the block that was freed, in another slot: one step writes it for both.", "R", **THREE, **ABORT),
    _scenario("no-stale-prefill-in-a", OWNED, "holds", 59_965, None, ("#6743", "H9"), story.NEWEST, "A", **TWO, **ABORT),
    _scenario("no-stale-prefill-in-a-prime", OWNED, "holds", 73_618, None, ("#6743", "H9"), story.NEWEST, "A'", **TWO, **ABORT),
    _scenario("no-stale-prefill-in-r-prime", OWNED, "holds", 23_040, None, ("#6743", "H9"), story.NEWEST, "R'", **TWO, **ABORT),
    _scenario("no-stale-prefill-in-ours", OWNED, "holds", 342_203, None, H9, story.OURS, "repaired", **THREE, **ABORT),
    _scenario("no-stale-prefill-on-p-in-ours", OWNED, "holds", 306_884, None, H9, story.OURS, "repaired", **P, **THREE, **ABORT),
    _scenario("no-shared-block-in-ours", SHARED, "holds", 342_203, None, H9, story.OURS, "repaired", **THREE, **ABORT),
    _scenario("some-step-runs-in-ours", "some_step_runs", "holds", 60_171, 13, H9, story.WITNESS, "repaired", **TWO, **ABORT),
    _scenario("some-abort-in-ours", "some_abort_asked", "holds", 60_171, 7, H9, story.WITNESS, "repaired", **TWO, **ABORT),
    _scenario("stale-prefill-with-two-putters", OWNED, "violated", 98_578, 26, H9,
              "Ours with an abort that ZMQ-in puts itself, and no critical section around schedule() and the put. " + story.STALE,
              "two_putters", **TWO, **ABORT),
    _scenario("no-stale-prefill-with-locked-put", OWNED, "holds", 88_433, None, H9,
              "Ours with an abort that ZMQ-in puts itself, but looks up under RM.lock, which is held until the batch is put.",
              "locked_put", **TWO, **ABORT),
    _scenario("stop-hits-the-next-in-b", INNOCENT, "violated", 68_405, 43, H9, story.VICTIM, "B", **ABORT),
    _scenario("stop-hits-the-next-in-r", INNOCENT, "violated", 10_512, 29, ("#7724", "H9"), story.VICTIM, "R", **ABORT),
    _scenario("stop-hits-the-next-with-locked-put", INNOCENT, "violated", 27_802, 35, H9,
              "One critical section around schedule() and the put does not help here. " + story.VICTIM, "locked_put", **ABORT),
    _scenario("victim-is-never-answered-with-locked-put", ANSWERED, "violated", 88_433, 60, H9,
              story.VICTIM + " The stop is reported and means nothing to the engine; the request runs for ever on paper.", "locked_put",
              **TWO, **ABORT),
    _scenario("no-stop-for-another-in-a-prime", INNOCENT, "holds", 73_618, None, ("#6743", "H9"), story.NEWEST, "A'", **TWO, **ABORT),
    _scenario("no-stop-for-another-in-ours", INNOCENT, "holds", 60_171, None, H9, story.OURS, "repaired", **TWO, **ABORT),
    _scenario("report-of-a-stop-hits-the-next-in-a-prime", OWNED, "violated", 375_804, 86, ("#6743", "H10"), story.ANOTHERS_REPORT,
              "A'", requests=3, **ABORTS),
    _scenario("report-of-a-stop-hits-the-next-in-r-prime", OWNED, "violated", 117_675, 67, ("#6743", "H10"), story.ANOTHERS_REPORT,
              "R'", requests=3, **ABORTS),
    _scenario("report-of-a-stop-hits-its-own-in-ours", OWNED, "holds", 332_429, None, ("#6743", "H10"),
              "A stop that finds its slot empty is not reported: each stay in a slot ends with one report.", "repaired", requests=3, **ABORTS),
    _scenario("report-of-a-stop-hits-its-own-on-two-slots-in-ours", OWNED, "holds", 2_329_397, None, ("#6743", "H10"), "As above.", "repaired",
              **THREE, **ABORTS),
    _scenario("report-of-a-stop-hits-the-next-when-reported-twice", OWNED, "violated", 440_680, 96, ("#6743", "H10"),
              "Ours, with every stop reported. " + story.ANOTHERS_REPORT, "reports_twice", requests=3, **ABORTS),
    _scenario("stale-prefill-after-pause-in-a", OWNED, "violated", 68_232, 22, H9, story.PAUSED, "A", **PAUSE),
    _scenario("stale-prefill-after-pause-in-b", OWNED, "violated", 147_025, 24, H9, story.MISSED, "B", **PAUSE),
    _scenario("no-stale-prefill-after-pause-in-a-prime", OWNED, "holds", 232_304, None, H9,
              "The new pause puts nothing: it waits until everything is over.", "A'", **TWO, **PAUSE),
    _scenario("no-stale-prefill-after-pause-in-ours", OWNED, "holds", 142_017, None, H9, story.DRAINED, "repaired", **TWO, **PAUSE),
    _scenario("freed-block-written-in-r-prime", FREED, "violated", 23_040, 16, ("#6743", "H10"), story.FREES_EARLY, "R'", **TWO, **ABORT),
    _scenario("freed-block-written-with-two-putters", FREED, "violated", 98_578, 26, H9, story.STALE, "two_putters", **TWO, **ABORT),
    _scenario("no-freed-block-written-in-ours", FREED, "holds", 60_171, None, ("#6743", "H10"),
              "An aborted request keeps its block until its stop is reported.", "repaired", **TWO, **ABORT),
    _scenario("no-freed-block-written-on-p-in-ours", FREED, "holds", 49_289, None, H9, "As above.", "repaired", **P, **TWO, **ABORT),
    _scenario("no-freed-block-written-after-pause-in-ours", FREED, "holds", 142_017, None, H9, story.DRAINED, "repaired", **TWO, **PAUSE),
    _scenario("stale-prefill-after-clearing-pause", OWNED, "violated", 141_271, 21, H9,
              "Ours with the old pause. " + story.MISSED, "clearing", **TWO, **PAUSE),
]

PREPARATION = [
    _scenario("aborted-in-preparation-in-r", PLACED, "violated", 37_506, 29, H22, story.PREPARED, "R", **P, **TWO, **ABORT),
    _scenario("aborted-in-preparation-in-b", PLACED, "violated", 193_347, 49, ("H-22",), story.PREPARED, "B", **P, **TWO, **ABORT),
    _scenario("aborted-in-preparation-shares-its-slot-in-r", TOGETHER, "violated", 270_725, 35, H22, story.PREPARED, "R", **P, **THREE, **ABORT),
    _scenario("aborted-in-preparation-shares-no-slot-in-ours", TOGETHER, "holds", 306_884, None, H22, story.OURS, "repaired", **P, **THREE, **ABORT),
    _scenario("aborted-in-a-fetch-is-added-in-b", ADDED, "violated", 78_519, 14, ("#6680", "H-22"), story.RECYCLED, "B", **ABORT),
    _scenario("aborted-in-a-fetch-runs-in-r", LATE, "violated", 7_664, 14, H22, story.RECYCLED, "R", **P, **ABORT),
    _scenario("aborted-in-preparation-keeps-order-in-r-prime", PLACED, "holds", 12_378, None, ("#6743", "H-22"),
              "On P schedule() aborts nothing, so the abort does no harm; nor does it do anything else.", "R'", **P, **TWO, **ABORT),
    _scenario("aborted-in-preparation-in-ours", PLACED, "holds", 306_884, None, H22, story.OURS, "repaired", **P, **THREE, **ABORT),
    _scenario("aborted-in-a-fetch-is-dropped-in-ours", ADDED, "holds", 306_884, None, H22, story.OURS, "repaired", **P, **THREE, **ABORT),
    _scenario("aborted-in-a-fetch-is-not-scheduled-in-ours", LATE, "holds", 49_289, None, H22, story.OURS, "repaired", **P, **TWO, **ABORT),
    _scenario("some-request-runs-on-p-in-ours", "some_request_runs", "holds", 49_289, 10, H22, story.WITNESS, "repaired", **P, **TWO, **ABORT),
    _scenario("abort-ends-nothing-in-r-prime", ENDS, "violated", 2_385, 10, ("#6743", "H-22"), story.SILENT, "R'", **P, **ABORT, silent=True),
    _scenario("abort-ends-nothing-in-a-prime", ENDS, "violated", 6_715, 17, ("#6743", "H-22"), story.SILENT, "A'", **P, **ABORT, silent=True),
    _scenario("abort-ends-nothing-when-unowned", ENDS, "violated", 5_376, 11, ("H-22",), "Ours with the newest abort. " + story.SILENT, "unowned",
              **P, **ABORT, silent=True),
    _scenario("abort-ends-in-ours", ENDS, "holds", 49_289, None, ("H-22",), "The fetch withdraws its request wherever it waits.", "repaired",
              **P, **TWO, **ABORT, silent=True),
    _scenario("aborted-request-is-answered-in-ours", ANSWERED, "holds", 60_171, None, ("H-22",), story.OURS, "repaired", **TWO, **ABORT),
    _scenario("paused-in-preparation-in-r", HELD_FREE, "violated", 16_226, 13, H23, story.RESET, "R", **P, **PAUSE),
    _scenario("paused-in-preparation-in-a", HELD_FREE, "violated", 44_981, 19, ("H-23",), story.RESET, "A", **P, **PAUSE),
    _scenario("paused-while-finishing-in-a", ENDING_FREE, "violated", 68_232, 30, ("H-23",), story.GAP, "A", **PAUSE),
    _scenario("paused-in-preparation-in-r-prime", HELD_FREE, "holds", 27_441, None, H23,
              "The request is in RM.requests, and the new pause waits for it.", "R'", **P, **TWO, **PAUSE),
    _scenario("paused-in-preparation-in-ours", HELD_FREE, "holds", 118_851, None, H23, story.DRAINED, "repaired", **P, **TWO, **PAUSE),
    _scenario("paused-while-finishing-in-ours", ENDING_FREE, "holds", 142_017, None, ("H-23",), story.DRAINED, "repaired", **TWO, **PAUSE),
    _scenario("blocks-owned-once-in-ours", TWICE, "holds", 118_851, None, H23, story.DRAINED, "repaired", **P, **TWO, **PAUSE),
    _scenario("blocks-owned-twice-in-a", TWICE, "violated", 68_232, 21, ("H-23",),
              "As above, in the mixed role: a request that the pause missed is scheduled while the pause is at work.", "A", **PAUSE),
    _scenario("some-block-held-in-ours", "some_block_held", "holds", 118_851, 4, H23, story.WITNESS, "repaired", **P, **TWO, **PAUSE),
    _scenario("paused-in-preparation-when-clearing", HELD_FREE, "violated", 45_452, 13, H23,
              "Ours with the old pause. " + story.RESET, "clearing", **P, **PAUSE),
    _scenario("pause-never-ends-in-r-prime", TAKEN, "violated", 5_763, 12, ("H-23",),
              "The new pause waits for a request whose decode instance is silent, with no time-out, and no message is read behind it.", "R'",
              **P, **PAUSE, silent=True),
    _scenario("pause-ends-in-ours", TAKEN, "holds", 118_851, None, ("H-23",), "The fetch withdraws its request, so the pause ends.", "repaired",
              **P, **TWO, **PAUSE, silent=True),
    _scenario("pause-waits-for-unreported-stops-in-a", TAKEN, "violated", 68_232, 23, ("#7633", "H-23"),
              "A step in which nothing is left to run is not run, so the stops are never reported and the pause waits for its 60 s.", "A", **PAUSE),
    _scenario("pause-gives-up-in-a", TAKEN, "holds", 97_962, None, ("H-23",),
              "After its 60 s the pause goes on all the same.", "A", **PAUSE, gives_up=True),
    _scenario("zero-threads-in-r", ANSWERED, "violated", 3, 3, H37,
              "With no prepare thread no request is ever fetched, and nothing says so.", "R", **P, threads=0),
    _scenario("one-thread-in-r", ANSWERED, "holds", 8_631, None, H37, "With a thread every request is answered.", "R", **P, **THREE),
    _scenario("two-threads-in-r", ANSWERED, "holds", 150_987, None, H37, "With two threads every request is answered.", "R", **P, **THREE, threads=2),
    _scenario("zero-threads-in-ours", ANSWERED, "holds", 18_506, None, H37, "The number is at least one.", "repaired", **P, **THREE, threads=0),
    _scenario("zero-threads-when-unchecked", ANSWERED, "violated", 4, 4, H37, "Ours without the look at the number.", "threadless", **P, threads=0),
    _scenario("some-run-answers-all-in-ours", "some_run_answers_all", "holds", 324_089, 18, H37, story.WITNESS, "repaired", **P, **THREE, threads=2),
]

RESETS = [
    _scenario("request-survives-the-reset-in-a", ADDED, "violated", 80_334, 19, H27, story.SURVIVOR, "A", **PAUSE),
    _scenario("request-survives-the-reset-in-b", ADDED, "violated", 171_891, 17, H27, story.SURVIVOR, "B", **PAUSE),
    _scenario("request-survives-the-reset-in-r", ADDED, "violated", 25_489, 12, H27, story.SURVIVOR, "R", **PAUSE),
    _scenario("survivor-is-scheduled-in-b", LATE, "violated", 154_501, 20, ("#6680", "H27", "H7"),
              story.SURVIVOR + " It runs, though its client was told that it failed: a candidate for the difference in k3_kl_mean (H31).", "B",
              **PAUSE),
    _scenario("no-survivor-in-a-prime", ADDED, "holds", 232_304, None, H27,
              "The new pause waits until the scheduler has no request left, so a fetch has none in hand.", "A'", **TWO, **PAUSE),
    _scenario("no-survivor-in-r-prime", ADDED, "holds", 73_611, None, H27, "As in A'.", "R'", **TWO, **PAUSE),
    _scenario("no-survivor-in-ours", ADDED, "holds", 142_017, None, H27, story.DRAINED, "repaired", **TWO, **PAUSE),
    _scenario("no-survivor-is-scheduled-in-ours", LATE, "holds", 142_017, None, H27, story.DRAINED, "repaired", **TWO, **PAUSE),
    _scenario("requests-come-during-a-pause-in-ours", ADDED, "holds", 82_314, None, H27,
              "A request that comes during the pause is refused.", "repaired",
              **PAUSE, late=1),
    _scenario("request-survives-when-clearing", ADDED, "violated", 73_857, 12, H27, "Ours with the old pause. " + story.SURVIVOR, "clearing",
              **PAUSE),
]

INTAKE = [
    _scenario("control-stalls-the-intake-in-a-prime", TAKEN, "violated", 35_027, 20, H27, story.BLOCKED, "A'", **CONTROL, late=1, stalls=1),
    _scenario("control-stalls-the-intake-in-b", TAKEN, "violated", 64_059, 26, H27, story.BLOCKED, "B", **CONTROL, late=1, stalls=1),
    _scenario("control-waits-for-a-working-rank-in-a-prime", TAKEN, "holds", 19_603, None, H27,
              "With ranks that go on, the put ends.", "A'", **CONTROL, late=1),
    _scenario("control-is-noted-in-ours", TAKEN, "holds", 31_712, None, H27, story.NOTED, "repaired", **CONTROL, late=1, stalls=1),
    _scenario("control-stalls-the-intake-with-two-putters", TAKEN, "violated", 26_739, 18, H27,
              "Ours, with ZMQ-in putting. " + story.BLOCKED, "two_putters",
              **CONTROL, late=1, stalls=1),
    _scenario("abort-stalls-the-intake-in-b", TAKEN, "violated", 169_780, 28, H40, story.BLOCKED, "B", **ABORT, late=1, stalls=1),
    _scenario("abort-stalls-the-intake-in-r", TAKEN, "violated", 32_328, 19, H40, story.BLOCKED, "R", **ABORT, late=1, stalls=1),
    _scenario("abort-keeps-a-message-waiting-in-b", BEHIND, "violated", 114_292, 18, H40, story.BEHIND_PUT, "B", **ABORT, late=1),
    _scenario("abort-keeps-a-message-waiting-in-r", BEHIND, "violated", 18_612, 13, H40, story.BEHIND_PUT, "R", **ABORT, late=1),
    _scenario("abort-is-noted-in-a-prime", TAKEN, "holds", 73_068, None, ("#6743", *H40), story.NOTED, "A'", **ABORT, late=1, stalls=1),
    _scenario("abort-keeps-nothing-waiting-in-a-prime", BEHIND, "holds", 42_457, None, ("#6743", *H40), story.NOTED, "A'", **ABORT, late=1),
    _scenario("abort-is-noted-in-ours", TAKEN, "holds", 54_548, None, H40, story.NOTED, "repaired", **ABORT, late=1, stalls=1),
    _scenario("abort-keeps-nothing-waiting-with-two-putters", BEHIND, "violated", 55_041, 14, H40,
              "Ours, with ZMQ-in putting. " + story.BEHIND_PUT, "two_putters",
              **ABORT, late=1),
    _scenario("put-waits-with-the-lock-held", PUT_WAITS, "violated", 27_802, 35, H27,
              "Ours, with ZMQ-in putting too: its stop gets into the queue between the gate and the put, which then waits for a rank with "
              "RM.lock held.",
              "locked_put", **ABORT),
    _scenario("put-waits-in-b", PUT_WAITS, "violated", 68_405, 17, H27, "The gate has seen the queue empty, and then the control thread put a stop.",
              "B", **ABORT),
    _scenario("no-put-waits-in-ours", PUT_WAITS, "holds", 60_171, None, H27,
              "The gate has seen the queue empty, and nobody else puts: RM.lock is never held while a rank is waited for.",
              "repaired", **TWO, **ABORT),
    _scenario("no-put-waits-on-p-in-ours", PUT_WAITS, "holds", 118_851, None, H27, "As above.", "repaired", **P, **TWO, **PAUSE),
    _scenario("some-message-comes-in-ours", "some_message_comes", "holds", 54_548, 1, H40, story.WITNESS, "repaired", **ABORT, late=1, stalls=1),
    _scenario("more-waits-than-two-fetches-in-b", BOUNDED, "violated", 13_181, 45, H7, story.GREEDY, "B", requests=4),
    _scenario("more-waits-than-two-fetches-in-b-prime", BOUNDED, "violated", 6_191, 44, H7, story.GREEDY, "B'", requests=4),
    _scenario("two-fetches-wait-in-a", ONE_BATCH, "violated", 3_572, 24, ("H7",), story.TWO_LOOKS, "A", requests=3),
    _scenario("no-more-than-two-fetches-wait-in-a", BOUNDED, "holds", 5_274, None, ("H7",),
              "One fetch too many is possible, and no more: the next look sees that something waits.", "A", requests=4),
    _scenario("one-fetch-waits-in-r", ONE_BATCH, "holds", 1_566, None, ("#7724", "H7"),
              "The one fetch loop looks for itself, before it fetches.", "R", requests=4),
    _scenario("one-batch-waits-in-ours", ONE_BATCH, "holds", 47_008, None, H7,
              "The one fetch loop lets as many wait as there are slots.", "repaired", requests=4, slots=2, blocks=2),
    _scenario("some-request-waits-in-ours", "some_request_waits", "holds", 47_008, 4, H7, story.WITNESS, "repaired", requests=4, slots=2, blocks=2),
    _scenario("batch-gathers-during-a-step-in-ours", "some_batch_gathers", "holds", 47_008, 22, H7,
              "What #6680 is for: requests are fetched during a step, and wait for the next batch.", "repaired", requests=4, slots=2, blocks=2),
    _scenario("more-waits-when-unbounded", ONE_BATCH, "violated", 4_720, 6, H7, "Ours without the look at what waits.", "unbounded", requests=4),
    _scenario("gate-opens-in-a", OPENS, "holds", 25_798, None, ("#6680",), "P11, with ranks that go on.", "A", **THREE),
    _scenario("gate-opens-in-b", OPENS, "holds", 37_570, None, ("#6680",), "P11, with ranks that go on.", "B", **THREE),
    _scenario("gate-opens-in-ours", OPENS, "holds", 17_834, None, ("#6680",), "P11, with ranks that go on.", "repaired", **THREE),
    _scenario("gate-stays-closed-when-ranks-stop-in-b", OPENS, "violated", 4_765, 33, ("#6680",),
              "Nobody reads the batch: the gate has no time-out.", "B", stalls=1),
]

EXCEPTIONS = [
    _scenario("exception-loses-a-request-in-a", ANSWERED, "violated", 1_611, 21, H14, story.EXCEPTION + ".", "A", **P, failures=1),
    _scenario("exception-loses-a-request-in-b", ANSWERED, "violated", 4_780, 52, ("#6680", *H14), story.EXCEPTION + ".", "B", failures=1),
    _scenario("exception-loses-a-request-in-r", ANSWERED, "violated", 558, 10, ("#7724", *H14), story.EXCEPTION + ".", "R", **P, failures=1),
    _scenario("exception-keeps-slot-and-block-in-a-prime", LOST, "violated", 1_611, 11, H14,
              story.EXCEPTION + ", and keeps its slot and its block.", "A'", **P, failures=1),
    _scenario("exception-keeps-slot-and-block-in-r", LOST, "violated", 558, 5, ("#7724", *H14),
              story.EXCEPTION + ", and keeps its slot and its block.", "R", **P, failures=1),
    _scenario("exception-is-answered-in-ours", ANSWERED, "holds", 35_913, None, H14,
              "The request is answered with an error.", "repaired", **P, **THREE, failures=2),
    _scenario("exception-gives-back-in-ours", LOST, "holds", 35_913, None, H14,
              "Slot and block are given back.", "repaired", **P, **THREE, failures=2),
    _scenario("exception-loses-a-request-when-forgetful", ANSWERED, "violated", 1_244, 11, H14,
              "Ours with the old handler. " + story.EXCEPTION + ".", "forgetful",
              **P, failures=1),
    _small(acknowledgement, "failed-preprocessing-loses-the-batch-in-e0", "no_batch_lost", "violated", 465, 8, H14,
           "Preprocessing of the first of two requests has failed, the second is pending. The first look takes the first out of need; its "
           "acknowledgement is never used up, so the second look comes at once, and takes it out again: ValueError, and the batch is lost.", "E0"),
    _small(acknowledgement, "failed-preprocessing-leaves-requests-open-in-e0", "tasks_end", "violated", 465, 11, H14,
           "As above: the second request is neither added nor answered.", "E0"),
    _small(acknowledgement, "failed-preprocessing-keeps-the-loop-awake-in-e0", "no_stale_acknowledgement", "violated", 465, 4, H14,
           "The failed request's acknowledgement stays among the collected ones: the loop looks again and again, without its sleep.", "E0"),
    _small(acknowledgement, "failed-preprocessing-of-a-single-in-e0", "no_batch_lost", "holds", 21, None, H14,
           "A batch of one ends with its only request.", "E0", tasks=1),
    _small(acknowledgement, "failed-preprocessing-when-checked", "no_batch_lost", "holds", 6_749, None, H14,
           "An id is taken out only while it is there, and its acknowledgement with it.", "checked", tasks=3),
    _small(acknowledgement, "loop-sleeps-when-checked", "no_stale_acknowledgement", "holds", 6_749, None, H14,
           "As above: nothing stale is left.", "checked", tasks=3),
    _small(acknowledgement, "failed-preprocessing-in-e1", "no_batch_lost", "holds", 81, None, ("#7724", *H14),
           "Preprocessing is waited for before registration, once per request.", "E1", tasks=3),
    _small(acknowledgement, "exception-loses-the-batch-in-e1", "tasks_end", "violated", 46, 3, ("#7724", *H14),
           "Any other exception still loses every request of the batch.", "E1", exceptions=1),
    _small(acknowledgement, "exception-loses-nobody-in-ours", "no_batch_lost", "holds", 548, None, H14,
           "Each request is prepared by itself; an exception answers the one it concerns.", "repaired", tasks=3, exceptions=2),
    _small(acknowledgement, "every-task-ends-in-ours", "tasks_end", "holds", 548, None, H14, "As above.", "repaired", tasks=3, exceptions=2),
    _small(acknowledgement, "some-batch-added-in-ours", "some_batch_added", "holds", 548, 5, H14, story.WITNESS, "repaired", tasks=3, exceptions=2),
    _small(acknowledgement, "some-task-answered-in-e0", "some_task_answered", "holds", 465, 4, H14, story.WITNESS, "E0"),
    _scenario("no-position-loses-a-request-in-a", PLACED, "violated", 26_966, 40, H26,
              story.NO_POSITION + " It is swallowed: the request stays in running, without a slot, for ever.", "A", blocks=2, **ABORT),
    _scenario("no-position-ends-the-thread-uncounted", LIVES, "violated", 33_238, 40, H26,
              "A' with the admission of before #7141. " + story.NO_POSITION + " It is raised again, and the thread ends.", "uncounted",
              blocks=2, **ABORT),
    _scenario("no-position-is-unreachable-in-a-prime", LIVES, "holds", 32_969, None, H26,
              "#7141 counts what is being aborted, so there is a position for whatever is admitted.", "A'", blocks=2, **ABORT),
    _scenario("no-position-is-unreachable-in-ours", LIVES, "holds", 31_155, None, H26, "As in A'.", "repaired", blocks=2, **ABORT),
    _scenario("no-position-ends-the-thread-in-ours-uncounted", LIVES, "violated", 31_233, 39, H26,
              "Ours with the admission of before #7141. " + story.NO_POSITION,
              "uncounted_ours", blocks=2, **ABORT),
    _scenario("closed-pool-ends-the-thread-in-a-prime", LIVES, "violated", 6_689, 9, ("#7791", "H26"),
              story.CLOSED + " The error is raised again.", "A'", **P, **DOWN),
    _scenario("closed-pool-is-guarded-in-a-prime-mixed", LIVES, "holds", 10_820, None, ("#7791", "H26"),
              story.CLOSED + " The submission of the mixed role is guarded.", "A'", **DOWN),
    _scenario("closed-pool-is-known-in-a", LIVES, "holds", 6_689, None, ("#7791", "H26"),
              story.CLOSED + " The outer handler knows the text and leaves.", "A", **P, **DOWN),
    _scenario("no-pool-in-ours", LIVES, "holds", 10_191, None, ("#7791", "H26"), "There is no pool to submit to.", "repaired", **P, **DOWN),
]

EXITS = [
    _scenario("fetch-outlives-the-shutdown-in-a", OVER, "violated", 6_689, 17, ("H16",), story.WAITS, "A", **P, **DOWN),
    _scenario("fetch-outlives-the-shutdown-in-b", OVER, "violated", 14_367, 18, ("H16",), story.WAITS, "B", **P, **DOWN),
    _scenario("fetch-outlives-the-shutdown-in-r", OVER, "violated", 4_416, 10, ("#7724", "H16"), story.WAITS, "R", **P, **DOWN),
    _scenario("fetch-ends-at-shutdown-in-a-mixed", OVER, "holds", 10_820, None, ("H16",), "In the mixed role no fetch waits.", "A", **DOWN),
    _scenario("fetch-ends-at-shutdown-in-ours", OVER, "holds", 640_594, None, ("H16",),
              "Every wait watches the exit.", "repaired", **P, **TWO, **DOWN, threads=2),
    _scenario("fetch-outlives-the-shutdown-unwatched", OVER, "violated", 9_351, 10, ("H16",),
              "Ours without the look at the exit. " + story.WAITS, "unwatched", **P, **DOWN),
    _scenario("some-exit-closes-in-ours", "some_exit_closes", "holds", 10_191, 4, ("H26",), story.WITNESS, "repaired", **P, **DOWN),
    _scenario("interpreter-exit-leaves-a-spinning-loop-in-a", OVER, "violated", 2_138, 10, ("#7791", "H26"),
              story.CLOSED + " At the interpreter's exit the text is another one: the error is swallowed, is_fetching stays up, and the "
              "loop goes on.",
              "A", **P, **QUIT),
    _scenario("interpreter-exit-ends-the-loop-in-b", OVER, "holds", 4_394, None, ("#6680", "H26"),
              "Both texts contain the word that B looks for.", "B", **P, **QUIT),
    _scenario("interpreter-exit-ends-the-thread-in-a-prime", LIVES, "violated", 2_012, 6, ("#7791", "H26"), story.CLOSED, "A'", **P, **QUIT),
]

TOKENS = [
    _small(token_wait, "missing-report-stops-all-answers", "answered_when_sent", "violated", 70, 6, H28,
           "The token processor has taken the first token of a request whose report never comes. Another request's cache is sent and "
           "reported; the report is read and kept, and the request is not answered, as its token lies behind.", "waiting"),
    _small(token_wait, "all-reports-come-in-time", "answered_when_sent", "holds", 611, None, H28,
           "When every report comes, the order does not matter.", "waiting", requests=3, losses=0),
    _small(token_wait, "missing-report-concerns-one-in-ours", "answered_when_sent", "holds", 3_318, None, H28,
           "Tokens and reports are taken as they come, and whoever has both is answered.", "repaired", requests=3, losses=2),
    _small(token_wait, "missing-report-is-given-up-in-ours", "first_tokens_answered", "holds", 3_318, None, H28,
           "A request whose report does not come is given up after a time, by itself.", "repaired", requests=3, losses=2),
    _small(token_wait, "missing-report-is-never-given-up-when-endless", "first_tokens_answered", "violated", 97, 8, H28,
           "Ours without the time-out: the others are answered, this one never.", "endless"),
    _small(token_wait, "some-answer-of-another-in-ours", "some_answer_of_another", "holds", 3_318, 5, H28,
           story.WITNESS, "repaired", requests=3, losses=2),
    _scenario("exception-loses-a-step-in-a", ANSWERED, "violated", 6_847, 46, H28,
              "An exception while a step's report is handled is logged, and the report dropped, for all slots: the last token among them "
              "is never credited.", "A", **TWO, step_failures=1),
    _scenario("exception-costs-one-slot-in-ours", ANSWERED, "holds", 42_923, None, H28,
              "The request of that slot is answered with an error and finished; the other slots are handled.", "repaired", **THREE, step_failures=2),
    _scenario("exception-loses-a-step-when-careless", ANSWERED, "violated", 4_923, 50, H28,
              "Ours with the old handler.", "careless", **TWO, step_failures=1),
    _small(snapshot, "finished-before-the-copy-in-a", "no_empty_copy", "violated", 289, 17, H29,
           "schedule() emits further blocks for a request whose last token is under way. It is finished and its blocks are freed; then "
           "put_tasks makes its copy, with an empty table.", "A"),
    _small(snapshot, "finished-before-the-copy-is-benign-in-a", "no_live_slot_without_table", "holds", 741, None, H29,
           "The worker has stopped the slot with the last token, and the next request in it brings its own table.", "A", requests=3),
    _small(snapshot, "aborted-before-the-copy-runs-in-b", "no_live_slot_without_table", "violated", 4_775, 13, H29,
           "B's abort recycles a request whose prefill is in the scheduling thread's hand: the copy starts the slot with an empty table.", "B"),
    _small(snapshot, "no-empty-copy-in-ours", "no_empty_copy", "holds", 933, None, H29,
           "The lock is held from schedule() to the put: nothing is freed in between.", "repaired", requests=3),
    _small(snapshot, "no-live-slot-without-table-in-ours", "no_live_slot_without_table", "holds", 933, None, H29,
           "As above.", "repaired", requests=3),
    _small(snapshot, "some-live-slot-in-ours", "some_live_slot", "holds", 933, 6, H29, story.WITNESS, "repaired", requests=3),
    _small(snapshot, "some-copy-in-ours", "some_copy", "holds", 933, 4, H29, story.WITNESS, "repaired", requests=3),
]

AT_ONCE = [
    _scenario("abort-and-pause-owned-in-ours", OWNED, "holds", 3_201_675, None, ("H9", "H10", "H-23"), story.OURS, "repaired", **THREE, **BOTH),
    _scenario("abort-and-pause-answered-in-ours", ANSWERED, "holds", 3_201_675, None, ("H10", "H-22"), story.OURS, "repaired", **THREE, **BOTH),
    _scenario("abort-and-pause-answered-on-p-in-ours", ANSWERED, "holds", 2_598_928, None, ("H-22", "H-23"),
              story.OURS, "repaired", **P, **THREE, **BOTH),
    _scenario("two-threads-and-an-abort-on-p-in-ours", PLACED, "holds", 5_255_882, None, ("H-22",),
              story.OURS, "repaired", **P, **THREE, **ABORT, threads=2),
    _scenario("all-at-once-owned-in-ours", OWNED, "holds", 1_568_915, None, ("H9", "H-22", "H-23"), story.OURS, "repaired", **TWO, **ALL),
    _scenario("all-at-once-answered-in-ours", ANSWERED, "holds", 1_568_915, None, ("H14", "H28"), story.OURS, "repaired", **TWO, **ALL),
    _scenario("all-at-once-taken-in-ours", TAKEN, "holds", 1_568_915, None, ("H27", "H-40"), story.OURS, "repaired", **TWO, **ALL),
    _scenario("all-at-once-blocks-owned-once-on-p-in-ours", TWICE, "holds", 1_307_937, None, ("H-22", "H-23"),
              story.OURS, "repaired", **P, **TWO, **ALL),
    _scenario("all-at-once-answered-on-p-in-ours", ANSWERED, "holds", 1_307_937, None, ("H14", "H-22"), story.OURS, "repaired", **P, **TWO, **ALL),
    _scenario("all-at-once-runs-in-its-slot-on-p-in-ours", PLACED, "holds", 1_307_937, None, ("H-22",), story.OURS, "repaired", **P, **TWO, **ALL),
]
# fmt: on

__all__ = ["HAZARDS", "SCENARIOS"]

SCENARIOS = [*STALE_BATCHES, *PREPARATION, *RESETS, *INTAKE, *EXCEPTIONS, *EXITS, *TOKENS, *AT_ONCE]
