"""Scenarios of the group "preparation": from P's queue to P's running requests, with D's consent.

Four questions, each with its own system. *Preparation*: do the requests get through, and what is left of those that do not?
(E0: one thread with acknowledgement; E1: N threads, #7724; "once": PREFILL_CONTINUOUS_REQUEST_DECODE_RESOURCES=0.)

| | E0 | E1 | E1, one a batch | E1, once | repaired |
|---|---|---|---|---|---|
| a batch larger than P's room holds P for ever | H-07 a | H-07 a | never | H-07 a | never |
| two threads of P wait for each other | one thread | H-07 b | never | H-07 b | never |
| two P wait for each other's D | H-07 c | H-07 c | never | never | never |
| a full D stops work for another D | H16 | H16, by threads or blocks | H16 | never | never |
| P's blocks are held before D has granted | always | always | always | always | never |
| a late answer leaves a key, a half, a reservation | H22 | H22 | H22 | H22 | never |
| P asks again, and D's room for the first ask is lost | H-12 | H-12 | H-12 | never asked again | never |
| the client is told nothing of P's error | - | - | - | H-38 | never |
| the sender waits for an unregistered task | never | H-02 | H-02 | H-02 | never |

A refusal may be told to P, to nobody (the published connector) or to the client too (Q4); `enable_decode_cache_task` asks and
goes on. *Shared configuration*: do threads that ask at once mix up their messages (H16, H-21)? *Doubled half*: what does a half that
P puts twice do (H-19)? *Slow match*: who waits for RM.lock while its holder waits for a transfer (H-31)?

Ours with a part left out: `prefill_first`, `unnumbered`, `uncancelled`, `endless`, `untold`, `both_tell`,
`unmerged`, `unchecked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machines.preparation import duplicate_half, preparation, shared_config, slow_match
from ..system import System
from . import Scenario
from .preparation_hazards import HAZARDS

__all__ = ["HAZARDS", "SCENARIOS"]

DEADLOCK, ENDS, OTHERS, CLIENT = "deadlock", "every_request_ends", "requests_for_others_end", "client_is_answered"
SECOND, HOLDS, OVERWRITTEN, RESERVED = "no_second_answer", "no_blocks_held_while_asking", "no_reservation_overwritten", "no_reservation_left"
KEY, VAIN, HALF_LEFT, UNREGISTERED = "no_key_left", "no_wait_for_dropped_ask", "no_half_left", "no_wait_for_unregistered"
ASSERTS, AGAIN, BEHIND = "no_assertion_fails", "no_second_registration", "no_wait_behind_what_does_not_fit"
PLACE = "no_first_token_without_place"
SERVED, QUIET, BLOCKS = "some_run_serves_all", "some_run_is_quiet", "some_blocks_held"
REFUSED, REGISTERED = "some_ask_refused", "some_task_registered"
FOREIGN, TORN, ARRIVES, SOME_ARRIVES = "no_foreign_slot", "no_torn_message", "every_ask_arrives", "some_ask_arrives"
ACKS_LEFT, SENT, SLOW, BESIDE = "no_acknowledgement_left", "every_request_is_sent", "no_release_waits_for_transfer", "some_transfer_beside_finished"


def _of(build: Callable[..., System]) -> Callable[..., Scenario]:
    """Scenarios of one system; the variant is that of the configuration."""

    def scenario(
        name: str, asked: str, expected: str, distinct: int, path: int | None, variant: str, sources: tuple[str, ...], about: str, **bounds: Any
    ) -> Scenario:
        config, deep = {"variant": variant, **bounds}, distinct > 500_000
        return Scenario(f"preparation-{name}", "preparation", build, asked, expected, sources, variant, about, config, distinct, path, deep)

    return scenario


_prepare, _config, _half, _match = _of(preparation.build), _of(shared_config.build), _of(duplicate_half.build), _of(slow_match.build)

# -- bounds ----------------------------------------------------------------------------------------------------------

LARGE: dict[str, Any] = {"decodes": "00", "decode_room": "2", "prefill_room": 1}
"""Two requests for a D with room for both; P has room for one."""
CIRCLE: dict[str, Any] = {"decodes": "0000", "decode_room": "4", "prefill_room": 2}
"""Four requests for a D with room for all; P has room for two."""
CROSSED: dict[str, Any] = {"prefills": "0011", "decodes": "0110", "threads": 1}
"""2P2D: P 0 has a request for D 0 and then one for D 1, P 1 the other way round; each D has room for one."""
FULL: dict[str, Any] = {"decodes": "001", "decode_room": "01", "prefill_room": 3}
"""1P2D: two requests for a D that is full, and one for a D that is not; P has room for all."""
FULL_2P: dict[str, Any] = {"prefills": "0011", "decodes": "0101", "decode_room": "01"}
"""2P2D: at each P a request for a D that is full, and one for a D that is not."""
ONE: dict[str, Any] = {"decodes": "0", "decode_room": "1", "threads": 1}
"""One request, one D with room for it."""
LATE: dict[str, Any] = {**ONE, "timeouts": 1}
NEVER: dict[str, Any] = {"decodes": "0", "decode_room": "0", "threads": 1}
"""One request for a D that is full."""
PAIR: dict[str, Any] = {"decodes": "00", "decode_room": "1"}
"""Two requests for a D with room for one at a time."""
SENDS: dict[str, Any] = {"decodes": "00", "decode_room": "2", "messager": True}
KEEPS: dict[str, Any] = {"waits": "cache_task", "messager": True}

# -- what happens ----------------------------------------------------------------------------------------------------

H07, H16, H22, H38, H02, H19, H31 = ("#7724", "H-07"), ("#7724", "H16"), ("H22",), ("#7500", "H-38"), ("#7724", "H-02"), ("H-19",), ("H-31",)
H12, S7 = ("H-12", "H22"), ("H-12", "H22")

LARGER = (
    "A thread takes two requests at once. The first gets P's blocks and D's grant, but runs only together with the second, which waits for "
    "blocks that only the first could give back."
)
ALONE = "With one request a batch, what has been granted runs, is served, and gives its blocks back."
THREADS = (
    "Two threads take two requests each. Each has P's blocks for its first, and waits with them for blocks for its second: the blocks that "
    "the other holds."
)
INSTANCES = (
    "Each P holds one D's only room for the first request of its batch, and asks the other D for its second. Both are refused, keep what they "
    "have, and ask again, for ever."
)
ERROR_BREAKS = "A refused request gets an error instead of another try, so the rest of its batch runs and gives D's room back."
DRAINS = (
    "D is asked first, each request is alone, and a refusal ends the try: nobody holds anything while waiting for D, and what holds P's blocks "
    "needs nothing more to be served."
)
STOPPED = "The thread asks the full D for its request again and again, and looks at no other."
STOPPED_ALL = "N threads are N requests: as many for the full D hold all of them, and the next request, for a D with room, is never fetched."
BY_BLOCKS = "The second thread is free, but the request for the full D holds P's only room for ever, since its blocks are taken before D is asked."
SPARE = "A thread is left over for the other D: N threads help as long as fewer than N requests are for the full D."
SPLIT = "The request waits for D, not the thread, and without P's blocks: threads and blocks are free for the requests of the other D."
LATE_KEY = (
    "P gives up after 30 s, deletes the key, and answers with an error. D, merely slow, reserves and grants; P.IO stores the answer under "
    "the id, which nobody waits for."
)
IN_THE_WAY = (
    "P times out and asks again, while D has just reserved for the first ask. That grant comes before P has marked the second ask, which wipes it "
    "out; D refuses the second, because the first reservation has its room. P asks for ever, and its own reservation stands in its way."
)
TWICE = "P times out and asks again; D reserves for both asks, the second entry replaces the first, and the first room is never given back."
CANCELLED = "A grant that comes when nobody waits for it goes back as a cancellation, and D gives the room back."
NUMBERED = "D knows the attempt that it has granted, and answers the same ask again with the same grant."
TWO_TRIES = (
    "Ours, but without a bound on the tries, so the last number is used again. A late copy of one try's ask is granted while the request is back in "
    "the queue, and cancelled; the cancellation arrives when the next try, of the same number, has been granted, and takes its place away."
)
SILENT = "D finds no room, builds the answer, and addresses it to nobody; the request waits for the time-out, with P's blocks and its thread."
ROUTER = "P's error is a response of P's, and the router returns D's, which never comes: D knows the request, and waits for a first token."
CLIENT_TOO = "D answers its own client with an error at the refusal, so the router has something to return."
TWO_ANSWERS = "D answers its client with an error at each refusal, while P asks again: the client is told more than once, and may be served as well."
TOLD = "P's one error is the request's one answer."
FIRST_HALF = (
    "P.IO announces D's grant before it puts D's half: the request is registered by P's half alone, runs and is computed, and the sender "
    "has it in hand before D's half is there."
)
ACKNOWLEDGED = "A request runs only when its registration has been acknowledged, so the sender never finds it unregistered."
HELD_SENDER = (
    "The request for the full D runs at once, because nobody waits for D's grant; the sender takes it and waits for D's half without a bound, and "
    "what is for the other D waits behind it."
)
HELD_ACK = "The one thread waits for the acknowledgement of a task whose other half the full D never sends."
ORDERS = (
    "D has room for one request and reserves for the first of its list; P's sender takes the other first, and waits for its registration. "
    "D's room comes back only after the sender has sent the first: each side's order waits for the other's."
)
LIST = "D keeps what does not fit and looks at the first alone; a smaller request that would fit waits behind it."
EXISTS = "The questions are not empty: "
FOREIGN_SLOT = "Between one thread's store of its slot and its load, another thread stores its own: the message carries the other's slot."
FRAMES = "Two threads' frames follow one another on one socket; D takes the first two for one message, and cannot read it."
OWN_FRAMES = "Each message has its own configuration, and one lock is held over all frames of it."
REPEATED = (
    "P.IO puts the whole payload once for each of its entries. The second put finds D's half there and P's not yet: an assertion in each "
    "rank's registrar fails, and the rest of the list is skipped."
)
REWRITTEN = "The second put comes after the merge: it is merged once more, and the record, which may be in the sender's hands, is written anew."
STALE = "The second put comes after the request was sent and forgotten: it is stored as the first half of a request that never comes."
LONE_ACK = "One rank merges the second put once more and acknowledges it; the other has forgotten the request and stores it: a round of one is left."
SAME_ORDER = "Every rank reads the same puts in the same order, so the assertion fails on all or on none, and what it skips the first put has stored."
PUT_ONCE = "P puts the merged task once."
WITH_LOCK = "The prepare thread waits for a transfer with RM.lock; a finished request, whose blocks are wanted, cannot be released meanwhile."
NO_LOOK = "Without the look at the free blocks the thread waits for a block with the lock that its release needs."
LOOK = "The thread begins only when there are enough free blocks for all that follows, so it waits for nothing but the transfer."
OUTSIDE = "The blocks are reserved in one critical section, and the transfer is awaited without the lock."

# fmt: off
HOLD_AND_WAIT = [
    _prepare("batch-larger-than-p-in-e0", DEADLOCK, "violated", 63, 13, "E0", H07, LARGER, **LARGE, batch=2),
    _prepare("batch-larger-than-p-in-e1", DEADLOCK, "violated", 222, 13, "E1", H07, LARGER, **LARGE, batch=2),
    _prepare("batch-larger-than-p-once-in-e1", DEADLOCK, "violated", 218, 11, "E1", H07, LARGER + " A single try does not help.",
             **LARGE, batch=2, waits="once"),
    _prepare("batch-of-one-in-small-p-in-e1", DEADLOCK, "holds", 196, None, "E1", H07, ALONE, **LARGE),
    _prepare("batch-in-small-p-in-ours", DEADLOCK, "holds", 207, None, "repaired", H07, DRAINS, **LARGE),
    _prepare("two-threads-in-circle-in-e1", DEADLOCK, "violated", 14_749, 26, "E1", H07, THREADS, **CIRCLE, batch=2),
    _prepare("one-thread-in-circle-in-e0", DEADLOCK, "holds", 759, None, "E0", H07, "One thread has nobody to wait for.", **CIRCLE, batch=2),
    _prepare("batch-of-one-in-circle-in-e1", DEADLOCK, "holds", 9_389, None, "E1", H07, ALONE, **CIRCLE),
    _prepare("two-threads-in-ours", DEADLOCK, "holds", 38_283, None, "repaired", H07, DRAINS, **CIRCLE),
    _prepare("two-threads-end-in-ours", ENDS, "holds", 38_283, None, "repaired", H07, DRAINS, **CIRCLE),
    _prepare("two-instances-in-circle-in-e0", ENDS, "violated", 8_068, 50, "E0", ("H-07",), INSTANCES, **CROSSED, batch=2),
    _prepare("two-instances-in-circle-in-e1", ENDS, "violated", 8_068, 50, "E1", H07, INSTANCES, **CROSSED, batch=2),
    _prepare("two-instances-once-in-e1", ENDS, "holds", 42_149, None, "E1", H07, ERROR_BREAKS, **CROSSED, batch=2, waits="once"),
    _prepare("two-instances-batch-of-one-in-e1", ENDS, "holds", 4_210, None, "E1", H07, ALONE, **CROSSED),
    _prepare("two-instances-in-ours", ENDS, "holds", 148_960, None, "repaired", H07, DRAINS, **{**CROSSED, "threads": 2}),
    _prepare("two-instances-small-p-in-ours", ENDS, "holds", 141_148, None, "repaired", H07, DRAINS, **{**CROSSED, "threads": 2}, prefill_room=1),
    _prepare("two-instances-serve-all-in-ours", SERVED, "holds", 86_418, 48, "repaired", H07, EXISTS + "a run serves all four.", **CROSSED),
]

CROSS_DECODE = [
    _prepare("full-d-stops-other-d-in-e0", OTHERS, "violated", 13, 13, "E0", ("H16",), STOPPED, **FULL),
    _prepare("full-d-stops-other-d-in-e1", OTHERS, "violated", 307, 26, "E1", H16, STOPPED_ALL, **FULL),
    _prepare("full-d-stops-other-d-by-blocks-in-e1", OTHERS, "violated", 123, 14, "E1", H16, BY_BLOCKS, decodes="01", decode_room="01",
             prefill_room=1),
    _prepare("full-d-stops-other-d-2p2d-in-e1", OTHERS, "violated", 166, 26, "E1", H16, STOPPED, **FULL_2P, threads=1),
    _prepare("full-d-leaves-one-thread-in-e1", OTHERS, "holds", 409, None, "E1", H16, SPARE, decodes="01", decode_room="01"),
    _prepare("full-d-once-in-e1", OTHERS, "holds", 1_398, None, "E1", H16, "The request for the full D gets its error, and the thread goes on.",
             **FULL, waits="once"),
    _prepare("rest-of-batch-runs-once-in-e1", ENDS, "holds", 11_601, None, "E1", H07,
             "What was refused leaves the batch; the rest is registered and runs.",
             **PAIR, batch=2, waits="once", messager=True),
    _prepare("full-d-1p2d-in-ours", OTHERS, "holds", 6_354, None, "repaired", H16, SPLIT, **FULL),
    _prepare("full-d-small-p-1p2d-in-ours", OTHERS, "holds", 6_354, None, "repaired", H16, SPLIT, **{**FULL, "prefill_room": 1}),
    _prepare("full-d-2p2d-in-ours", OTHERS, "holds", 175_060, None, "repaired", H16, SPLIT, **FULL_2P),
    _prepare("full-d-ends-own-requests-2p2d-in-ours", ENDS, "holds", 99_868, None, "repaired", H16,
             "Those for the full D are refused a bounded number of times, and end with an error.", **FULL_2P, threads=1),
    _prepare("full-d-quiet-1p2d-in-ours", QUIET, "holds", 6_354, 48, "repaired", H16, EXISTS + "all three end.", **FULL),
    _prepare("full-d-late-answers-2p2d-in-ours", OTHERS, "holds", 2_382_276, None, "repaired", H16, SPLIT + " Time-outs change nothing.",
             **FULL_2P, threads=1, tries=1, timeouts=1),
    _prepare("full-d-endless-tries", ENDS, "violated", 16, 16, "endless", H16,
             "Ours, but without a bound on the tries: D stays full, and the request never ends.",
             **NEVER),
    _prepare("blocks-held-while-asking-in-e0", HOLDS, "violated", 62, 2, "E0", ("H-07", "H16"), "P's blocks are taken before D is asked.", **PAIR),
    _prepare("blocks-held-while-asking-in-e1", HOLDS, "violated", 565, 2, "E1", ("H-07", "H16"), "P's blocks are taken before D is asked.", **PAIR),
    _prepare("no-blocks-held-while-asking-in-ours", HOLDS, "holds", 386, None, "repaired", ("H-07", "H16"), DRAINS, **PAIR),
    _prepare("some-blocks-held-in-ours", BLOCKS, "holds", 386, 9, "repaired", ("H-07", "H16"), EXISTS + "blocks are held, after the grant.", **PAIR),
    _prepare("blocks-held-while-asking-prefill-first", HOLDS, "violated", 339, 1, "prefill_first", ("H-07", "H16"),
             "Ours, but P's blocks are taken before D is asked.", **PAIR),
    _prepare("prefill-first-serves-all", SERVED, "holds", 339, 24, "prefill_first", ("H-07",), EXISTS + "it serves, merely holding too much.",
             **PAIR),
]

ANSWERS = [
    _prepare("late-answer-leaves-key-in-e0", KEY, "violated", 52, 15, "E0", H22, LATE_KEY, **LATE, waits="once"),
    _prepare("late-answer-leaves-key-in-e1", KEY, "violated", 52, 15, "E1", H22, LATE_KEY, **LATE, waits="once"),
    _prepare("no-key-left-without-time-out-in-e1", KEY, "holds", 655, None, "E1", H22, "An answer that is waited for is deleted with its key.",
             **PAIR, waits="once"),
    _prepare("late-answer-leaves-half-in-e1", HALF_LEFT, "violated", 323, 22, "E1", H22, LATE_KEY + " D's half goes to the messager, for good.",
             **LATE, waits="once", messager=True),
    _prepare("no-half-left-in-ours", HALF_LEFT, "holds", 457, None, "repaired", H22, "A half never travels alone. " + CANCELLED, **LATE,
             messager=True),
    _prepare("some-task-registered-in-ours", REGISTERED, "holds", 457, 14, "repaired", H22, EXISTS + "tasks are registered.", **LATE, messager=True),
    _prepare("late-answer-leaves-reservation-in-e1", RESERVED, "violated", 52, 15, "E1", H22, LATE_KEY + " D's room stays reserved.", **LATE,
             waits="once"),
    _prepare("no-reservation-left-in-ours", RESERVED, "holds", 4_981, None, "repaired", S7, CANCELLED, **PAIR, threads=1, timeouts=1),
    _prepare("quiet-after-time-out-in-ours", QUIET, "holds", 4_981, 23, "repaired", S7, EXISTS + "all ends, and nothing is under way.",
             **PAIR, threads=1, timeouts=1),
    _prepare("no-reservation-left-1p2d-in-ours", RESERVED, "holds", 2_051_730, None, "repaired", S7, CANCELLED, decodes="011", prefill_room=1,
             timeouts=1),
    _prepare("no-reservation-left-2p2d-in-ours", RESERVED, "holds", 2_382_276, None, "repaired", S7, CANCELLED, **FULL_2P, threads=1, tries=1,
             timeouts=1),
    _prepare("no-reservation-left-2p1d-in-ours", RESERVED, "holds", 789_598, None, "repaired", S7, CANCELLED + " Here with two time-outs at each P.",
             **{**PAIR, "prefills": "01"}, threads=1, timeouts=2),
    _prepare("place-kept-in-ours", PLACE, "holds", 4_981, None, "repaired", S7, NUMBERED + " A cancellation concerns that attempt alone.",
             **PAIR, threads=1, timeouts=1),
    _prepare("serves-all-after-time-out-in-ours", SERVED, "holds", 4_981, 24, "repaired", S7, EXISTS + "both are served.", **PAIR, threads=1,
             timeouts=1),
    _prepare("place-lost-when-number-used-twice", PLACE, "violated", 4_585, 49, "endless", S7, TWO_TRIES, **PAIR, threads=1, timeouts=1),
    _prepare("reservation-left-uncancelled", RESERVED, "violated", 93, 11, "uncancelled", S7, "Ours, but an unwanted grant is merely ignored.",
             **LATE),
    _prepare("own-reservation-in-the-way-in-e1", ENDS, "violated", 137, 22, "E1", H12, IN_THE_WAY, **LATE),
    _prepare("time-out-ends-in-ours", ENDS, "holds", 99, None, "repaired", H12, NUMBERED, **LATE),
    _prepare("reservation-overwritten-in-e0", OVERWRITTEN, "violated", 129, 17, "E0", H12, TWICE, **{**LATE, "decode_room": "2"}),
    _prepare("reservation-overwritten-in-e1", OVERWRITTEN, "violated", 129, 17, "E1", H12, TWICE, **{**LATE, "decode_room": "2"}),
    _prepare("reservation-kept-in-ours", OVERWRITTEN, "holds", 99, None, "repaired", H12, NUMBERED, **{**LATE, "decode_room": "2"}),
    _prepare("reservation-overwritten-unnumbered", OVERWRITTEN, "violated", 102, 13, "unnumbered", H12, "Ours, but asks carry no attempt.",
             **{**LATE, "decode_room": "2"}),
    _prepare("dropped-ask-awaited-in-e1", VAIN, "violated", 469, 18, "E1", ("#7500", "#7606"), SILENT, **PAIR, refusals="silent"),
    _prepare("dropped-ask-awaited-for-ever-in-e1", DEADLOCK, "violated", 469, 25, "E1", ("#7500", "#7606"),
             SILENT + " Without one it waits for ever.",
             **PAIR, refusals="silent"),
    _prepare("no-ask-dropped-in-e1", VAIN, "holds", 565, None, "E1", ("#7500", "#7606"), "A refusal that is told ends the wait.", **PAIR),
    _prepare("some-ask-refused-in-e1", REFUSED, "holds", 565, 17, "E1", ("#7500", "#7606"), EXISTS + "D does refuse.", **PAIR),
    _prepare("requests-end-when-refusals-told-in-e1", DEADLOCK, "holds", 565, None, "E1", ("#7500", "#7606"),
             "A refusal that is told ends the wait.", **PAIR),
    _prepare("refused-client-hangs-in-e1", CLIENT, "violated", 16, 15, "E1", H38, ROUTER, **NEVER, waits="once"),
    _prepare("refused-client-told-by-d-in-e1", CLIENT, "holds", 16, None, "E1", H38, CLIENT_TOO, **NEVER, waits="once", refusals="client_too"),
    _prepare("late-client-hangs-in-e1", CLIENT, "violated", 52, 15, "E1", H38,
             "P gives up after 30 s, and D, which grants later, has nothing to tell. " + ROUTER,
             **LATE, waits="once", refusals="client_too"),
    _prepare("client-told-twice-in-e1", SECOND, "violated", 1_199, 29, "E1", ("#7500", "H-38"), TWO_ANSWERS, **PAIR, refusals="client_too"),
    _prepare("client-told-once-in-e1", SECOND, "holds", 565, None, "E1", ("#7500", "H-38"), "Only D answers, and only with tokens.", **PAIR),
    _prepare("refused-client-told-in-ours", CLIENT, "holds", 19, None, "repaired", H38, TOLD, **NEVER),
    _prepare("late-client-told-in-ours", CLIENT, "holds", 4_981, None, "repaired", H38, TOLD, **PAIR, threads=1, timeouts=1),
    _prepare("late-client-told-once-in-ours", SECOND, "holds", 4_981, None, "repaired", H38, TOLD, **PAIR, threads=1, timeouts=1),
    _prepare("client-told-1p2d-in-ours", CLIENT, "holds", 6_354, None, "repaired", H38, TOLD, **FULL),
    _prepare("client-told-once-1p2d-in-ours", SECOND, "holds", 6_354, None, "repaired", H38, TOLD, **FULL),
    _prepare("client-told-twice-when-both-tell", SECOND, "violated", 19, 15, "both_tell", H38,
             "Ours, but D tells its client at each refusal as well.",
             **NEVER),
    _prepare("refused-client-hangs-untold", CLIENT, "violated", 19, 18, "untold", H38, "Ours, but the router returns D's response only.", **NEVER),
]

REGISTRATION = [
    _prepare("waits-for-registration-in-e1", UNREGISTERED, "violated", 17_319, 18, "E1", H02, FIRST_HALF, **SENDS),
    _prepare("finds-registration-in-e0", UNREGISTERED, "holds", 1_927, None, "E0", H02, ACKNOWLEDGED, **SENDS, batch=2),
    _prepare("finds-registration-in-ours", UNREGISTERED, "holds", 1_675, None, "repaired", H02, "The sender passes over what is not registered yet.",
             **SENDS),
    _prepare("wait-for-registration-ends-in-e1", ENDS, "holds", 17_319, None, "E1", H02, "D's half does come, so the wait without a bound ends.",
             **SENDS),
    _prepare("kept-ask-holds-sender-in-e1", OTHERS, "violated", 21_751, 41, "E1", H02, HELD_SENDER, **KEEPS, decodes="01", decode_room="01"),
    _prepare("kept-ask-holds-thread-in-e0", OTHERS, "violated", 48, 14, "E0", ("H-02", "H16"), HELD_ACK, **KEEPS, decodes="01", decode_room="01"),
    _prepare("refused-ask-holds-no-sender-in-e1", OTHERS, "holds", 4_227, None, "E1", H02,
             "The request for the full D does not run before D has granted.",
             messager=True, decodes="01", decode_room="01"),
    _prepare("full-d-holds-no-sender-in-ours", OTHERS, "holds", 1_474, None, "repaired", H02, SPLIT, messager=True, decodes="01", decode_room="01"),
    _prepare("kept-asks-in-circle-in-e1", DEADLOCK, "violated", 37_577, 41, "E1", H02, ORDERS, **KEEPS, **PAIR),
    _prepare("sender-and-d-in-no-circle-in-ours", DEADLOCK, "holds", 2_279, None, "repaired", H02, DRAINS, messager=True, **PAIR),
    _prepare("waits-behind-what-does-not-fit-in-e1", BEHIND, "violated", 351_189, 30, "E1", ("H16",), LIST,
             **KEEPS, decodes="000", decode_room="2", sizes="121", threads=1, prefill_room=4),
    _prepare("nobody-waits-behind-among-equals-in-e1", BEHIND, "holds", 37_577, None, "E1", ("H16",),
             "Where the first does not fit, no other of its size does.",
             **KEEPS, **PAIR),
    _prepare("second-reservation-registered-again-in-e1", AGAIN, "violated", 1_716, 51, "E1", H12,
             TWICE + " Its half is merged into the record once more.",
             **LATE, messager=True),
    _prepare("registered-once-in-ours", AGAIN, "holds", 457, None, "repaired", H12, NUMBERED, **LATE, messager=True),
    _prepare("second-half-fails-assertion-in-e1", ASSERTS, "violated", 2_174, 32, "E1", H12,
             TWICE + " Both halves come before P's: an assertion fails.",
             **{**LATE, "decode_room": "2"}, messager=True),
    _prepare("no-assertion-fails-in-ours", ASSERTS, "holds", 457, None, "repaired", H12, NUMBERED, **{**LATE, "decode_room": "2"}, messager=True),
]

SHARED = [
    _config("foreign-slot-in-e1", FOREIGN, "violated", 301, 7, "E1", H16, FOREIGN_SLOT),
    _config("foreign-slot-after-7771", FOREIGN, "violated", 165, 7, "E1_7771", ("#7724", "#7771", "H16"), FOREIGN_SLOT + " The lock comes too late."),
    _config("own-slot-in-e0", FOREIGN, "holds", 45, None, "E0", H16, "One thread asks for one request after the other."),
    _config("own-slot-in-ours", FOREIGN, "holds", 231, None, "repaired", H16, OWN_FRAMES, requests=3),
    _config("torn-message-in-e1", TORN, "violated", 285, 8, "E1", ("#7724", "H16", "H-21"), FRAMES),
    _config("ask-never-arrives-in-e1", ARRIVES, "violated", 301, 12, "E1", ("#7724", "H16", "H-21"), FRAMES),
    _config("whole-message-after-7771", TORN, "holds", 151, None, "E1_7771", ("#7771", "H16", "H-21"), "A lock per address is held over all frames."),
    _config("whole-message-in-ours", TORN, "holds", 231, None, "repaired", ("#7771", "H16", "H-21"), OWN_FRAMES, requests=3),
    _config("ask-arrives-in-ours", ARRIVES, "holds", 231, None, "repaired", ("#7771", "H16", "H-21"), OWN_FRAMES, requests=3),
    _config("some-ask-arrives-in-ours", SOME_ARRIVES, "holds", 231, 5, "repaired", H16, EXISTS + "asks arrive.", requests=3),
]

DOUBLED = [
    _half("doubled-half-fails-assertion-in-e0", ASSERTS, "violated", 74_900, 24, "E0", H19, REPEATED),
    _half("doubled-half-fails-assertion-in-e1", ASSERTS, "violated", 69_902, 22, "E1", H19, REPEATED),
    _half("doubled-half-registered-again-in-e0", AGAIN, "violated", 74_900, 49, "E0", H19, REWRITTEN),
    _half("doubled-half-registered-again-in-e1", AGAIN, "violated", 69_902, 45, "E1", H19, REWRITTEN),
    _half("doubled-half-left-in-e0", HALF_LEFT, "violated", 74_900, 75, "E0", H19, STALE),
    _half("doubled-half-left-in-e1", HALF_LEFT, "violated", 69_902, 68, "E1", H19, STALE),
    _half("doubled-half-leaves-acknowledgement-in-e0", ACKS_LEFT, "violated", 74_900, 76, "E0", H19, LONE_ACK),
    _half("doubled-half-divides-no-ranks-in-e0", DEADLOCK, "holds", 74_900, None, "E0", H19, SAME_ORDER),
    _half("doubled-half-loses-nothing-in-e0", SENT, "holds", 74_900, None, "E0", H19, SAME_ORDER),
    _half("half-put-once-fails-no-assertion-in-ours", ASSERTS, "holds", 1_623, None, "repaired", H19, PUT_ONCE),
    _half("half-put-once-registered-once-in-ours", AGAIN, "holds", 1_623, None, "repaired", H19, PUT_ONCE),
    _half("half-put-once-left-nowhere-in-ours", HALF_LEFT, "holds", 1_623, None, "repaired", H19, PUT_ONCE),
    _half("no-acknowledgement-left-in-ours", ACKS_LEFT, "holds", 1_623, None, "repaired", H19, "Nobody acknowledges."),
    _half("half-put-once-sent-in-ours", SENT, "holds", 1_623, None, "repaired", H19, PUT_ONCE),
    _half("half-put-once-quiet-in-ours", QUIET, "holds", 1_623, 38, "repaired", H19, EXISTS + "all is sent and forgotten."),
    _half("half-put-once-no-deadlock-in-ours", DEADLOCK, "holds", 1_623, None, "repaired", H19, PUT_ONCE),
    _half("half-alone-never-sent", SENT, "violated", 266, 22, "unmerged", H19, "Ours, but P puts its own half alone: no task is ever registered."),
    _half("half-alone-waits-for-ever", DEADLOCK, "violated", 266, 22, "unmerged", H19,
          "Ours, but P puts its own half alone: the sender waits for ever."),
]

SLOW_MATCH = [
    _match("release-waits-for-transfer-in-e1", SLOW, "violated", 298, 8, "E1", H31, WITH_LOCK),
    _match("match-in-no-circle-in-e1", DEADLOCK, "holds", 298, None, "E1", H31, LOOK),
    _match("match-ends-in-e1", ENDS, "holds", 298, None, "E1", H31, LOOK),
    _match("match-in-circle-unchecked", DEADLOCK, "violated", 456, 5, "unchecked", H31, NO_LOOK),
    _match("match-never-ends-unchecked", ENDS, "violated", 456, 5, "unchecked", H31, NO_LOOK),
    _match("release-waits-for-no-transfer-in-ours", SLOW, "holds", 216, None, "repaired", H31, OUTSIDE),
    _match("match-in-no-circle-in-ours", DEADLOCK, "holds", 216, None, "repaired", H31, OUTSIDE),
    _match("match-ends-in-ours", ENDS, "holds", 216, None, "repaired", H31, OUTSIDE),
    _match("some-release-beside-transfer-in-ours", BESIDE, "holds", 216, 7, "repaired", H31,
           EXISTS + "a request waits to be released during a transfer."),
]
# fmt: on

SCENARIOS = [*HOLD_AND_WAIT, *CROSS_DECODE, *ANSWERS, *REGISTRATION, *SHARED, *DOUBLED, *SLOW_MATCH]
