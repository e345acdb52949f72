"""Scenarios of the group "lifecycle": a request's life in the resource manager.

Four systems, each with variants that say what the manager does:

- `lifecycle.py`, mixed and decode: *newest* (after #7141, with forced recycling of aborts), *before_7141*, *before_7633*,
  *looking_up* (TOK looks the preempted up first); prompts of one or two chunks;
- `prefill_scheduling.py`, P: *schedule* (with preemption), #7944's prefill_schedule *asserting* and *optimised* (-O), a manager that
  lacks it (*V0*) or inherits it (*V2*; *V2_schedule*: with its own `schedule()`, also behind #6680's gate);
- `running_list.py`: one `schedule()` walking along `running`; `query_queue.py`: V2's messages.

hazard                          violated in                         holds in
H10   slot reused               newest (decode)                     repaired, unkept; back in unkept_unnumbered, unkept_one_attempt
H10   block written after all   newest (all roles), schedule (P)    repaired; back in unkept, forcing, unnumbered
H12   abort waits, forced       newest (all roles), schedule (P)    repaired; back in unnumbered_forcing
H15   error left behind         newest                              repaired; back in forgetful
H23   finish versus preempt     newest; looking_up (step dropped)   repaired; newest (no step dropped)
H30   index shifts              published                           repaired
H-24  blocks named anew         schedule (speculation, stops)       repaired
H-29  slot clobbered            V2                                  checked, repaired
H-41  waiting and finished      asserting, optimised                schedule, newest (it ends at its second end), repaired
#7141 more than the slots       before_7141                         newest, repaired; back in uncounted
#7944 who waits                 asserting, optimised, V0, V2        schedule, repaired
"""

from __future__ import annotations

from typing import Any

from ..machines.lifecycle.lifecycle import build
from ..machines.lifecycle.prefill_scheduling import build as build_prefill
from ..machines.lifecycle.query_queue import build as build_queue
from ..machines.lifecycle.running_list import build as build_list
from . import Scenario
from .lifecycle_hazards import HAZARDS


def _life(name: str, asked: str, expected: str, counts: tuple[int, int | None], sources: str, variant: str, about: str, **bounds: Any) -> Scenario:
    """A scenario of the manager in the mixed or decode role."""
    return _scenario(build, name, asked, expected, counts, sources, variant, about, bounds)


def _prefill(name: str, asked: str, expected: str, counts: tuple[int, int | None], sources: str, variant: str, about: str, **bounds: Any) -> Scenario:
    """A scenario of P's scheduling."""
    return _scenario(build_prefill, f"prefill-{name}", asked, expected, counts, sources, variant, about, bounds)


def _list(name: str, asked: str, expected: str, counts: tuple[int, int | None], sources: str, variant: str, about: str, **bounds: Any) -> Scenario:
    """A scenario of the walk along `running`."""
    return _scenario(build_list, f"list-{name}", asked, expected, counts, sources, variant, about, bounds)


def _queue(name: str, asked: str, expected: str, counts: tuple[int, int | None], sources: str, variant: str, about: str, **bounds: Any) -> Scenario:
    """A scenario of V2's queue."""
    return _scenario(build_queue, f"queue-{name}", asked, expected, counts, sources, variant, about, bounds)


def _scenario(
    builder: Any, name: str, asked: str, expected: str, counts: tuple[int, int | None], sources: str, variant: str, about: str, bounds: dict[str, Any]
) -> Scenario:
    title = f"lifecycle-{name}-in-{variant.replace('_', '-').lower()}"
    config = {"variant": variant, **bounds}
    return Scenario(title, "lifecycle", builder, asked, expected, tuple(sources.split()), variant, about, config, *counts)


