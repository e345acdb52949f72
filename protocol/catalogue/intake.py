"""Scenarios of the group "intake": the schedulers' list of arrived requests, its cursor and its mutex.

Four questions, each with its own system. The variants are named as in the facts where the facts name them (T1, T2, N1, B).
*Batching*: does `get_requests` return every request, within its limits, without keeping the mutex for nothing?

| | local | T1 | T2 | tested_first | leaves_first | N1 | repaired |
|---|---|---|---|---|---|---|---|
| a request is skipped for ever | never | H18, H-11 | never | never | never | never | never |
| what was rejected is counted | no limits | H19 (a) | H19 (a) | never | never | no limits | never |
| the mutex is kept from one pass in vain to the next | never | H19 (a) | H19 (a) | H19 (e) | never | never | never |
| only the clock ends that | never | never | never | H19 (e) | never | never | never |
| who can never fit blocks those behind | no limits | H19 (b) | H19 (b) | H19 (b) | H19 (b) | no limits | refused |
| a batch beyond its tokens | no limits | never | H19 (c) | H19 (c) | H19 (c) | alone | never |
| requests in hand wait for the clock | never | H19 (d) | H19 (d) | H19 (d) | H19 (d) | never | never |
| the log says the opposite | no log | no log | H19 (f) | H19 (f) | H19 (f) | no log | never |

`tested_first` is the mend proposed in the review of #7791, `leaves_first` that of the facts: test, count, and leave on the first
rejection. Ours also waits with empty hands only, looks at the tokens before it takes, and refuses what can never fit.

*Recycling*: may an abort move the cursor of a list that others read? `locked` takes the mutex, `checked` asks whether the
id lies left of the cursor, `locked_checked` does both and is the mend that the facts propose.

| | B | checked | locked | locked_checked | repaired |
|---|---|---|---|---|---|
| the cursor leaves the list | H17, H-10 | H17 | H17, H-10 | never | never |
| a request is returned twice | H17, H-10 | H17 | H17, H-10 | never | never |
| a request is never returned | H17, H-10 | H17 | H17, H-10 | never | never |
| a request is skipped | H17 | H17 | never | never | never |
| KeyError, ValueError | H17, H-10 | H17, H-10 | H-10 | H-10 | never |
| an aborted request runs | H-10 | H-10 | H-10 | H-10 | never |

*Expiry*: the clean-up of old requests is never reached as published; `reached` lets it run when the list is full, and then it
pops wrong indices (H-10). *Dispatch*: the data-parallel wrapper ignores what the inner `put_requests` answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machines.intake import batching, dispatch, expiry, recycle
from ..system import System
from . import Scenario
from .hazard import Hazard

SKIPPED, TWICE, RAISES, RETURNED = "no_request_skipped", "no_request_returned_twice", "nobody_raises", "requests_returned"
COUNTED, VAIN, LET_IN, IN_HAND = "only_the_taken_counted", "no_second_pass_in_vain", "puts_let_in", "no_wait_with_requests_in_hand"
TOKENS, BLOCKS, LOG, IN_LIST = "batch_within_tokens", "batch_within_blocks", "log_tells_the_truth", "cursor_in_list"
ADMITTED, ENTRY, LOST, ANSWERED = "no_aborted_request_admitted", "no_entry_without_id", "no_request_lost", "requests_answered"
ALL_RETURNED, REJECTED, FULL, WAITED = "some_run_returns_all", "some_request_rejected", "some_batch_full", "some_wait_for_requests"


def _of(build: Callable[..., System]) -> Callable[..., Scenario]:
    """Scenarios of one system; the variant is that of the configuration."""

    def scenario(
        name: str, asked: str, expected: str, distinct: int, path: int | None, variant: str, sources: tuple[str, ...], about: str, **bounds: Any
    ) -> Scenario:
        return Scenario(f"intake-{name}", "intake", build, asked, expected, sources, variant, about, {"variant": variant, **bounds}, distinct, path)

    return scenario


_batch, _recycle, _expiry, _dispatch = (_of(m.build) for m in (batching, recycle, expiry, dispatch))

ALIKE, SPIN, NEVER_FITS = {"longest": 1}, {"blocks": 3, "tokens": 5}, {"blocks": 2, "longest": 3, "tokens": 4}
FEW_TOKENS, NO_CLOCK = {"blocks": 5, "tokens": 3}, {"blocks": 3, "tokens": 5, "clock": False}
H18, H19, TTL = ("H18", "H-11"), ("#7791", "H19"), ("H-10",)
H17, H10 = ("#6680", "H17", "H-10"), ("#6680", "H-10", "H17")
MOVES_WITH_EACH = "The cursor moves with each request that is taken, so what lies left of it has been taken."
OURS = (
    "Ours waits only with empty hands; then one pass tests, counts and takes, stops at the first request that does not fit, and gives the "
    "mutex back. A request that can never fit is answered when it is put."
)
ACCUMULATES = (
    "The length of a request is added before the test and stays when the request is rejected, so nothing more can be taken in this call; "
    "the next pass adds it again."
)
FOUND = "The twin of the claims about this: "
# fmt: off
BATCHING = [
    # -- H18, H-11: the cursor moves by all that the call has taken, every pass -------------------------------------------
    _batch("third-request-skipped-in-t1", SKIPPED, "violated", 123, 14, "T1", H18,
           "A pass takes the first request and moves the cursor by one; the next takes the second and moves it by two, the length of the "
           "list in hand. The third request arrives left of the cursor, where nobody looks.", **ALIKE),
    _batch("rejected-request-skipped-in-t1", SKIPPED, "violated", 706, 11, "T1", H18,
           "A pass takes the first request; the next takes none, because the second does not fit, but moves the cursor by what is in hand "
           "all the same: past the request that it has just rejected. Two requests suffice."),
    _batch("skipped-request-never-returned-in-t1", RETURNED, "violated", 123, 18, "T1", H18,
           "A request that was skipped is never looked at again: it is neither returned nor answered.", **ALIKE),
    _batch("no-request-skipped-in-t2", SKIPPED, "holds", 422, None, "T2", ("#7791", *H18), MOVES_WITH_EACH),
    _batch("no-request-skipped-in-n1", SKIPPED, "holds", 249, None, "N1", ("#6680", *H18), MOVES_WITH_EACH),
    _batch("no-request-skipped-in-local", SKIPPED, "holds", 331, None, "local", H18, "One pass a call: the cursor moves by what was taken."),
    _batch("no-request-skipped-in-ours", SKIPPED, "holds", 304, None, "repaired", H18, OURS),
    _batch("requests-returned-in-t2", RETURNED, "holds", 422, None, "T2", ("#7791", *H18),
           "Where each request fits by itself, T2 returns all of them: what a call rejects heads the next, which counts from nothing."),
    _batch("requests-returned-in-tested-first", RETURNED, "holds", 412, None, "tested_first", ("#7791", *H18), MOVES_WITH_EACH),
    _batch("requests-returned-in-n1", RETURNED, "holds", 249, None, "N1", ("#6680", *H18), MOVES_WITH_EACH),
    _batch("requests-returned-in-ours", RETURNED, "holds", 304, None, "repaired", H18, OURS),
    _batch("some-run-returns-all-in-t1", ALL_RETURNED, "holds", 706, 11, "T1", H18, FOUND + "when the requests come together, T1 returns all."),
    _batch("some-run-returns-all-in-ours", ALL_RETURNED, "holds", 304, 10, "repaired", H18, FOUND + "ours returns all."),
    _batch("some-run-returns-all-in-local", ALL_RETURNED, "holds", 331, 10, "local", H18, FOUND + "all are returned."),
    _batch("some-run-returns-all-in-tested-first", ALL_RETURNED, "holds", 412, 10, "tested_first", H18, FOUND + "all are returned."),
    # -- H19 (a): counted before it is rejected ------------------------------------------------------------------------------
    _batch("rejected-request-counted-in-t2", COUNTED, "violated", 422, 6, "T2", (*H19, "H-11"), ACCUMULATES),
    _batch("rejected-request-counted-in-t1", COUNTED, "violated", 644, 6, "T1", ("H19", "H-11"), ACCUMULATES),
    _batch("only-the-taken-counted-in-tested-first", COUNTED, "holds", 412, None, "tested_first", H19,
           "The mend proposed in the review tests first and counts afterwards.", **SPIN),
    _batch("only-the-taken-counted-in-ours", COUNTED, "holds", 304, None, "repaired", H19, OURS, **SPIN),
    _batch("some-request-rejected-in-t2", REJECTED, "holds", 567, 6, "T2", H19, FOUND + "requests are rejected.", **SPIN),
    _batch("some-request-rejected-in-ours", REJECTED, "holds", 400, 6, "repaired", H19, FOUND + "requests are rejected.", **SPIN),
    _batch("mutex-kept-in-vain-in-t1", VAIN, "violated", 774, 14, "T1", ("H19",), ACCUMULATES + " The mutex is kept meanwhile.", **SPIN),
    _batch("mutex-kept-in-vain-in-t2", VAIN, "violated", 572, 11, "T2", H19,
           "The head is rejected and stays the head; the wait is over at once, because something is there, and does not give the mutex back. "
           "Pass after pass takes nothing with the mutex held.", **SPIN),
    # -- H19 (e): the mend proposed in the review ----------------------------------------------------------------------------
    _batch("mutex-kept-in-vain-in-tested-first", VAIN, "violated", 534, 10, "tested_first", H19,
           "To test first and count afterwards mends the counting, not the spin: the head is still rejected, and looked at again with the "
           "mutex held.", **SPIN),
    _batch("spin-ends-by-the-clock-alone-in-tested-first", LET_IN, "violated", 412, 7, "tested_first", H19,
           "Nothing grows any more while the head is rejected, so that only the time-out ends the spin: without a clock, the thread that wants "
           "to put a request never gets the mutex.", **NO_CLOCK),
    _batch("spin-ends-without-the-clock-in-t2", LET_IN, "holds", 458, None, "T2", H19,
           "In T2 as it stands the rejected length is added in every pass until the tokens are used up, which ends the call before any "
           "time-out.", **NO_CLOCK),
    _batch("spin-mended-in-leaves-first", VAIN, "holds", 456, None, "leaves_first", H19,
           "To leave on the first rejection gives the mutex back: this is what the proposed mend lacks.", **SPIN),
    _batch("puts-let-in-in-leaves-first", LET_IN, "holds", 402, None, "leaves_first", H19,
           "The first rejection ends the call, clock or not.", **NO_CLOCK),
    _batch("only-the-taken-counted-in-leaves-first", COUNTED, "holds", 402, None, "leaves_first", H19,
           "It tests first and counts afterwards.", **SPIN),
    _batch("some-request-rejected-in-leaves-first", REJECTED, "holds", 520, 6, "leaves_first", H19, FOUND + "requests are rejected.", **SPIN),
    _batch("puts-let-in-in-ours", LET_IN, "holds", 304, None, "repaired", H19, OURS, **NO_CLOCK),
    _batch("mutex-given-back-in-n1", VAIN, "holds", 249, None, "N1", ("#6680", "H19"), "N1 rejects nothing: one request, one pass.", **SPIN),
    _batch("mutex-given-back-in-ours", VAIN, "holds", 304, None, "repaired", H19, OURS, **SPIN),
    # -- H19 (b): who never fits ----------------------------------------------------------------------------------------------
    _batch("head-of-line-blocked-in-t2", RETURNED, "violated", 876, 8, "T2", H19,
           "A request that needs more blocks than there are heads the list: every call rejects it and returns nothing, and those behind it, "
           "which would fit, are never looked at.", **NEVER_FITS),
    _batch("head-of-line-blocked-in-leaves-first", RETURNED, "violated", 611, 7, "leaves_first", H19,
           "To leave on the first rejection does not help who stands behind a request that can never fit.", **NEVER_FITS),
    _batch("head-of-line-refused-in-ours", RETURNED, "holds", 586, None, "repaired", H19, OURS, **NEVER_FITS),
    # -- H19 (c): tokens are looked at after the request was taken ------------------------------------------------------------
    _batch("batch-beyond-tokens-in-t2", TOKENS, "violated", 422, 6, "T2", H19,
           "The tokens are looked at after the request was taken, so a batch may exceed them by its last request.", **FEW_TOKENS),
    _batch("batch-beyond-tokens-in-tested-first", TOKENS, "violated", 422, 6, "tested_first", H19,
           "The proposed mend is about the rejection, not about the tokens.", **FEW_TOKENS),
    _batch("batch-beyond-tokens-in-leaves-first", TOKENS, "violated", 422, 6, "leaves_first", H19,
           "The tokens are still looked at after the request was taken.", **FEW_TOKENS),
    _batch("batch-within-tokens-in-t1", TOKENS, "holds", 644, None, "T1", ("H19",), "T1 rejects what would exceed the tokens.", **FEW_TOKENS),
    _batch("batch-within-tokens-in-ours", TOKENS, "holds", 304, None, "repaired", H19, OURS, **FEW_TOKENS),
    _batch("some-batch-full-in-t1", FULL, "holds", 644, 8, "T1", ("H19",), FOUND + "batches do fill.", **FEW_TOKENS),
    _batch("some-batch-full-in-ours", FULL, "holds", 304, 8, "repaired", H19, FOUND + "batches do fill.", **FEW_TOKENS),
    _batch("batch-beyond-blocks-in-n1", BLOCKS, "violated", 732, 4, "N1", ("#6680", "H19"),
           "N1 looks at no limit: admission is left to the resource manager.", **NEVER_FITS),
    _batch("batch-beyond-blocks-in-local", BLOCKS, "violated", 331, 6, "local", ("H19",), "LocalScheduler in V1 takes what is there.", **SPIN),
    _batch("batch-within-blocks-in-t2", BLOCKS, "holds", 458, None, "T2", H19, "The blocks are tested before the request is taken.", **SPIN),
    _batch("batch-within-blocks-in-ours", BLOCKS, "holds", 304, None, "repaired", H19, OURS, **SPIN),
    _batch("some-batch-full-in-t2", FULL, "holds", 458, 8, "T2", H19, FOUND + "batches do fill.", **SPIN),
    # -- H19 (d): the wait for batch-mates ---------------------------------------------------------------------------------------
    _batch("requests-in-hand-wait-for-the-clock-in-t1", IN_HAND, "violated", 644, 7, "T1", ("H19",),
           "A call that has taken a request waits for batch-mates until the time-out, with the request in hand."),
    _batch("requests-in-hand-wait-for-the-clock-in-t2", IN_HAND, "violated", 422, 6, "T2", H19,
           "A call that has taken a request waits for batch-mates until the time-out, with the request in hand; each further one starts the "
           "time again."),
    _batch("requests-in-hand-wait-for-the-clock-in-leaves-first", IN_HAND, "violated", 402, 6, "leaves_first", H19,
           "Where nothing is rejected, the call still waits for batch-mates with requests in hand."),
    _batch("nothing-in-hand-waits-in-n1", IN_HAND, "holds", 249, None, "N1", ("#6680", "H19"), "One request is returned at once: the purpose of N1."),
    _batch("nothing-in-hand-waits-in-ours", IN_HAND, "holds", 304, None, "repaired", H19, OURS),
    _batch("some-wait-in-n1", WAITED, "holds", 249, 1, "N1", ("#6680", "H19"), FOUND + "calls do wait."),
    _batch("some-wait-in-ours", WAITED, "holds", 304, 1, "repaired", H19, FOUND + "calls do wait."),
    # -- H19 (f): the log message -------------------------------------------------------------------------------------------------
    _batch("log-says-the-opposite-in-t2", LOG, "violated", 1_076, 6, "T2", H19,
           "'has put all just-pulled request into the queue' is logged when something was there and nothing was taken; that takes a head "
           "that does not fit by itself.", **NEVER_FITS),
    _batch("log-says-the-opposite-in-tested-first", LOG, "violated", 794, 6, "tested_first", H19,
           "The proposed mend is about the rejection, not about the message.", **NEVER_FITS),
    _batch("log-says-the-opposite-in-leaves-first", LOG, "violated", 711, 5, "leaves_first", H19, "The message is as before.", **NEVER_FITS),
    _batch("log-silent-where-every-request-fits-in-t2", LOG, "holds", 422, None, "T2", H19,
           "Where every request fits by itself, the first of a call is always taken, and the message never comes."),
    _batch("log-tells-the-truth-in-ours", LOG, "holds", 586, None, "repaired", H19, "Ours logs what it says: something was taken.", **NEVER_FITS),
    _batch("some-log-line-in-ours", "some_log_line", "holds", 586, 7, "repaired", H19, FOUND + "the message comes.", **NEVER_FITS),
    _batch("no-log-line-where-every-request-fits-in-t2", "some_log_line", "violated", 422, None, "T2", H19,
           "Where every request fits by itself the message is never logged: its condition says the opposite of its text."),
]

IN_WINDOW = (
    "An abort asks the resource manager for the id; a request that has been read, and is on its way there, is not known yet, and is recycled. "
    "It is admitted all the same"
)
NOT_READ = "An abort recycles a request that has not been read, and moves the cursor back although the request lay right of it."
LOCKED_MEND = "With the mutex held, the cursor moves only for an id left of it."
OUR_ABORT = (
    "Ours recycles, under the mutex, only what has not been read, so that an abort never moves the cursor; what has been read is its owner's "
    "to abort."
)
RECYCLING = [
    _recycle("returned-twice-in-b", TWICE, "violated", 9_829, 20, "B", H17,
             NOT_READ + " From -1 the slice is the tail of the list; its request is returned, the cursor is 0 again, and so is the request."),
    _recycle("request-in-flight-returned-twice-in-locked", TWICE, "violated", 1_876, 21, "locked", H10,
             NOT_READ + " The mutex does not help: the request left of the cursor, which is being executed, is returned again.", batch=1),
    _recycle("cursor-below-zero-in-b", IN_LIST, "violated", 8_143, 7, "B", H17, NOT_READ + " The cursor was 0."),
    _recycle("cursor-below-zero-in-locked", IN_LIST, "violated", 2_117, 8, "locked", H17, NOT_READ + " The mutex does not help."),
    _recycle("cursor-below-zero-in-checked", IN_LIST, "violated", 7_858, 20, "checked", H17,
             "The abort loads the cursor; before it looks where its unread id lies, the results' thread takes another out of the list, so that the "
             "id seems to lie left. Both then move the cursor back."),
    _recycle("cursor-in-list-in-locked-checked", IN_LIST, "holds", 1_957, None, "locked_checked", H17, LOCKED_MEND),
    _recycle("cursor-in-list-in-ours", IN_LIST, "holds", 1_239, None, "repaired", H17, OUR_ABORT),
    _recycle("returned-twice-in-b-one-a-call", TWICE, "violated", 7_777, 20, "B", H17,
             NOT_READ + " Its store falls between the reader's two loads: the reader takes its slice from 0 and moves the cursor from -1.", batch=1),
    _recycle("returned-twice-in-checked", TWICE, "violated", 8_421, 26, "checked", H17,
             "The abort has looked at the cursor, but moves it only when the reader has moved it, too: its store undoes the reader's."),
    _recycle("returned-once-in-locked-checked", TWICE, "holds", 1_957, None, "locked_checked", H17, LOCKED_MEND),
    _recycle("returned-once-in-ours", TWICE, "holds", 1_239, None, "repaired", H17, OUR_ABORT),
    _recycle("returned-once-in-ours-two-aborts", TWICE, "holds", 11_733, None, "repaired", H17, OUR_ABORT, aborts=2, requests=4, batch=3),
    _recycle("starved-in-b-one-a-call", RETURNED, "violated", 8_115, 13, "B", H17, NOT_READ + " ids[-1:0] is empty for ever.", batch=1),
    _recycle("starved-in-locked-three-a-call", RETURNED, "violated", 9_773, 16, "locked", H17,
             NOT_READ + " ids[-1:2] is empty as soon as three requests wait: a larger batch starves like a batch of one when the list is "
             "at least as long.", batch=3, requests=4),
    _recycle("requests-returned-in-locked-three-a-call", RETURNED, "holds", 2_428, None, "locked", H17,
             "While fewer requests wait than one call may take, ids[-1:2] is the tail of the list, and the cursor recovers.", batch=3, requests=3),
    _recycle("requests-returned-in-locked-checked", RETURNED, "holds", 1_913, None, "locked_checked", H17, LOCKED_MEND, batch=1),
    _recycle("requests-not-skipped-for-ever-in-ours", RETURNED, "holds", 1_175, None, "repaired", H17, OUR_ABORT, batch=1),
    _recycle("update-lost-and-request-skipped-in-b", SKIPPED, "violated", 9_829, 15, "B", H17,
             "Without the mutex the abort's `cursor -= 1` falls between the reader's load and store, and is lost. The list has shrunk and the "
             "cursor is past its end: the next request lands left of it."),
    _recycle("list-shrinks-and-request-skipped-in-checked", SKIPPED, "violated", 8_421, 15, "checked", H17,
             "The reader has its slice. The abort takes an id out of it and rightly leaves the cursor, since the id is unread; the reader then "
             "counts the id all the same."),
    _recycle("no-update-lost-in-locked", SKIPPED, "holds", 2_157, None, "locked", H17, "The mutex alone mends this one."),
    _recycle("no-update-lost-in-ours", SKIPPED, "holds", 1_239, None, "repaired", H17, OUR_ABORT),
    _recycle("reader-misses-an-entry-in-b", RAISES, "violated", 8_143, 7, "B", H17,
             "The reader has its slice of ids; the abort takes the entry of one of them out of `requests`; the reader's look-up raises, and "
             "FETCH ends with an exception."),
    _recycle("recycler-misses-an-id-in-locked-checked", RAISES, "violated", 1_957, 17, "locked_checked", TTL,
             IN_WINDOW + ", and when it finishes, the id is gone: the thread that delivers results raises."),
    _recycle("nobody-raises-in-ours", RAISES, "holds", 1_239, None, "repaired", H17, OUR_ABORT),
    _recycle("aborted-request-admitted-in-b", ADMITTED, "violated", 10_550, 13, "B", ("#6680", "H-10"), IN_WINDOW + " and runs."),
    _recycle("aborted-request-admitted-in-locked-checked", ADMITTED, "violated", 2_478, 14, "locked_checked", TTL, IN_WINDOW + " and runs."),
    _recycle("aborted-request-not-admitted-in-ours", ADMITTED, "holds", 1_239, None, "repaired", TTL, OUR_ABORT),
    _recycle("some-request-aborted-in-ours", "some_request_aborted", "holds", 1_239, 4, "repaired", H17, FOUND + "aborts recycle."),
    _recycle("some-run-returns-all-in-recycling-of-ours", ALL_RETURNED, "holds", 1_239, 18, "repaired", H17, FOUND + "requests are returned."),
    _recycle("some-request-recycled-in-ours", "some_request_recycled", "holds", 1_239, 11, "repaired", H17, FOUND + "results recycle."),
    _recycle("some-request-aborted-in-locked", "some_request_aborted", "holds", 2_197, 8, "locked", H17, FOUND + "aborts recycle."),
    _recycle("some-request-aborted-in-locked-checked", "some_request_aborted", "holds", 2_037, 8, "locked_checked", H17, FOUND + "aborts recycle."),
]

WRONG_INDEX = "The clean-up pops ids.pop(0), ids.pop(1), ... for the expired ids, so that every other one stays and live ones go."
POPS_FRONT = "Ours pops from the front, and moves the cursor by as many as were popped left of it."
EXPIRY = [
    _expiry("clean-up-never-reached-as-published", "some_request_cleaned", "violated", 555, None, "published", TTL,
            "The clean-up asks for more entries than max_size; `put_requests` refuses to put more than max_size. So nothing ever expires."),
    _expiry("wrong-ids-popped-in-reached", ENTRY, "violated", 762, 20, "reached", TTL,
            WRONG_INDEX + " A live request is in `requests` and no longer in `ids`: it is never read."),
    _expiry("clean-up-or-reader-raises-in-reached", RAISES, "violated", 762, 21, "reached", TTL,
            WRONG_INDEX + " An id whose entry is gone makes the next look-up raise; or an index past the end does, in the clean-up itself."),
    _expiry("unread-request-skipped-in-reached", SKIPPED, "violated", 881, 23, "reached", TTL,
            WRONG_INDEX + " The cursor moves as if the expired ones were gone, and an unread request ends up left of it."),
    _expiry("finished-id-makes-clean-up-raise-in-decode-role", RAISES, "violated", 1_269, 15, "reached_decode", TTL,
            "In the decode role the data-parallel scheduler leaves finished ids in `ids`; the clean-up looks their entries up and raises.", room=2),
    _expiry("published-clean-up-harms-nobody", ENTRY, "holds", 555, None, "published", TTL, "It is never reached."),
    _expiry("right-ids-popped-in-ours", ENTRY, "holds", 731, None, "repaired", TTL, POPS_FRONT),
    _expiry("nobody-raises-in-clean-up-of-ours", RAISES, "holds", 731, None, "repaired", TTL, POPS_FRONT),
    _expiry("no-request-skipped-in-clean-up-of-ours", SKIPPED, "holds", 902, None, "repaired", TTL, POPS_FRONT),
    _expiry("some-request-returned-as-published", "some_request_returned", "holds", 590, 4, "published", TTL, FOUND + "requests are returned."),
    _expiry("some-request-cleaned-in-ours", "some_request_cleaned", "holds", 811, 15, "repaired", TTL, FOUND + "requests expire."),
    _expiry("some-request-returned-in-clean-up-of-ours", "some_request_returned", "holds", 902, 4, "repaired", TTL, FOUND + "requests are returned."),
]

IGNORED = "`DPScheduler.put_requests` has told the caller that the request is in."
TELLS = "Ours sends the inner scheduler's refusal to the client."
WRAPPER = ("facts 5",)
DISPATCH = [
    _dispatch("refused-request-lost-in-dp-wrapper", LOST, "violated", 70, 6, "published", WRAPPER,
              IGNORED + " The inner scheduler is full and refuses it; nobody looks at the refusal, and the request is gone."),
    _dispatch("duplicate-lost-in-dp-wrapper", LOST, "violated", 62, 6, "published", WRAPPER,
              IGNORED + " The inner scheduler knows the id and refuses it; nobody looks at the refusal.", duplicate=True, room=3),
    _dispatch("refused-request-never-answered-in-dp-wrapper", ANSWERED, "violated", 70, 10, "published", WRAPPER, IGNORED + " It is never answered."),
    _dispatch("refused-request-answered-in-ours", ANSWERED, "holds", 80, None, "repaired", WRAPPER, TELLS),
    _dispatch("duplicate-answered-in-ours", ANSWERED, "holds", 78, None, "repaired", WRAPPER, TELLS, duplicate=True, room=3),
    _dispatch("no-request-lost-in-ours", LOST, "holds", 80, None, "repaired", WRAPPER, TELLS),
    _dispatch("some-run-answers-all-in-ours", "some_run_answers_all", "holds", 80, 12, "repaired", WRAPPER, FOUND + "requests are answered."),
]
# fmt: on

SCENARIOS = [*BATCHING, *RECYCLING, *EXPIRY, *DISPATCH]

HAZARDS = [
    Hazard(
        "H17",
        "recycle moves the cursor for a request that was not read",
        ("#6680",),
        "An abort recycles a request that the resource manager does not know, without the scheduler's mutex, and `_recycle` moves the cursor back "
        "by one whether the request lay left of it or not. A request left of the cursor is then returned a second time; a cursor of 0 becomes "
        "-1, which Python counts from the end; and what the reader has in hand may be gone from `requests` when it looks it up.",
        "A and B; inferred from published code",
        "Confirmed, and sharper: (1) without the mutex the abort's decrement can be lost between the reader's load and store, which skips the next "
        "request for ever; asking `index < cursor` first does not help: the list still shrinks under the reader, so both halves of the mend "
        "are needed. (2) The mutex alone mends that and the KeyError, and nothing else. (3) From -1 a batch of b starves, as one of 1 does, when b "
        "requests wait; with fewer it returns the tail, and later again. (4) The mend of the facts (mutex and check) leaves the abort "
        "between the cursor's move and the admission: see H-10.",
    ),
    Hazard(
        "H18",
        "get_requests skips a request for ever (T1)",
        (),
        "The older batching loop of the data-parallel scheduler moves the cursor, in every pass of one call, by the number of all requests that "
        "the call has taken so far. From the second pass on the cursor runs ahead of what was taken, and what lies in between is never "
        "looked at again.",
        "T1 (commit 088682f9); reproduced by simulation with A, B, C",
        "Confirmed, and shorter: two requests suffice. A second pass that takes nothing, because its request is rejected, moves the cursor past "
        "that very request.",
    ),
    Hazard(
        "H19",
        "get_requests counts before it rejects, and spins with the mutex (T2)",
        ("#7791",),
        "The batching loop adds a request's length before it tests whether the request fits, and keeps it when the request is rejected (a); a head "
        "that can never fit blocks those behind it (b); the tokens are looked at after the request was taken (c); a request in hand waits for the "
        "clock (d); while the head is rejected the loop goes round with the mutex held, which the proposed mend, to test first, prolongs to "
        "the whole time-out (e); and the log says that all was taken when nothing was (f).",
        "T2, restored by #7791; (a) to (f) by simulation",
        "Confirmed, each part by itself. (a) In T2 the spin ends without the clock, by the tokens; (e) with the proposed mend only the clock ends "
        "it; to leave on the first rejection mends both. (f) The message comes only for a head that does not fit by itself, hence never "
        "where every request fits. T1 has (a), (b), (d) and the spin as well; it lacks only (c).",
    ),
    Hazard(
        "H-10",
        "an abort underflows the scheduler's cursor",
        ("#6680",),
        "With one request in flight and one unread, an abort of the unread one moves the cursor from 1 to 0, and the request in flight is returned "
        "and prepared a second time. With nothing read the cursor becomes -1, and with a batch of one nothing is ever fetched again. The clean-up of "
        "expired requests pops wrong indices when several expire at once.",
        "E0 and E1; read in published code, the interleaving inferred",
        "The cursor is as in H17. Beyond it: a request that was read and is not admitted yet is unknown to the resource manager, so an abort "
        "recycles it, it runs all the same, and its own recycling raises; neither the mutex nor the check helps, only that an abort leaves "
        "what was read to its owner. The clean-up is never reached as published: it asks for more entries than max_size, and `put_requests` "
        "refuses to go beyond max_size. Where it is reached, it does pop wrong indices.",
    ),
    Hazard(
        "H-11",
        "get_requests of the data-parallel scheduler loses requests",
        ("#7791",),
        "In the batching loop the cursor moves on every round by the cumulative list of what was taken, so a later request is skipped for "
        "ever; token and block counters are incremented before the rejection test and never rolled back.",
        "published version, restored by #7791; read in published code",
        "The first half is T1's (H18), the second T1's and T2's (H19 a). The two dossiers differ on which of them #7791 restored. If it was T2, as "
        "the line numbers of its review say, no request is skipped after #7791: T2 holds where T1 is violated.",
    ),
]
