"""Scenarios of the group "decode": the reservation at D as published - who holds a place, for how long, and what is in it?

Four questions to one system (`reservation.py`), and one to a small one (`tasks_list.py`). The variants are what was published
at some time: *continuous* asks again for the same id after a refusal or a time-out, and D's refusals reach nobody;
*continuous-told* hears them; *single* asks once; *monitored* is single with D.MON (#7965), *rechecked* lets D.MON look
again before it takes back (#7973's review); *unpopped* is single before #7667. In words:

| | continuous | single | monitored | rechecked | repaired (group `network`) |
|---|---|---|---|---|---|
| two places for one id, decoding from an empty one | H-12 | asks once | asks once | asks once | never |
| a late answer leaves key, half and place behind | H-20 | H-20, H22 | place is taken back | place is taken back | never |
| written into after D freed the place | - | H-13, on abort | H-13 | H-13 | never |
| a running request loses its place | never | never | H-27 | never | never |
| a lost message is never said again | 9.3 | 9.3 | place is taken back | place is taken back | never |
| P dies: the place is never returned | - | 9.7 | - | taken back | never |
| D dies: written into D's next life | - | 9.3 | - | - | never |
| a rank dies: P's threads wait for ever | - | 9.6 | - | - | never |

A dash is not asked. H-42 is `unpopped`. What `single`, `continuous` and the monitors lack is shown to be had by the rules of `lease.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..machines.network.reservation import build
from ..machines.network.tasks_list import build as build_tasks_list
from ..system import System
from . import Scenario, is_deep
from .hazard import Hazard

WRITTEN, PLACES, KEEPS = "decoded_only_when_written", "decode_places_kept", "decoding_keeps_place"
FOREIGN, OTHER = "foreign_write", "other_overwritten"
HALVES, KEYS, LEFT, RETURNED = "stale_half_merged", "keys_forgotten", "halves_forgotten", "places_returned"
ANSWERED, TOKENS, HANDLED, ALL = "answered", "first_tokens_arrive", "answers_handled", "some_all_decoded"


def _scenario(
    group: str, builder: Callable[..., System], name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...],
    about: str, variant: str, config: dict[str, Any],
) -> Scenario:  # fmt: skip
    """One scenario; above so many states it is deep."""
    deep = is_deep(distinct, expected)
    return Scenario(f"{group}-{name}", group, builder, asked, expected, sources, variant, about, config, distinct, path, deep)


def _reserve(
    name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...], about: str, variant: str, **bounds: Any
) -> Scenario:
    """A scenario of the published reservation."""
    return _scenario("decode", build, name, asked, expected, distinct, path, sources, about, variant, {"variant": variant, **bounds})


_listed = partial(_scenario, "decode-tasks-list", build_tasks_list)

TWICE = (
    "P times out, forgets its first ask and asks again for the same id. Both asks reach D, and D reserves for each: the entry of the id "
    "names the second place, and nothing names the first any more."
)
ONCE = "P asks once for an id, so D reserves once."
TWO: dict[str, Any] = {"time_outs": 1, "decode_places": 2}
LATE = (
    "P stops waiting and deletes the key of the request. D's answer comes after that: the handler makes the key anew and puts D's half, "
    "to which no half of P's ever comes. D keeps the place: nothing tells it that P has gone."
)
NO_LATE = "Without a time-out every answer is waited for, and every half meets its other half."
FREED = (
    "D.MON takes back the place of a request that has waited long, while P's messager is about to write into it. The write is one-sided: "
    "D cannot refuse it, and is not asked."
)
RECLAIMED = (
    "D.MON notes under the lock that the request waits, and gives the lock back. The first token arrives and the request runs. Then D.MON takes "
    "the noted request's place back: it decodes on in blocks that are free."
)
LOOKS = "D.MON looks again, under the same lock under which it takes the place back, and finds the request running."
LEFT_OVER = (
    "The result of the first life stays in P.T's dictionary. The client posts the same id again; P.T takes the old result for the new "
    "request and sends its first token before anything was written, so D decodes from an empty place."
)
POPPED = "P.T removes the result that it has used, so the second life waits for its own."
LOST = "A message is lost, P does not know it and nobody says it again."
DIES = "P dies when D has reserved. Nobody tells D, which keeps the place, and its client, waiting."
RANK = (
    "A messager rank dies. The other rank has reported, the dead one never will, and P.T waits for it without a bound. A restarted rank knows "
    "nothing of the tasks registered before."
)
REBORN = "D dies and comes back at the same address. P's messager connects again and writes its old task into the new D's memory."
WITNESS = "A run in which every request is decoded exists."

# fmt: off
RESERVATIONS = [
    _reserve("two-places-for-one-id-in-continuous", PLACES, "violated", 15_051, 12, ("H-12",), TWICE, "continuous", **TWO),
    _reserve("empty-place-decoded-in-continuous", WRITTEN, "violated", 20_611, 43, ("H-12",),
             TWICE + " P writes into the first and commits; D decodes from the second. The second ask may even come when the request runs.",
             "continuous", **TWO),
    _reserve("batch-abandoned-in-continuous", "hang", "violated", 15_051, 47, ("H-12", "H-30"),
             TWICE + " The second half is merged into the task that is being sent: its mark is reset between a write and its check, the assertion "
             "fails, the batch is abandoned, and P.T waits for its report for ever.", "continuous", **TWO),
    _reserve("halves-of-two-reservations-in-continuous", HALVES, "violated", 17_399, 24, ("H-20", "H-12"),
             TWICE + " P's half meets the half of the first reservation.", "continuous", **TWO),
    _reserve("some-run-decodes-in-continuous", ALL, "holds", 15_051, 38, ("H-12",), WITNESS, "continuous", **TWO),
    _reserve("refusal-said-to-nobody-in-continuous", "hang", "violated", 14_469, 48, ("#7500", "#7606"),
             "D is full and refuses the second request; the refusal is built and never sent. The place becomes free, but P waits for an answer.",
             "continuous", requests=2),
    _reserve("refusal-said-in-continuous-told", "hang", "holds", 20_229, None, ("#7500", "#7606"),
             "P hears the refusal and asks again until the place is free.", "continuous-told", requests=2),
    _reserve("some-run-decodes-in-continuous-told", ALL, "holds", 20_229, 77, ("#7500",), WITNESS, "continuous-told", requests=2),
    _reserve("one-place-for-one-id-in-single", PLACES, "holds", 843, None, ("H-12",), ONCE, "single", **TWO),
    _reserve("written-before-decoded-in-single", WRITTEN, "holds", 843, None, ("H-12",), ONCE, "single", **TWO),
    _reserve("halves-of-one-reservation-in-single", HALVES, "holds", 843, None, ("H-20",), ONCE, "single", **TWO),
    _reserve("sent-to-the-end-in-single", "hang", "holds", 385, None, ("H-12",), ONCE, "single"),
]

LATE_ANSWERS = [
    _reserve("late-answer-keeps-place-in-single", RETURNED, "violated", 431, 16, ("H22", "H-20", "#7965"), LATE, "single", time_outs=1),
    _reserve("late-answer-keeps-key-in-single", KEYS, "violated", 431, 16, ("H22", "H-20"), LATE, "single", time_outs=1),
    _reserve("late-answer-keeps-half-in-single", LEFT, "violated", 431, 16, ("H22", "H-20"), LATE, "single", time_outs=1),
    _reserve("answer-in-time-keeps-no-place-in-single", RETURNED, "holds", 385, None, ("H22", "H-20"), NO_LATE, "single"),
    _reserve("answer-in-time-keeps-no-key-in-single", KEYS, "holds", 385, None, ("H22", "H-20"), NO_LATE, "single"),
    _reserve("answer-in-time-keeps-no-half-in-single", LEFT, "holds", 385, None, ("H22", "H-20"), NO_LATE, "single"),
    _reserve("late-answer-taken-back-in-rechecked", RETURNED, "holds", 2873, None, ("H22", "#7965"),
             "D.MON takes the place back after a while; nothing does the same for the key and the half on P.", "rechecked", time_outs=1),
    _reserve("late-answer-keeps-key-in-rechecked", KEYS, "violated", 2873, 20, ("H22", "H-20"),
             LATE + " D.MON returns the place only.", "rechecked", time_outs=1),
    _reserve("client-waits-after-time-out-in-single", ANSWERED, "violated", 431, 16, ("H-20", "H-38"),
             LATE + " P's error goes to the router, which returns what D answers; D answers nothing.", "single", time_outs=1),
]

MONITOR = [
    _reserve("freed-place-written-in-rechecked", FOREIGN, "violated", 3137, 28, ("H-13", "#7965"), FREED, "rechecked"),
    _reserve("freed-place-written-in-monitored", FOREIGN, "violated", 3161, 28, ("H-13", "#7965"), FREED, "monitored"),
    _reserve("aborted-place-written-in-single", FOREIGN, "violated", 1222, 28, ("H-13",),
             "The client gives up, and D gives the place back at once. P is not told, and its messager writes on.", "single", aborts=1),
    _reserve("other-request-overwritten-in-rechecked", OTHER, "violated", 2_104_357, 34, ("H-13", "#7965"),
             FREED + " By then another request holds the place, and its KV is overwritten.", "rechecked", requests=2, layers=1),
    _reserve("nobody-frees-in-single", FOREIGN, "holds", 385, None, ("H-13",), "Nobody but the end of decoding gives a place back.", "single"),
    _reserve("nobody-overwritten-in-single", OTHER, "holds", 19_861, None, ("H-13",),
             "Nobody but the end of decoding gives a place back.", "single", requests=2, layers=1),
    _reserve("running-request-reclaimed-in-monitored", KEEPS, "violated", 2599, 40, ("H-27", "#7965", "#7973"), RECLAIMED, "monitored"),
    _reserve("running-request-kept-in-rechecked", KEEPS, "holds", 2575, None, ("H-27", "#7965", "#7973"), LOOKS, "rechecked"),
    _reserve("late-token-of-first-life-in-rechecked", WRITTEN, "violated", 318_161, 50, ("H-20", "#7965"),
             "D.MON takes the place back and answers 408 while the first token is under way; the client posts the same id again, D reserves, and the "
             "first life's token is inserted into the second life's empty place: the token carries no attempt.", "rechecked", lives=2),
    _reserve("some-run-decodes-in-rechecked", ALL, "holds", 2599, 38, ("H-27",), WITNESS, "rechecked"),
    _reserve("some-run-decodes-in-monitored", ALL, "holds", 2623, 38, ("H-27",), WITNESS, "monitored"),
]

SECOND_LIVES = [
    _reserve("left-over-result-in-unpopped", WRITTEN, "violated", 7578, 58, ("H-42", "#7667"), LEFT_OVER, "unpopped", lives=2),
    _reserve("result-used-once-in-single", WRITTEN, "holds", 4045, None, ("H-42", "#7667"), POPPED, "single", lives=2),
    _reserve("late-deletion-takes-second-life-in-single", "hang", "violated", 4013, 67, ("H-06",),
             "The sender of the first life has reported and not yet deleted its entry when the same id is registered again: the deletion takes "
             "the new registration away. It is H-06 by id instead of by slot.", "single", lives=2),
    _reserve("some-run-decodes-in-unpopped", ALL, "holds", 7506, 38, ("H-42",), WITNESS, "unpopped", lives=2),
]

FAULTS = [
    _reserve("lost-message-stops-request-in-single", "hang", "violated", 401, 7, ("H-21", "9.3"), LOST, "single", losses=1),
    _reserve("lost-answer-keeps-place-in-single", RETURNED, "violated", 401, 9, ("H-21", "9.3"),
             LOST + " Here D's answer: the place stays.", "single", losses=1),
    _reserve("lost-token-leaves-client-waiting-in-single", TOKENS, "violated", 401, 40, ("H-21", "9.3"),
             LOST + " Here the first token: P has freed everything, D keeps the place and its client.", "single", losses=1),
    _reserve("token-arrives-in-single", TOKENS, "holds", 385, None, ("H-21", "9.3"), "Without losses every first token arrives.", "single"),
    _reserve("no-message-lost-in-single", ANSWERED, "holds", 385, None, ("H-21", "9.3"), "Without losses the client is answered.", "single"),
    _reserve("prefill-dies-place-kept-in-single", RETURNED, "violated", 817, 9, ("9.7", "#7965"), DIES, "single", prefill_crashes=1),
    _reserve("prefill-dies-place-returned-in-rechecked", RETURNED, "holds", 5365, None, ("9.7", "#7965"),
             DIES + " D.MON takes the place back and answers 408.", "rechecked", prefill_crashes=1),
    _reserve("prefill-dies-client-waits-in-rechecked", ANSWERED, "violated", 5365, 4, ("9.7", "#7965"),
             "P dies before it has asked. D has reserved nothing, so D.MON has nothing to take back and nobody to answer.",
             "rechecked", prefill_crashes=1),
    _reserve("prefill-restart-keeps-key-in-single", KEYS, "violated", 817, 16, ("9.7", "H-20"),
             "P dies and comes back; the answer to its former life makes a key, which nobody deletes.", "single", prefill_crashes=1),
    _reserve("decode-dies-next-life-written-in-single", FOREIGN, "violated", 2362, 28, ("H-13", "9.3"), REBORN, "single", decode_crashes=1),
    _reserve("decode-dies-place-without-client-in-single", RETURNED, "violated", 2200, 41, ("9.3",),
             "D dies and comes back, and then reserves for an ask whose client went with its former life: it looks for the client at the "
             "insertion only, so the first token waits, and the place with it.", "single", decode_crashes=1),
    _reserve("rank-dies-token-waits-in-single", "hang", "violated", 26_880, 43, ("H-30", "9.6"), RANK, "single", ranks=2, rank_crashes=1),
    _reserve("rank-dies-handler-waits-in-single", HANDLED, "violated", 26_880, 20, ("9.6",),
             "A messager rank dies and never reads the cache tasks again. The next half cannot be put: the thread of P.IO waits with it, and one "
             "such thread after the other, until P hears nothing of D.", "single", ranks=2, rank_crashes=1),
    _reserve("ranks-live-in-single", HANDLED, "holds", 7061, None, ("9.6",), "As long as every rank reads, every half is put.", "single", ranks=2),
    _reserve("ranks-live-to-the-end-in-single", "hang", "holds", 7061, None, ("H-30", "9.6"),
             "As long as every rank lives, P.T gets its report.", "single", ranks=2),
    _reserve("write-error-answered-in-single", ANSWERED, "holds", 533, None, ("9.5",),
             "A write fails; the rank reports the error, P.T sends it instead of the token, D gives the place back and answers its client.",
             "single", write_errors=1),
    _reserve("write-error-returns-place-in-single", RETURNED, "holds", 533, None, ("9.5",), "As above.", "single", write_errors=1),
    _reserve("some-run-decodes-in-single", ALL, "holds", 533, 38, ("9.5",), WITNESS, "single", write_errors=1),
]

EARLY = "The reservation puts the request into tasks_list; the token processor reads its metrics at the next step, before they are set."
MOVED = "The insertion puts the request into tasks_list when its metrics are set, and the token processor passes over a slot without a request."
EMPTY = "The slot is open from the reservation on, and empty until the insertion: a token processor that looks at stop_flags alone fails there."
TASKS_LIST = [
    _listed("read-before-set-in-early", "unset_metrics_read", "violated", 10, 5, ("H-28", "#7606"), EARLY, "early", {"assigned_early": True}),
    _listed("set-before-read-in-late", "unset_metrics_read", "holds", 8, None, ("H-28", "#7606"), MOVED, "late", {}),
    _listed("empty-slot-read-in-late-unchecked", "empty_slot_read", "violated", 11, 3, ("H-28", "#7606"),
            EMPTY, "late-unchecked", {"skips_empty": False}),
    _listed("empty-slot-passed-in-late", "empty_slot_read", "holds", 8, None, ("H-28", "#7606"), MOVED, "late", {}),
    _listed("some-token-credited-in-late", "some_token_credited", "holds", 11, 6, ("H-28",), "A token is credited in the end.", "late", {}),
]
# fmt: on

SCENARIOS = [*RESERVATIONS, *LATE_ANSWERS, *MONITOR, *SECOND_LIVES, *FAULTS, *TASKS_LIST]

HAZARDS = [
    Hazard(
        "H-12",
        "two reservations on D for one id",
        (),
        TWICE + " P goes on with the first answer; the second half is merged into the task that is being sent, or D decodes from the place into "
        "which nothing was written.",
        "continuous asking with a time-out, or H-10; by code, inferred",
        "Confirmed: the first place is lost after 12 steps. Beyond it: (1) the second ask may come when the request is decoding, and overwrites "
        "the entry of a running request. (2) A merge in the middle has three outcomes: all is sent again, the data stay in the old place, or "
        "an assertion abandons the batch and P.T waits for ever.",
        told_by="decode-two-places-for-one-id-in-continuous",
    ),
    Hazard(
        "H-27",
        "D.MON takes back what runs by now",
        ("#7965", "#7973"),
        RECLAIMED,
        "#7965; review of #7973",
        "Confirmed, and the second look under the lock mends it. It does not mend H-13: D.MON still frees what P is writing into. The client "
        "gets one answer in both, because the 408 makes D forget the id.",
    ),
    Hazard(
        "H-28",
        "tasks_list is filled too early",
        ("#7606",),
        EARLY,
        "before #7606; PR text",
        "Confirmed, and sharper: moving the assignment needs a reader that passes over an open slot without a request; one that looks at stop_flags "
        "alone fails there instead.",
    ),
    Hazard(
        "H-42",
        "a result is left over for the next request of the same id",
        ("#7667",),
        LEFT_OVER,
        "before #7667; PR text and code",
        "Confirmed. A second life of an id meets two more left-overs that #7667 does not touch: the late deletion of the first registration (H-06 by "
        "id), and the first life's token itself, where D.MON has ended that life.",
    ),
]