DECODE: dict[str, Any] = {"role": "decode", "requests": 2, "slots": 1, "blocks": 1, "preemptions": 1}
TURNS: dict[str, Any] = {"role": "decode", "requests": 1, "slots": 1, "blocks": 1, "preemptions": 1, "attempts": 2}
ABORT: dict[str, Any] = {"role": "mixed", "requests": 2, "slots": 1, "blocks": 1, "aborts": 1}
FULL: dict[str, Any] = {"role": "mixed", "requests": 2, "slots": 2, "blocks": 2, "preemptions": 1, "aborts": 1}
ALONE: dict[str, Any] = {"role": "mixed", "requests": 1, "slots": 1, "blocks": 1, "preemptions": 1}
ERROR: dict[str, Any] = {"role": "mixed", "requests": 1, "failures": 1, "drains": True}
RETRY: dict[str, Any] = {"role": "mixed", "requests": 1, "failures": 1, "attempts": 2}
CHUNKS: dict[str, Any] = ABORT | {"chunks": 2}
D_ENDS: dict[str, Any] = DECODE | {"aborts": 1, "failures": 1}
BOTH: dict[str, Any] = {"role": "mixed", "requests": 2, "slots": 2, "blocks": 2, "preemptions": 1}
IN_CHUNKS: dict[str, Any] = FULL | {"chunks": 2}
D_GROWS: dict[str, Any] = DECODE | {"slots": 2, "blocks": 2, "aborts": 1}
STOP: dict[str, Any] = {"stops": 1}
NUMBERED = "The report says (request, attempt): what the slot's former owner still produces is skipped."
STOPPED = "Who is stopped keeps slot and blocks until the worker has reported the stop."
ENDED = "The last token moves the request to FINISHING; nobody preempts what has ended."
KEPT = "What was stopped keeps its blocks and begins again; no row leads to a waiting state, and who was sent is not preempted."

