"""Scenarios of the group "network": the repaired hand-over of a place at D, under loss, disorder, crash and restart.

The system is `lease.py`, whose fifteen rules stand there with what they replace; what the published protocol does is in the
group `decode`. Asked is everything, under each fault by itself every day, and under all of them together in the deep run:

- a run that is quiet has no place, order or exchange left (S7), and no place is taken without its request (S4);
- nothing is written into a place that is not held for that very attempt (S5), and D decodes only what was written (S1);
- every client gets exactly one answer (P10, L2), every place is returned, every exchange ends, nobody is stuck (L3).

The network keeps no order and may hear a message twice, because senders repeat themselves; on top of that it loses and doubles
messages. P's engine dies and leaves its messager ranks writing, or is taken for dead when it is not; D dies and comes back; a
rank dies. What died may stay dead. A scenario with *without* in its name leaves one rule out, and something breaks.

The second system, `socket.py`, is P's socket to one D before and with #7771.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..machines.network.lease import build
from ..machines.network.socket import build as build_socket
from . import Scenario, is_deep
from .decode import ALL, ANSWERED, FOREIGN, FREED, LATE, PLACES, RETURNED, TOKENS, WRITTEN
from .hazard import Hazard

STUCK, ENDS, ONE, PREFILL = "hang", "exchanges_end", "one_answer", "prefill_places_kept"
REFUSED, REVOKED, AFTER = "some_write_refused", "some_revoked", "some_decoded_after_restart"


def _lease(
    name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...], about: str, variant: str, **bounds: Any
) -> Scenario:
    """A scenario of the lease; above so many states it is deep."""
    config, deep = {"variant": variant, **bounds}, is_deep(distinct, expected)
    return Scenario(f"network-{name}", "network", build, asked, expected, sources, variant, about, config, distinct, path, deep)


def _socket(
    name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...], about: str, variant: str, **bounds: Any
) -> Scenario:
    """A scenario of the socket."""
    return Scenario(f"network-socket-{name}", "network-socket", build_socket, asked, expected, sources, variant, about, bounds, distinct, path)


_ours = partial(_lease, variant="repaired")
OWN = "A place is named by (request, attempt); D answers a repeated ask with the place that it has, and P takes no other grant than its own."
KEPT = "D wants a place back, answers its client, and keeps the place until P has closed the attempt."
SAID = "Whoever waits says it again until he is answered, and what is heard twice is done once."
FENCED = "D takes a new key before it frees what the dead generation held: the ranks that it left behind are refused."
WRONG = "D takes a living P for dead and fences it: P's writes are refused, and what it closes is confirmed, so that both sides end."
NEW_KEY = "A restarted D has a new key and holds nothing; what was granted in its former life can no longer be written."
DRAINED = "A dead rank writes nothing, so it counts as stopped; restarted, it finds the orders that the engine still holds."
ERROR = "A rank fails to write; the others are stopped, and when they have, P says that the attempt has failed."
SHARED = "Two requests, one place on either side: who is refused goes back to the queue and holds nothing meanwhile."
ALONE: dict[str, Any] = {"requests": 2, "attempts": 1, "in_flight": 1}
SUSPECTED: dict[str, Any] = {"prefill_crashes": 1, "suspicions": 1, "attempts": 1}
CRASHES: dict[str, Any] = {"prefill_crashes": 1, "decode_crashes": 1, "rank_crashes": 1}

# fmt: off
QUIET = [
    _ours("one-place-an-attempt-in-repaired", PLACES, "holds", 62_800, None, ("H-12",), OWN),
    _ours("written-before-decoded-in-repaired", WRITTEN, "holds", 74_529, None, ("H-12", "H-42", "H-20"), OWN),
    _ours("places-returned-in-repaired", RETURNED, "holds", 62_800, None, ("H22", "H-20"), OWN),
    _ours("exchanges-end-in-repaired", ENDS, "holds", 62_800, None, ("H22", "H-20"), OWN),
    _ours("no-foreign-write-in-repaired", FOREIGN, "holds", 64_455, None, ("H-13", "H-27"), KEPT),
    _ours("one-answer-in-repaired", ONE, "holds", 62_800, None, ("H-27",), KEPT),
    _ours("some-place-wanted-back-in-repaired", REVOKED, "holds", 62_800, 7, ("H-13",), "D does want a place back while P may write into it."),
    _ours("some-run-decodes-in-repaired", ALL, "holds", 66_225, 16, ("H-12",), "A run in which the request is decoded exists."),
]

LOSSES = [
    _ours("nobody-stuck-by-loss-in-repaired", STUCK, "holds", 125_634, None, ("H-21", "9.3"), SAID, losses=1),
    _ours("answered-despite-loss-in-repaired", ANSWERED, "holds", 125_634, None, ("H-21", "9.3"), SAID, losses=1),
    _ours("token-arrives-despite-loss-in-repaired", TOKENS, "holds", 132_484, None, ("H-21", "9.3"), SAID, losses=1),
    _ours("places-returned-despite-loss-in-repaired", RETURNED, "holds", 125_634, None, ("H-21", "9.3"), SAID, losses=1),
    _ours("exchanges-end-despite-loss-in-repaired", ENDS, "holds", 125_634, None, ("H-21", "9.3"), SAID, losses=1),
    _ours("written-before-decoded-despite-doubling-in-repaired", WRITTEN, "holds", 62_611, None, ("H-21",), SAID, doublings=1, attempts=1),
    _ours("no-foreign-write-despite-doubling-in-repaired", FOREIGN, "holds", 54_991, None, ("H-21", "H-13"), SAID, doublings=1, attempts=1),
    _ours("places-returned-despite-doubling-in-repaired", RETURNED, "holds", 54_991, None, ("H-21",), SAID, doublings=1, attempts=1),
    _ours("no-foreign-write-despite-loss-and-doubling-in-repaired", FOREIGN, "holds", 2_801_802, None, ("H-21", "H-13"), SAID, losses=1, doublings=1),
    _ours("answered-despite-loss-and-doubling-in-repaired", ANSWERED, "holds", 2_722_649, None, ("H-21", "9.3"), SAID, losses=1, doublings=1),
    _ours("places-returned-despite-loss-and-doubling-in-repaired", RETURNED, "holds", 2_722_649, None, ("H-21", "9.3"), SAID, losses=1, doublings=1),
    _lease("answered-without-time-outs-despite-loss", ANSWERED, "holds", 31_228, None, ("H-21", "9.3"),
           "Even with no time-out anywhere a loss is made good: everything is said again.", "patient", losses=1),
]

RESTARTS = [
    _ours("no-foreign-write-when-prefill-dies-in-repaired", FOREIGN, "holds", 404_426, None, ("H-13", "9.7"), FENCED, prefill_crashes=1),
    _ours("some-write-refused-in-repaired", REFUSED, "holds", 409_087, 14, ("H-13", "9.7"),
          "The key does stop a rank that its engine left behind.", prefill_crashes=1),
    _ours("written-before-decoded-when-prefill-dies-in-repaired", WRITTEN, "holds", 488_350, None, ("9.7",), FENCED, prefill_crashes=1),
    _ours("answered-when-prefill-dies-in-repaired", ANSWERED, "holds", 32_706, None, ("9.7", "#7965"), FENCED, prefill_crashes=1, attempts=1),
    _ours("one-answer-when-prefill-dies-in-repaired", ONE, "holds", 394_337, None, ("9.7",), FENCED, prefill_crashes=1),
    _ours("places-returned-when-prefill-dies-in-repaired", RETURNED, "holds", 32_706, None, ("9.7", "#7965"), FENCED, prefill_crashes=1, attempts=1),
    _ours("nobody-stuck-when-prefill-dies-in-repaired", STUCK, "holds", 32_706, None, ("9.7",), FENCED, prefill_crashes=1, attempts=1),
    _ours("some-run-decodes-after-prefill-restart-in-repaired", AFTER, "holds", 33_132, 21, ("9.7",),
          "P comes back, and its next generation asks, is granted under the new key, and commits.", prefill_crashes=1, attempts=1),
    _ours("some-run-decodes-after-decode-restart-in-repaired", AFTER, "holds", 30_125, 19, ("9.3",),
          "D comes back, and reserves and decodes under its new key.", decode_crashes=1, attempts=1),
    _ours("no-foreign-write-when-prefill-is-suspected-in-repaired", FOREIGN, "holds", 68_446, None, ("H-13", "9.7"), WRONG, **SUSPECTED),
    _ours("answered-when-prefill-is-suspected-in-repaired", ANSWERED, "holds", 68_446, None, ("9.7",), WRONG, **SUSPECTED),
    _ours("exchanges-end-when-prefill-is-suspected-in-repaired", ENDS, "holds", 68_446, None, ("9.7",), WRONG, **SUSPECTED),
    _ours("no-foreign-write-when-decode-dies-in-repaired", FOREIGN, "holds", 443_793, None, ("H-13", "9.3"), NEW_KEY, decode_crashes=1),
    _ours("exchanges-end-when-decode-dies-in-repaired", ENDS, "holds", 29_415, None, ("9.3",), NEW_KEY, decode_crashes=1, attempts=1),
    _ours("places-returned-when-decode-dies-in-repaired", RETURNED, "holds", 29_415, None, ("9.3",), NEW_KEY, decode_crashes=1, attempts=1),
    _ours("no-foreign-write-when-rank-dies-in-repaired", FOREIGN, "holds", 480_528, None, ("9.6", "H-13"), DRAINED, ranks=2, rank_crashes=1),
    _ours("written-before-decoded-when-rank-dies-in-repaired", WRITTEN, "holds", 81_192, None, ("9.6",),
          DRAINED, ranks=2, rank_crashes=1, attempts=1),
    _ours("exchanges-end-when-rank-dies-in-repaired", ENDS, "holds", 13_536, None, ("9.6", "H-30"), DRAINED, rank_crashes=1, attempts=1),
    _ours("nobody-stuck-when-rank-dies-in-repaired", STUCK, "holds", 36_366, None, ("9.6", "H-30"), DRAINED, ranks=2, rank_crashes=1, attempts=1),
    _ours("answered-after-write-error-in-repaired", ANSWERED, "holds", 115_185, None, ("9.5",), ERROR, write_errors=1),
    _ours("prefill-places-kept-after-write-error-in-repaired", PREFILL, "holds", 115_185, None, ("9.5",), ERROR, write_errors=1),
    _ours("no-foreign-write-when-all-die-in-repaired", FOREIGN, "holds", 22_705_755, None, ("H-13", "9.3", "9.6", "9.7"),
          "P, D and a rank die once each, P is suspected once, and a message is lost: no write ever meets a place that is not its own.",
          losses=1, suspicions=1, **CRASHES),
    _ours("places-returned-when-all-die-in-repaired", RETURNED, "holds", 10_788_278, None, ("9.3", "9.6", "9.7"),
          "P, D and a rank die once each, and a message is lost: no place is lost, if D lives in the end.", losses=1, **CRASHES),
    _ours("answered-when-all-die-in-repaired", ANSWERED, "holds", 10_788_278, None, ("9.3", "9.6", "9.7"),
          "P, D and a rank die once each, and a message is lost: the client is answered, or its connection to D breaks.", losses=1, **CRASHES),
]

TWO_REQUESTS = [
    _ours("two-requests-nobody-stuck-in-repaired", STUCK, "holds", 329_004, None, ("H-07",), SHARED, **ALONE),
    _ours("two-requests-answered-in-repaired", ANSWERED, "holds", 329_004, None, ("H-07",), SHARED, **ALONE),
    _ours("two-requests-decode-places-kept-in-repaired", PLACES, "holds", 329_004, None, ("H-07", "H-12"), SHARED, **ALONE),
    _ours("two-requests-prefill-places-kept-in-repaired", PREFILL, "holds", 329_004, None, ("H-07",), SHARED, **ALONE),
    _ours("two-requests-some-run-decodes-in-repaired", ALL, "holds", 392_768, 33, ("H-07",), "Both are decoded in some run.", **ALONE),
    _ours("two-requests-no-foreign-write-when-prefill-dies-in-repaired", FOREIGN, "holds", 2_907_070, None, ("H-13", "9.7"),
          FENCED + " The place may be another request's by then.", prefill_crashes=1, **ALONE),
    _ours("two-requests-answered-when-prefill-dies-in-repaired", ANSWERED, "holds", 2_907_070, None, ("H-07", "9.7"),
          FENCED, prefill_crashes=1, **ALONE),
    _ours("two-requests-no-foreign-write-when-decode-dies-in-repaired", FOREIGN, "holds", 3_085_075, None, ("H-13", "9.3"),
          NEW_KEY, decode_crashes=1, **ALONE),
    _ours("two-requests-no-foreign-write-in-repaired", FOREIGN, "holds", 3_911_711, None, ("H-13",),
          KEPT + " With second attempts.", requests=2, in_flight=1),
]

PARTS = [
    _lease("place-lost-without-idempotence", PLACES, "violated", 190_484, 9, ("H-12",),
           "Without idempotence: a repeated ask reserves another place, and the first is lost.", "reserves-again", decode_places=2),
    _lease("empty-place-decoded-without-idempotence", WRITTEN, "violated", 339_267, 19, ("H-12",),
           "Without idempotence: P writes into the first place, D decodes from the second.", "reserves-again", decode_places=2),
    _lease("foreign-write-without-numbers", FOREIGN, "violated", 110_825, 17, ("H-20",),
           "Without numbers: P takes the late grant of the attempt that it withdrew, and writes into a place that D has freed.", "unnumbered"),
    _lease("place-kept-without-supersession", RETURNED, "violated", 60_320, 19, ("H-20", "H-12"),
           "Without supersession: an ask that was overtaken by the end of its own attempt reserves a place that nobody closes.", "unsuperseded"),
    _lease("exchange-kept-without-supersession", ENDS, "violated", 60_320, 19, ("H-20", "H-12"),
           "As above; and P, which speaks of a later attempt, is never answered.", "unsuperseded"),
    _lease("foreign-write-without-draining", FOREIGN, "violated", 273_422, 15, ("H-13",),
           "Without draining: P closes the attempt while a rank still writes, and D frees the place.", "undrained"),
    _lease("foreign-write-without-waiting-for-drained", FOREIGN, "violated", 78_911, 12, ("H-13", "#7965"),
           "Without waiting for P's word: " + FREED, "reclaims-at-once"),
    _lease("foreign-write-without-fence", FOREIGN, "violated", 357_034, 15, ("H-13", "9.7"),
           "Without a new key: P dies, D frees its places, and the ranks that P left behind write on.", "unfenced", prefill_crashes=1),
    _lease("foreign-write-without-withholding", FOREIGN, "violated", 103_960, 14, ("H-13", "9.7"),
           "Without withholding: D reserves, takes P for dead and takes a new key, and then sends the grant, with the new key, to a P that lives. "
           "The place is given back while P writes.", "grants-fenced", **SUSPECTED),
    _lease("foreign-write-without-new-key-at-start", FOREIGN, "violated", 314_648, 14, ("H-13", "9.3"),
           "Without a new key at its start: D dies and comes back, and a rank of P writes into the memory of D's new life.", "keeps-key",
           decode_crashes=1),
    _lease("stuck-without-repetition", STUCK, "violated", 1515, 6, ("H-21", "9.3"),
           "Without repetition: the ask is lost, and both sides wait.", "unresent", losses=1),
    _lease("client-waits-without-repetition", ANSWERED, "violated", 1515, 6, ("H-21", "9.3"),
           "Without repetition: the ask is lost, and both sides wait.", "unresent", losses=1),
    _lease("token-lost-without-confirmation", TOKENS, "violated", 25_050, 16, ("H-21", "9.3"),
           "Without confirmation: the first token is said once and lost; P has forgotten it.", "unacknowledged", losses=1),
    _lease("client-waits-without-deadlines", ANSWERED, "violated", 78_436, 4, ("9.7", "H-38"),
           "Without deadlines: P dies with the request before it has asked, and D waits for an ask that never comes.", "patient", prefill_crashes=1),
    _lease("exchange-kept-without-covering-dead-ranks", ENDS, "violated", 178_428, 14, ("9.6", "H-30"),
           "Without covering dead ranks: a rank dies for good, and P waits for it to stop.", "awaits-dead-ranks", rank_crashes=1),
    _lease("two-answers-without-answering-once", ONE, "violated", 77_051, 11, ("H-27",),
           "Without noting that the client has its answer, D answers again when P closes the attempt.", "answers-twice"),
    _lease("prefill-place-lost-without-giving-back", PREFILL, "violated", 81_912, 12, ("H-09",),
           "Without giving back at one place: only a commit returns P's place, and a stopped request keeps it.", "keeps-failed"),
]

MIXED = "Two threads send on one socket without a lock: the head of one message is followed by the head of the other."
CUT = "A thread closes the connection after an error of its own, between another's look-up and its last frame: that message is lost."
ONE_BY_ONE = "A lock per address is held from the look-up to the last frame, and by who closes the connection."
SOCKET = [
    _socket("frames-mixed-in-shared", "frames_interleaved", "violated", 76, 6, ("H-21", "#7771"), MIXED, "shared", locked=False),
    _socket("message-cut-off-in-shared", "message_cut_off", "violated", 361, 3, ("H-21", "#7771"), CUT, "shared", locked=False, closes=1),
    _socket("frames-in-order-in-locked", "frames_interleaved", "holds", 111, None, ("H-21", "#7771"), ONE_BY_ONE, "locked", closes=1),
    _socket("message-whole-in-locked", "message_cut_off", "holds", 111, None, ("H-21", "#7771"), ONE_BY_ONE, "locked", closes=1),
    _socket("some-all-delivered-in-locked", "some_all_delivered", "holds", 111, 10, ("H-21",),
            "All messages arrive in some run.", "locked", closes=1),
    _socket("some-all-delivered-in-shared", "some_all_delivered", "holds", 82, 10, ("H-21",),
            "With luck they arrive without a lock, too.", "shared", locked=False),
]
# fmt: on

SCENARIOS = [*QUIET, *LOSSES, *RESTARTS, *TWO_REQUESTS, *PARTS, *SOCKET]

HAZARDS = [
    Hazard(
        "H-13",
        "P writes into blocks that D has freed",
        ("#7965",),
        FREED + " If the blocks are another request's by then, its KV is overwritten.",
        "any version in which D frees by itself; inferred from code",
        "Confirmed for an abort at D, for D.MON with and without its second look, and for a D that restarts at the same address: P's messager "
        "connects again and writes an old task into the new D's memory. It takes both of ours to be rid of it: D waits until P has closed the "
        "attempt, and where P is dead, a new key refuses the ranks that it left behind. A key alone is not enough: where D is wrong about "
        "P's death, a grant that was still owed would carry the new key to it (`network-foreign-write-without-withholding`).",
        told_by="decode-other-request-overwritten-in-rechecked",
    ),
    Hazard(
        "H-20",
        "a late answer brings a deleted request back",
        ("#7965",),
        LATE + " A later ask for the same id meets the stale half.",
        "all versions; read in code",
        "Confirmed. (1) The continuous retry alone is enough for P's half to meet the half of another reservation. (2) An answer that comes between "
        "P's look at the key and its deletion is thrown away. (3) D.MON returns the place, never the key or the half. (4) Our first draft "
        "had the same fault: D noted closed attempts only for clients that it knew, so an ask overtaken by its own end, before the "
        "client's post, reserved a place for ever. That later attempts supersede earlier ones mends it.",
    ),
    Hazard(
        "H-21",
        "messages are torn, cut off, out of order, or lost",
        ("#7771",),
        "(a) Frames of two messages follow one another on a shared socket. (b) A connection is closed while another thread sends on it. (c) Four "
        "threads handle what arrives, in any order. (d) What is lost is not said again.",
        "before #7771 for (a), (b); all versions for (c), (d)",
        "Confirmed. A lock per address mends (a) and (b) only if the look-up of the connection is under it, too. (c) is in every scenario of "
        "`decode` and `network`, whose channels keep no order; it does harm by a late ask or answer (H-12, H-20). (d) stops a request with "
        "either of its three messages; repetition and confirmation mend it, without any time-out.",
    ),
]