# fmt: off
SCENARIOS: list[Scenario] = [
    _life("foreign-token", "no_foreign_token", "violated", (2_673, 14), "H10", "newest",
          "A request on D is preempted, and its slot given to the next at once. The step that ran meanwhile reports a token for the slot, "
          "and TOK credits it to the next.", **DECODE),
    _life("foreign-token", "no_foreign_token", "violated", (1_769, 13), "H10", "unkept_unnumbered",
          "Ours with the slot free at once, and without numbers in the outputs: as published, the slot decides.", **DECODE),
    _life("foreign-token", "no_foreign_token", "holds", (835, None), "H10", "unkept",
          NUMBERED, **DECODE),
    _life("foreign-token", "no_foreign_token", "holds", (771, None), "H10", "repaired",
          STOPPED, **DECODE),
    _life("foreign-token-of-turn", "no_foreign_token", "violated", (647, 12), "H10", "unkept_one_attempt",
          "The preempted id is posted again by its client, gets the slot again, and is credited a token of its former turn.", **TURNS),
    _life("foreign-token-of-turn", "no_foreign_token", "holds", (401, None), "H10", "unkept",
          NUMBERED, **TURNS),
    _life("foreign-token-of-turn", "no_foreign_token", "holds", (299, None), "H10", "repaired",
          STOPPED, **TURNS),
    _life("lost-block-written-on-decode", "no_lost_block_written", "violated", (2_227, 8), "H10 H9", "newest",
          "A request on D is preempted while a step runs it: its block is free at once and may be the next's, whose cache P's messagers write "
          "into it; the step writes it after all.", **DECODE),
    _life("lost-block-written-on-decode", "no_lost_block_written", "violated", (835, 7), "H10", "unkept",
          "Ours with numbers only: no token is credited to another, and the block is free while the step in flight writes it.", **DECODE),
    _life("lost-block-written-on-decode", "no_lost_block_written", "holds", (771, None), "H10", "repaired",
          STOPPED, **DECODE),
    _life("lost-block-written-by-stale-stop", "no_lost_block_written", "violated", (3_180, 35), "H10", "unnumbered",
          "Ours without numbers: a stop finds its slot empty, because the last token came first, and is reported all the same; the next request "
          "in the slot is being stopped, the report is taken for that of its stop, and its block is free under the step.", **D_ENDS),
    _life("lost-block-written-by-stale-stop", "no_lost_block_written", "holds", (2_476, None), "H10", "repaired",
          "A report names (request, attempt): the stale stop is nobody's.", **D_ENDS),
    _life("lost-block-written", "no_lost_block_written", "violated", (84_902, 7), "H12 H10", "newest",
          "`trigger_abort` frees the blocks with the decision, while the step in flight writes them. In the mixed role the worker reads the stop "
          "before any task of the next owner, so what it writes there is overwritten before it is read.", **FULL),
    _life("lost-block-written", "no_lost_block_written", "violated", (1_152, 7), "H12", "forcing",
          "Ours with force: what is recycled before its stop is reported loses its blocks under the step.", **ABORT),
    _life("lost-block-written", "no_lost_block_written", "holds", (14_972, None), "H12 H10", "repaired",
          STOPPED, **FULL),
    _life("lost-block-written-in-chunks", "no_lost_block_written", "holds", (37_536, None), "H12 H10", "repaired",
          STOPPED, **IN_CHUNKS),
    _life("some-stopped-written", "some_stopped_written", "holds", (771, 7), "H10", "repaired",
          "A request on D is preempted during a step that runs it.", **DECODE),
    _life("second-answer-on-decode", "no_second_answer", "violated", (2_657, 18), "H10 H23", "newest",
          "TOK has looked who has the slot; the request is preempted and its client told the error; TOK goes on and tells it the end.", **DECODE),
    _life("second-answer-on-decode", "no_second_answer", "violated", (1_211, 15), "H10 H23", "late_finish",
          "The last token leaves the request in `running`, where it is preempted: a result and an error.", **DECODE),
    _life("second-answer-on-decode", "no_second_answer", "holds", (771, None), "H10 H23", "repaired",
          ENDED, **DECODE),
    _life("all-end-on-decode", "some_run_ends", "holds", (771, 29), "H10", "repaired",
          "Two requests on D end, after a preemption or without.", **DECODE),
    _life("forced-slot-reuse", "no_foreign_token", "violated", (3_102, 16), "H12 H10", "newest",
          "An abort was scheduled, its stop read but not reported; the request is recycled by force and its slot given to the next, which "
          "is credited the token that TOK still has in hand.", **ABORT),
    _life("forced-slot-reuse", "no_foreign_token", "violated", (2_022, 14), "H12 H10", "unnumbered_forcing",
          "Ours with force and without numbers.", **ABORT),
    _life("forced-slot-reuse", "no_foreign_token", "holds", (1_152, None), "H12 H10", "forcing",
          "Numbered outputs bear forced recycling, as far as tokens go; blocks do not (lifecycle-lost-block-written-in-forcing).", **ABORT),
    _life("forced-slot-reuse", "no_foreign_token", "holds", (812, None), "H12 H10", "repaired",
          "Nothing is recycled by force, and outputs are numbered.", **ABORT),
    _life("abort-of-waiting", "no_abort_waits", "violated", (2_904, 2), "H12 #7642", "newest",
          "An abort of a request that waits is only noted; it is admitted and runs before it is stopped.", **ABORT),
    _life("abort-of-waiting", "no_abort_waits", "violated", (864, 2), "H12 #7642", "unowned_aborts",
          "Ours with aborts that only `schedule()` acts on, once the request runs.", **ABORT),
    _life("abort-of-waiting", "no_abort_waits", "holds", (812, None), "H12 #7642", "repaired",
          "Who waits goes at once, under the lock of the queue that it waits in.", **ABORT),
    _life("abort-of-prefilling", "no_chunk_after_abort", "violated", (9_353, 6), "H12", "newest",
          "An abort of a request whose prompt is half computed is only noted: the rest is computed, and then it is stopped.", **CHUNKS),
    _life("abort-of-prefilling", "no_chunk_after_abort", "violated", (2_097, 5), "H12", "unowned_aborts",
          "Ours with aborts that `schedule()` acts on only once the request decodes.", **CHUNKS),
    _life("abort-of-prefilling", "no_chunk_after_abort", "holds", (1_192, None), "H12", "repaired",
          "`schedule()` stops whoever is in `running`.", **CHUNKS),
    _life("abort-on-decode", "no_abort_waits", "violated", (11_602, 4), "H12", "newest",
          "On D an aborted reservation waits for its first token, is put to the worker, and then stopped.", **D_ENDS),
    _life("abort-on-decode", "no_abort_waits", "violated", (2_508, 4), "H12", "unowned_aborts",
          "Ours with aborts that only `schedule()` acts on.", **D_ENDS),
    _life("abort-on-decode", "no_abort_waits", "holds", (2_476, None), "H12", "repaired",
          "Who is not in the worker goes at once, and a reservation when P has sent.", **D_ENDS),
    _life("aborts-end", "aborts_end", "holds", (2_904, None), "H12", "newest",
          "In the mixed role every abort ends, also without force being fair.", **ABORT),
    _life("aborts-end", "aborts_end", "violated", (1_801, 9), "H12 H11 #7633", "before_7633",
          "A step with nothing left to run reports no stop: the abort is never done, unless by force.", **ABORT),
    _life("aborts-end", "aborts_end", "holds", (812, None), "H12", "repaired",
          "TOK frees who was aborted when the stop is reported.", **ABORT),
    _life("some-aborting", "some_aborting", "holds", (812, 5), "H12", "repaired",
          "A running request is stopped.", **ABORT),
    _life("pause-never-drains", "pause_ends", "violated", (93, 3), "H15 H12", "newest",
          "A request whose preprocessing failed is answered and stays in `requests`: the pause waits for ever.", **ERROR),
    _life("pause-never-drains", "pause_ends", "violated", (78, 3), "H15 H12", "forgetful",
          "Ours, leaving what was answered with an error behind.", **ERROR),
    _life("pause-never-drains", "pause_ends", "holds", (78, None), "H15 H12", "repaired",
          "Who was answered is forgotten.", **ERROR),
    _life("error-leaks", "requests_end", "violated", (93, 2), "H15", "newest",
          "The request stays in `requests` after its error: nobody recycles it.", **ERROR),
    _life("error-leaks", "requests_end", "holds", (78, None), "H15", "repaired",
          "Who was answered is forgotten.", **ERROR),
    _life("retry-refused", "no_retry_refused", "violated", (70, 3), "H15", "newest",
          "The request failed its preprocessing and was answered; its id is still known, and the client's retry is refused as a duplicate.",
          **RETRY),
    _life("retry-refused", "no_retry_refused", "violated", (59, 3), "H15", "forgetful",
          "Ours, leaving what was answered with an error behind.", **RETRY),
    _life("retry-refused", "no_retry_refused", "holds", (80, None), "H15", "repaired",
          "Who was answered is forgotten.", **RETRY),
    _life("some-retry-ends", "some_retry_ends", "holds", (80, 17), "H15", "repaired",
          "The id of a request that failed is used again, and answered.", **RETRY),
    _life("zombie", "no_run_after_answer", "violated", (340, 25), "H23", "newest",
          "The request is preempted with its last token on the way; the token is credited and FIN has not come to it; the stop is "
          "reported, TOK puts the request into waiting, and it is admitted and runs again.", **ALONE),
    _life("zombie", "no_run_after_answer", "holds", (128, None), "H23", "repaired",
          ENDED, **ALONE),
    _life("zombie-stopped-after-its-end", "no_run_after_skipped_end", "violated", (542, 26), "H23", "newest",
          "The order of the facts: the last token is credited, FIN is busy, and only then `schedule()` preempts the request, which is still in "
          "running; the stop is reported, FIN finds the request in waiting and skips it, and it runs again.", **ALONE),
    _life("zombie-stopped-after-its-end", "no_run_after_skipped_end", "holds", (128, None), "H23", "repaired",
          ENDED, **ALONE),
    _life("zombie-beside-another", "no_run_after_answer", "violated", (100_968, 33), "H23", "newest",
          "The same with two requests, two slots and an abort.", **FULL),
    _life("zombie-beside-another", "no_run_after_answer", "holds", (14_972, None), "H23", "repaired",
          ENDED, **FULL),
    _life("dropped-step", "no_step_dropped", "violated", (14_351, 38), "H23", "looking_up",
          "TOK finds a preempted request that has ended; FIN deletes it before TOK looks it up: KeyError, and a step is dropped for all "
          "slots.", **BOTH),
    _life("dropped-step", "no_step_dropped", "holds", (11_370, None), "H23", "newest",
          "Without the lookup no step is dropped.", **BOTH),
    _life("dropped-step", "no_step_dropped", "holds", (2_338, None), "H23", "repaired",
          "There is nothing to look up.", **BOTH),
    _life("answered-and-freed", "answered_is_freed", "holds", (334, None), "H-41 H23", "newest",
          "Contrary to the claim, in the mixed role a request that FIN skipped is freed: it runs again and ends again.", **ALONE),
    _life("answered-and-freed", "answered_is_freed", "violated", (78, 2), "H-41 H15", "forgetful",
          "Ours, leaving what was answered with an error behind.", **ERROR),
    _life("answered-and-freed", "answered_is_freed", "holds", (128, None), "H-41", "repaired",
          "FIN finds nobody in waiting.", **ALONE),
    _life("over-admission", "slot_found_for_admitted", "violated", (3_220, 9), "#7141 H26", "before_7141",
          "An aborted request has left `running` and keeps its slot; it is not counted, the next is admitted, and there is no slot for "
          "it: RuntimeError.", **ABORT),
    _life("over-admission", "slot_found_for_admitted", "holds", (2_904, None), "#7141", "newest",
          "All that keep a slot are counted.", **ABORT),
    _life("over-admission", "slot_found_for_admitted", "violated", (1_006, 7), "#7141", "uncounted",
          "Ours, counting as before #7141.", **(ABORT | {"blocks": 2})),
    _life("over-admission", "slot_found_for_admitted", "holds", (812, None), "#7141", "repaired",
          "All that keep a slot are counted.", **ABORT),
    _life("slots-and-blocks", "slots_and_blocks_kept", "violated", (3_220, 9), "#7141 S4", "before_7141",
          "The request that found no slot is in `running` without one.", **ABORT),
    _life("slots-and-blocks", "slots_and_blocks_kept", "holds", (14_972, None), "S4", "repaired",
          "A slot and blocks go with the stage.", **FULL),
    _life("block-shared", "no_block_shared", "violated", (3_909, 8), "P7", "untold",
          "Ours as `unkept`, preempting without telling the worker: it runs on in blocks that another has.", **BOTH),
    _life("block-shared", "no_block_shared", "holds", (84_902, None), "P7", "newest",
          "The stop is read with the task that gets the block, or before it.", **FULL),
    _life("block-shared", "no_block_shared", "holds", (14_972, None), "P7", "repaired",
          "The stop is read with the task that gets the block.", **FULL),
    _life("zombie-shares-block", "no_block_shared", "violated", (257_458, 43), "H23 P7", "newest",
          "The request that was told its end is admitted and run again; then FIN comes to it and frees its blocks, and another request that "
          "grows gets one of them: the next step writes it for both.", **IN_CHUNKS),
    _life("zombie-shares-block", "no_block_shared", "holds", (37_536, None), "H23 P7", "repaired",
          ENDED, **IN_CHUNKS),
    _life("block-shared-on-decode", "no_block_shared", "holds", (92_383, None), "P7", "newest",
          "On D a stop is read before, or with, the task that gets the block.", **D_GROWS),
    _life("block-shared-on-decode", "no_block_shared", "holds", (27_905, None), "P7", "repaired",
          "The stop is read with the task that gets the block.", **D_GROWS),
    _life("some-preempted", "some_preempted", "holds", (14_972, 7), "H23", "repaired",
          "A request is preempted.", **FULL),
    _life("requests-end", "requests_end", "holds", (15_563, None), "P12 P14", "repaired",
          "Every request ends, with preemption, abort, and a request that fails.", **(FULL | {"failures": 1})),
    _life("requests-end-in-chunks", "requests_end", "holds", (38_297, None), "P12 P14", "repaired",
          "The same with prompts of two chunks.", **(IN_CHUNKS | {"failures": 1})),
    _life("requests-end-on-decode", "requests_end", "holds", (29_891, None), "P12 P14", "repaired",
          "On D, with preemption, abort, and a request that P could not prefill.", **(D_ENDS | {"slots": 2, "blocks": 2})),
    _life("slots-and-blocks-on-decode", "slots_and_blocks_kept", "holds", (29_891, None), "S4", "repaired",
          "A slot and blocks go with the stage.", **(D_ENDS | {"slots": 2, "blocks": 2})),
    _life("one-answer-on-decode", "no_second_answer", "holds", (29_891, None), "P10", "repaired",
          "Every end is one move, and only one thread can make it.", **(D_ENDS | {"slots": 2, "blocks": 2})),
    _life("one-answer", "no_second_answer", "violated", (3_120, 18), "P10", "newest",
          "Looked at before, the last token is credited to a request that was recycled by force meanwhile: two answers.", **ABORT),
    _life("one-answer", "no_second_answer", "holds", (15_563, None), "P10", "repaired",
          "Every end is one move, and only one thread can make it.", **(FULL | {"failures": 1})),
    _life("all-end", "some_run_ends", "holds", (14_972, 17), "P10", "repaired",
          "All requests end with one answer each.", **FULL),
    _prefill("old-blocks-shipped", "no_foreign_source", "violated", (2_300, 42), "H-24", "schedule",
             "For want of a block a registered request is preempted; it is admitted again with other blocks, computed, and the messager "
             "is about to ship the old ones.", speculates=True, blocks=3),
    _prefill("freed-blocks-shipped", "no_foreign_source", "violated", (8_432, 12), "H-24", "optimised",
             "A stop frees the blocks of a request that was computed, before the messager has shipped them.", **STOP),
    _prefill("freed-blocks-shipped", "no_foreign_source", "holds", (5_073, None), "H-24", "repaired",
             KEPT, **STOP),
    _prefill("lost-block-written", "no_lost_block_written", "violated", (20_492, 7), "H-24 H9", "schedule",
             "A pause preempts a request while the worker computes a chunk of it: its blocks are free at once, and written after all.", **STOP),
    _prefill("lost-block-written", "no_lost_block_written", "holds", (22_656, None), "H-24", "repaired",
             "With a stop and an abort: blocks are given back when the stop is reported.", refusals=1, threads=2, aborts=1, **STOP),
    _prefill("some-stopped-written", "some_stopped_written", "holds", (5_073, 7), "H-24", "repaired",
             "A request is stopped while the worker computes a chunk of it.", **STOP),
    _prefill("nothing-waits", "nothing_waits", "violated", (1_054, 12), "#7944 H-24", "schedule",
             "A preempted request waits.", speculates=True, blocks=2),
    _prefill("nothing-waits", "nothing_waits", "violated", (8_432, 8), "#7944", "asserting",
             "The precondition of prefill_schedule does not hold by itself: a request that was stopped waits.", **STOP),
    _prefill("nothing-waits", "nothing_waits", "holds", (5_073, None), "#7944", "repaired",
             KEPT, **STOP),
    _prefill("waiting-served", "waiting_ends", "holds", (20_492, None), "#7944", "schedule",
             "`schedule()` serves what waits.", **STOP),
    _prefill("waiting-starves", "waiting_ends", "violated", (8_432, 30), "#7944", "optimised",
             "Under -O what waits is never scheduled, and nobody says so.", **STOP),
    _prefill("waiting-starves", "waiting_ends", "violated", (8_432, 16), "#7944", "asserting",
             "The assertion fails in every round: what waits keeps waiting.", **STOP),
    _prefill("running-starves", "running_ends", "violated", (8_432, 16), "#7944", "asserting",
             "Something waits: the assertion fails in every round, and nothing is scheduled any more, not even what never waited.", **STOP),
    _prefill("running-starves", "running_ends", "holds", (8_432, None), "#7944", "optimised",
             "Under -O what runs is scheduled.", **STOP),
    _prefill("running-starves", "running_ends", "violated", (333, 11), "#7944", "V0",
             "The manager has no prefill_schedule: an AttributeError in every round.", **STOP),
    _prefill("running-starves", "running_ends", "holds", (5_073, None), "#7944", "repaired",
             "Nothing waits, so nothing is asserted.", **STOP),
    _prefill("query-blocks", "queries_answered", "violated", (7, 2), "#7944 H-29", "V2",
             "The inherited prefill_schedule does not drain the queue: every prepare thread waits for its preallocation for ever.", threads=2),
    _prefill("query-blocks", "queries_answered", "holds", (20_984, None), "#7944 H-29", "V2_schedule",
             "V2 with its own schedule(), which drains it.", **STOP),
    _prefill("query-blocks", "queries_answered", "holds", (5_259, None), "#7944 H-29", "repaired_V2",
             "Ours as a manager with a queue, which its scheduling drains.", **STOP),
    _prefill("query-behind-gate", "queries_answered", "holds", (76_506, None), "#6680 H-29 H-34", "V2_schedule",
             "Behind the gate the queue is drained when the forward is over.", gated=True, threads=2, **STOP),
    _prefill("query-behind-gate-of-dead-worker", "queries_answered", "violated", (6_901, 13), "#6680 H-29 H-34", "V2_schedule",
             "The worker dies in a forward and the forward signal stays up: `schedule()` is not called any more, and the query waits for ever.",
             gated=True, threads=2, deaths=1),
    _prefill("query-behind-gate-of-dead-worker", "queries_answered", "holds", (26_555, None), "#6680 H-29 H-34", "repaired_V2",
             "The queue is drained before the look at the gate.", gated=True, threads=2, deaths=1, **STOP),
    _prefill("refused", "blocks_given_back", "violated", (1_238, 2), "S7", "unrecycled",
             "Ours, forgetting the blocks of a request that D refused or that failed its preprocessing.", refusals=1),
    _prefill("refused", "blocks_given_back", "holds", (21_200, None), "S7", "schedule",
             "pre_recycle_resource gives the blocks back.", refusals=1, **STOP),
    _prefill("refused", "blocks_given_back", "holds", (22_656, None), "S7", "repaired",
             "Whoever is not there has no block, with a refusal, a stop and an abort.", refusals=1, threads=2, aborts=1, **STOP),
    _prefill("refused-ends", "requests_end", "holds", (22_656, None), "P12", "repaired",
             "Every request ends, with a refusal, a stop and an abort.", refusals=1, threads=2, aborts=1, **STOP),
    _prefill("some-refused", "some_refused", "holds", (1_170, 2), "S7", "repaired",
             "D refuses a request.", refusals=1),
    _prefill("sent-and-freed", "sent_is_freed", "violated", (8_630, 43), "H-41 #7944", "optimised",
             "The first token was sent, FIN has not come; the request is stopped and waits. FIN skips it, nobody serves it: slot and "
             "blocks are lost.", **STOP),
    _prefill("sent-and-freed", "sent_is_freed", "violated", (8_630, 29), "H-41 #7944", "asserting",
             "As under -O, and everybody else stops as well.", **STOP),
    _prefill("sent-and-freed", "sent_is_freed", "holds", (22_768, None), "H-41", "schedule",
             "Where waiting is served the request is computed again, and freed.", **STOP),
    _prefill("sent-and-freed", "sent_is_freed", "holds", (5_073, None), "H-41", "repaired",
             KEPT, **STOP),
    _prefill("requests-end", "requests_end", "violated", (7_561, 34), "P12", "unspared",
             "Ours, preempting also what is computed: TOK waits to send what is not computed any more.", **STOP),
    _prefill("requests-end", "requests_end", "holds", (5_073, None), "P12", "repaired",
             KEPT, **STOP),
    _prefill("all-end", "some_run_ends", "holds", (5_073, 40), "#7944", "repaired",
             "All are prepared, computed, sent and freed.", **STOP),
    _prefill("some-sent", "some_sent", "holds", (5_073, 17), "#7944", "repaired",
             "A first token is sent, and its request not freed yet.", **STOP),
    _prefill("some-stopped", "some_stopped", "holds", (5_073, 5), "#7944", "repaired",
             "A request is stopped.", **STOP),
    _prefill("aborted-sent", "no_aborted_sent", "violated", (2_948, 18), "H12", "schedule",
             "`schedule()` acts on the abort of a decoding request only: on P it is noted for ever, and the request is computed and sent.", aborts=1),
    _prefill("aborted-sent", "no_aborted_sent", "holds", (2_712, None), "H12", "repaired",
             "An abort is a state: the request is stopped, and freed when the worker has stopped.", aborts=1),
    _prefill("aborted-ends", "requests_end", "holds", (10_075, None), "H12 P14", "repaired",
             "Who was aborted while being computed is freed.", aborts=1, stops=1),
    _prefill("some-aborted", "some_aborted", "holds", (2_712, 5), "H12", "repaired",
             "An abort comes while the request is being computed.", aborts=1),
    _list("second-visit", "no_second_visit", "violated", (43, 6), "H30", "published",
          "The first lacks a block; the last is put to the front, the one before it preempted; and the next index is the first again."),
    _list("second-visit", "no_second_visit", "holds", (31, None), "H30", "repaired",
          "The walk is along a copy, and the victim is taken out wherever it stands."),
    _list("none-preemptible", "no_second_visit", "holds", (11, None), "H30", "published",
          "All use the extended table: nobody is preempted, and nobody is put back.", extended=3),
    _list("none-preemptible", "no_second_visit", "holds", (11, None), "H30", "repaired",
          "As published: the call gives up.", extended=3),
    _list("some-preempted", "some_preempted", "holds", (27, 3), "H30", "repaired",
          "A request is preempted during the walk."),
    _list("all-visited", "some_all_visited", "holds", (31, 4), "H30", "repaired",
          "One call visits every request."),
    _queue("slot-shared", "no_slot_shared", "violated", (612, 12), "H-29", "V2",
           "A finished request has freed its slot, the next has it; FINISH frees it again, and a third gets it beside the second."),
    _queue("slot-shared", "no_slot_shared", "holds", (522, None), "H-29", "checked",
           "Upon FINISH the slot is freed only if it is still the request's."),
    _queue("slot-shared", "no_slot_shared", "holds", (239, None), "H-29", "repaired",
           "Freed at one place: upon FINISH."),
    _queue("slot-lost", "no_slot_lost", "violated", (612, 9), "H-29 S4", "V2",
           "FINISH frees the slot of the next request."),
    _queue("slot-lost", "no_slot_lost", "holds", (239, None), "H-29 S4", "repaired",
           "Freed at one place: upon FINISH."),
    _queue("all-gone", "some_all_gone", "holds", (239, 14), "H-29", "repaired",
           "All requests have run."),
]
# fmt: on

__all__ = ["HAZARDS", "SCENARIOS"]
