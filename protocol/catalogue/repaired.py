"""Scenarios of the group "repaired": the protocol whole, and what each of its rules is for.

The first part asks the whole protocol everything, with each kind of fault, at bounds that are explored in a second and, marked
deep, at the largest that fit. The second part leaves one rule out at a time: its hazard comes back. In `RULES` each rule says what
the versions of the real system do instead; [the page](repaired.md) is made from it.

| bounds | what they add |
|---|---|
| tp2 | two ranks |
| two, threads | two requests on one slot; on two slots, prepared by two threads |
| faults | two chunks of two layers; the client gives up, P gives up waiting, a rank's link breaks |
| lossy | messages are lost, delayed, repeated, in any order |
| turns | the request's number is used again, for a second request, after aborts and given-up waits |
| turns-repeated | a number used again, with given-up waits and messages said twice |
| refused | a D without room: the request is refused and asked for again, and messages are lost |
| crash-of-decode | D crashes once and may come back; messages are lost |
| crash-of-prefill, crash-of-rank | P dies; one worker of P dies, and P with it |
| full | D number 0 takes no request; the other one does |
| pair, aborts, pair-aborts, pair-losses, pair-chunks | deep: two requests on two ranks, and their faults |
| turns-lossy | deep: a number used again while messages of the first request are under way, lost and repeated |
| largest | deep: as everything, with two chunks of two layers; 10 GB and five and a half minutes of one core |
| everything, everything-and-crash | deep: one request on two ranks, and all faults; and a crash of D |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..machines.repaired.protocol import build
from . import Scenario
from .hazard import Hazard

PULLS = ("#6680", "#7724", "#7944")

BOUNDS: dict[str, dict[str, Any]] = {
    "tp2": {"ranks": 2},
    "two": {"requests": 2},
    "threads": {"requests": 2, "threads": 2, "slots": 2, "room": 2},
    "faults": {"chunks": 2, "layers": 2, "aborts": True, "deadlines": True, "errors": True},
    "lossy": {"repeats": True, "losses": True},
    "turns": {"turns": 2, "aborts": True, "deadlines": True},
    "turns-repeated": {"turns": 2, "deadlines": True, "repeats": True},
    "refused": {"full": True, "repeats": True, "losses": True},
    "crash-of-decode": {"crash": "decode", "repeats": True, "losses": True},
    "crash-of-prefill": {"crash": "prefill", "aborts": True},
    "crash-of-rank": {"ranks": 2, "crash": "rank"},
    "full": {"requests": 2, "decodes": 2, "full": True},
    "pair": {"requests": 2, "ranks": 2},
    "aborts": {"requests": 2, "aborts": True},
    "pair-aborts": {"requests": 2, "ranks": 2, "aborts": True},
    "pair-losses": {"requests": 2, "repeats": True, "losses": True},
    "pair-chunks": {"requests": 2, "ranks": 2, "chunks": 2, "layers": 2},
    "turns-lossy": {"turns": 2, "repeats": True, "losses": True},
    "everything": {"ranks": 2, "aborts": True, "deadlines": True, "errors": True, "repeats": True, "losses": True},
    "everything-and-crash": {
        "ranks": 2,
        "aborts": True,
        "deadlines": True,
        "errors": True,
        "repeats": True,
        "losses": True,
        "crash": "decode",
    },  # fmt: skip
    "largest": {
        "ranks": 2,
        "chunks": 2,
        "layers": 2,
        "aborts": True,
        "deadlines": True,
        "errors": True,
        "repeats": True,
        "losses": True,
    },  # fmt: skip
    # Small ones, for one rule each.
    "one": {},
    "abort": {"aborts": True},
    "layers": {"layers": 2},
    "errors": {"errors": True, "chunks": 2},
    "repeats": {"repeats": True},
    "two-rooms": {"repeats": True, "room": 2},
    "lives": {"crash": "decode", "repeats": True},
    "two-threads": {"requests": 2, "threads": 2},
}
"""Bounds by name; every one is passed to the builder as it stands."""

ASKED = {
    "committed_unsent": "CH-S1: D starts to decode a request only when every rank has written every layer of every chunk of it.",
    "uncomputed_sent": "CH-S2: no rank sends a layer before its worker has written it.",
    "foreign_written": "CH-S3, CH-S5: no rank writes into memory of D that is not reserved for the request it sends.",
    "slots_owned_once": "CH-S4: a slot of P belongs to one request, exactly from HELD to PREFILLED.",
    "reservations_counted": "CH-S4: what D has given away is what its open requests hold.",
    "freed_block_read": "CH-S5: no rank reads a block that P has freed.",
    "leaks_when_over": "CH-S7: when a request is closed, no table of P's knows it.",
    "some_run_closes_all": "A run that closes every request exists: the questions about the end are not empty.",
    "some_request_decodes": "A run in which D decodes exists: the questions about commits are not empty.",
    "misread_batch": "EW-P1, EW-P4: every rank reads every batch once, in the order of the puts.",
    "same_batch_per_iteration": "EW-P2: in every iteration all ranks work on the same batch.",
    "schedule_during_forward": "EW-P3: P does not schedule while a rank is in its forward, which is what #6680 was for.",
    "some_schedule_after_forward": "The gate opens again after a forward: the question about the gate is not empty.",
    "barrier_slipped": "EW-P5, EW-P6: whenever the ranks meet, they come from the same place of their loops.",
    "freed_block_written": "EW-P7: no worker writes a block that P has freed.",
    "token_miscredited": "EW-P8: a token is credited to the request that produced it.",
    "taken_twice": "EW-P9: no request is fetched twice.",
    "answered_at_most_once": "EW-P10, CH-L2: no client is answered twice.",
    "some_request_is_answered": "A run that answers exists.",
    "gate_opens": "EW-P11: the gate opens again and again.",
    "first_tokens_committed": "CH-L1: a request with a first token is settled between P and D.",
    "requests_answered": "CH-L2, CH-L3, EW-P12: every posted request is answered.",
    "slots_come_back": "EW-P14: a slot that P has given away comes back.",
    "reservations_come_back": "EW-P14: a reservation of D comes back.",
    "requests_decoded": "Every request to which nothing happens is decoded: none is given up, cancelled or answered with an error.",
    "other_decodes_served": "No head-of-line blocking: a request for another D is answered while the one for the full D waits.",
}
"""What each property says, in one sentence."""


@dataclass(frozen=True)
class RuleNote:
    """What a rule of `machines/repaired/plane.py` is for.

    Args:
        says: the rule. instead: what versions of the real system do. hazards: what that does there.
        then: what happens when the repaired protocol leaves the rule out.
    """

    says: str
    instead: str
    hazards: tuple[str, ...]
    then: str


# fmt: off
RULES: dict[str, RuleNote] = {
    "lowers_behind_barrier": RuleNote(
        "Rank 0 alone stores the forward signal: it raises it before it reads a batch and lowers it behind the barrier at the top of the loop.",
        "#6680 (B, B'): every rank raises it and lowers it after its own forward. A, A', R: there is no signal.", ("#6680", "H1", "H6"),
        "The first rank to finish lowers the signal for all, and P schedules while the other is still in its forward."),
    "meets_at_top": RuleNote(
        "All ranks meet at the top of the loop, before rank 0 looks for a batch.",
        "A, B: only some paths of the loop end in a meeting. B' added this one (TPB#0).", ("#6680", "H2"),
        "One rank is an iteration ahead: the ranks work on different batches, read one twice, or meet from different places of the loop."),
    "parks_early_signals": RuleNote(
        "A layer-0 signal of a request that is not registered yet waits for its registration, which queues it; both under one lock.",
        "E0 acknowledges registrations first; E1 (#7724) throws it away while no task is known; E2, E3 (#7872, #8034) park it.",
        ("#7724", "#7872", "H-01"),
        "The signal comes first and is thrown away: no work item is ever queued, and the request is stuck with all it holds."),
    "sends_computed": RuleNote(
        "The sender writes a layer when the rank's own signals say, for this request, that the worker has written it.",
        "E0-E3: the mark belongs to a slot, so a stale mark or signal speaks for the next request.", ("H-05", "H-14", "H-26"),
        "The sender ships a layer that the worker has yet to write."),
    "reports_last": RuleNote(
        "A rank that fails to write keeps that to itself until the request's last item, and until its worker has written the last layer.",
        "All epochs report an error at the end of the pass in which it happened, while chunks are still to come.", ("H-15", "H-16"),
        "P lets go of the request while signals of it are still under way: they are parked for a request that is over."),
    "counts_reports": RuleNote(
        "A request is sent when every rank has reported this very request.",
        "E0-E3: a round of CH4 holds one report per rank and is read as its first, whatever the others are about.", ("#8034", "H-03", "H-04"),
        "The first rank's report speaks for all: D decodes from a cache of which a shard is missing, and P frees what is still being sent."),
    "drains_before_cancel": RuleNote(
        "An abort is a state. P gives nothing back, here or on D, before every rank has reported; a withdrawal goes through the ranks' own signals.",
        "B: put past the scheduler, and freed when its stop is reported. A', R: schedule() frees it, but never on P. Messagers are not told.",
        ("#7791", "H9", "H-13", "H-22", "H-05"),
        "Slot and reservation go to others while the worker and the messagers still write for the aborted request."),
    "keeps_until_sent": RuleNote(
        "P keeps slot and blocks until every rank has reported, although the first token is long known; the token processor waits for nobody.",
        "All epochs: the token processor itself waits for the report, and everything behind it waits too.", ("H-30", "H-42"),
        "The slot is freed at the first token, and the messagers read blocks of another request."),
    "takes_once": RuleNote(
        "The intake is read and advanced in one critical section; an abort never touches it.",
        "The cursor is moved by a recycle without the mutex, also for requests that were never read; T1 advances it by what it did not take.",
        ("#7791", "H17", "H18", "H-10", "H-11"),
        "Two threads read the same request, and advance past one that nobody has read."),
    "asks_first": RuleNote(
        "D reserves first and P takes its own slot last, each request alone; no thread waits for D.",
        "E0, E1: a thread takes P's slot and blocks, then waits for D, for all requests of its batch.", ("#7724", "H-07", "H16"),
        "Requests that wait for a full D hold P's slots, and requests for other D instances starve."),
    "reserves_once": RuleNote(
        "D answers a repeated ask with the reservation that it has.",
        "All epochs: D reserves again and forgets the first reservation.", ("H-12", "H22"),
        "A repeated ask reserves a second time: nobody ever gives the first reservation back."),
    "remembers_closed": RuleNote(
        "D remembers the requests that it has closed.",
        "All epochs: the entry is deleted, and a late message makes a new one.", ("H-20", "H22"),
        "A delayed ask finds no trace of its request, is granted anew, and the client is answered twice."),
    "sends_again": RuleNote(
        "Ask, commit and cancel are sent again until D says that it has heard.",
        "All epochs: sent once, and a failure is logged and swallowed; only the ask is repeated, in continuous mode.", ("H-21", "H22", "H-38"),
        "A lost message is never made good: the client is never answered, and D keeps the reservation."),
    "fences_lives": RuleNote(
        "D's memory key belongs to one life of D: a write with an older one fails.",
        "One-sided writes need no consent of D's processor, and nothing revokes them.", ("H-13",),
        "After D has restarted, P's messager writes into memory that belongs to others."),
    "dies_whole": RuleNote(
        "When a rank of P dies, the supervisor ends all of P, and D answers its requests.",
        "All epochs: the other ranks wait at a barrier; in B and B' the signal stays up for ever.", ("#6680", "H6", "H-34"),
        "The remaining ranks wait for the dead one; the gate never opens again, and nobody is answered."),
    "names_turns": RuleNote(
        "Every message names its request and the turn of that number; one of another turn is only owed a reply.",
        "All epochs: an id that the client chose, or that is retried, means whatever the receiver holds under it.", ("H-20", "H-42", "H22"),
        "A message that was delayed from the last request speaks for the next one: its reservation is given away under its writes."),
    "names_outputs": RuleNote(
        "What a decode step puts out names its request and turn.",
        "All epochs: outputs are indexed by slot, and the slot may have a new owner.", ("H10",),
        "The token of an aborted request is credited to the one that has taken its place."),
}
# fmt: on


def _kept(bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The whole protocol, at these bounds."""
    name = f"repaired-{bounds}-{asked.replace('_', '-')}"
    hazards = {h for note in RULES.values() for h in note.hazards if not h.startswith("#")} if asked == "requests_answered" else ()
    sources = (*PULLS, *sorted(hazards))
    return Scenario(name, "repaired", build, asked, "holds", sources, "repaired", ASKED[asked], BOUNDS[bounds], distinct, path, deep)


def _left_out(rule: str, bounds: str, asked: str, distinct: int, path: int | None) -> Scenario:
    """The protocol without one rule: the hazard is back."""
    name = f"repaired-without-{rule.replace('_', '-')}-{asked.replace('_', '-')}"
    note, config = RULES[rule], {**BOUNDS[bounds], "without": rule}
    about = f"Left out: {note.says} {note.then}"
    return Scenario(name, "repaired", build, asked, "violated", note.hazards, "repaired", about, config, distinct, path)


WHOLE = [
    _kept("tp2", "committed_unsent", 70_410, None),
    _kept("tp2", "uncomputed_sent", 70_410, None),
    _kept("tp2", "foreign_written", 70_410, None),
    _kept("tp2", "slots_owned_once", 70_410, None),
    _kept("tp2", "reservations_counted", 70_410, None),
    _kept("tp2", "freed_block_read", 70_410, None),
    _kept("tp2", "leaks_when_over", 70_410, None),
    _kept("tp2", "misread_batch", 70_410, None),
    _kept("tp2", "same_batch_per_iteration", 289_317, None),
    _kept("tp2", "schedule_during_forward", 70_410, None),
    _kept("tp2", "barrier_slipped", 70_410, None),
    _kept("tp2", "freed_block_written", 70_410, None),
    _kept("tp2", "taken_twice", 70_410, None),
    _kept("tp2", "answered_at_most_once", 70_410, None),
    _kept("tp2", "some_request_decodes", 70_410, 55),
    _kept("tp2", "some_run_closes_all", 70_410, 57),
    _kept("tp2", "some_schedule_after_forward", 70_410, 40),
    _kept("tp2", "some_request_is_answered", 70_410, 58),
    _kept("tp2", "gate_opens", 70_410, None),
    _kept("tp2", "first_tokens_committed", 70_410, None),
    _kept("tp2", "requests_answered", 70_410, None),
    _kept("tp2", "slots_come_back", 70_410, None),
    _kept("tp2", "reservations_come_back", 70_410, None),
    _kept("tp2", "requests_decoded", 70_410, None),
    _kept("faults", "committed_unsent", 87_154, None),
    _kept("faults", "uncomputed_sent", 76_346, None),
    _kept("faults", "foreign_written", 73_944, None),
    _kept("faults", "slots_owned_once", 73_944, None),
    _kept("faults", "reservations_counted", 73_944, None),
    _kept("faults", "freed_block_read", 73_944, None),
    _kept("faults", "freed_block_written", 73_944, None),
    _kept("faults", "leaks_when_over", 73_944, None),
    _kept("faults", "answered_at_most_once", 73_944, None),
    _kept("faults", "first_tokens_committed", 75_058, None),
    _kept("faults", "requests_answered", 73_944, None),
    _kept("faults", "slots_come_back", 73_944, None),
    _kept("faults", "reservations_come_back", 73_944, None),
    _kept("lossy", "committed_unsent", 19_409, None),
    _kept("lossy", "foreign_written", 19_409, None),
    _kept("lossy", "leaks_when_over", 19_409, None),
    _kept("lossy", "answered_at_most_once", 19_409, None),
    _kept("lossy", "first_tokens_committed", 19_409, None),
    _kept("lossy", "requests_answered", 19_409, None),
    _kept("lossy", "slots_come_back", 19_409, None),
    _kept("lossy", "reservations_come_back", 19_409, None),
    _kept("lossy", "requests_decoded", 19_409, None),
    _kept("crash-of-decode", "committed_unsent", 109_840, None),
    _kept("crash-of-decode", "foreign_written", 108_072, None),
    _kept("crash-of-decode", "answered_at_most_once", 110_704, None),
    _kept("crash-of-decode", "requests_answered", 108_072, None),
    _kept("crash-of-decode", "slots_come_back", 108_072, None),
    _kept("crash-of-prefill", "foreign_written", 11_287, None),
    _kept("crash-of-prefill", "answered_at_most_once", 11_287, None),
    _kept("crash-of-prefill", "requests_answered", 11_287, None),
    _kept("crash-of-prefill", "reservations_come_back", 11_287, None),
    _kept("crash-of-rank", "gate_opens", 80_420, None),
    _kept("crash-of-rank", "requests_answered", 80_420, None),
    _kept("two", "committed_unsent", 68_724, None),
    _kept("two", "token_miscredited", 68_724, None),
    _kept("two", "slots_owned_once", 68_724, None),
    _kept("two", "requests_answered", 68_724, None),
    _kept("threads", "committed_unsent", 290_304, None),
    _kept("threads", "foreign_written", 290_304, None),
    _kept("threads", "freed_block_read", 290_304, None),
    _kept("threads", "taken_twice", 290_304, None),
    _kept("threads", "slots_owned_once", 290_304, None),
    _kept("threads", "reservations_counted", 290_304, None),
    _kept("threads", "requests_answered", 290_304, None),
    _kept("threads", "requests_decoded", 290_304, None),
    _kept("full", "other_decodes_served", 18_153, None),
    _kept("turns", "committed_unsent", 75_265, None),
    _kept("turns", "foreign_written", 71_613, None),
    _kept("turns", "freed_block_written", 71_613, None),
    _kept("turns", "leaks_when_over", 71_613, None),
    _kept("turns", "token_miscredited", 75_265, None),
    _kept("turns", "taken_twice", 71_613, None),
    _kept("turns", "answered_at_most_once", 71_613, None),
    _kept("turns", "first_tokens_committed", 75_265, None),
    _kept("turns", "requests_answered", 71_613, None),
    _kept("turns", "slots_come_back", 71_613, None),
    _kept("turns", "reservations_come_back", 71_613, None),
    _kept("refused", "answered_at_most_once", 360, None),
    _kept("refused", "reservations_counted", 360, None),
    _kept("turns-repeated", "answered_at_most_once", 972_447, None),
    _kept("aborts", "token_miscredited", 2_794_318, None, deep=True),
    _kept("aborts", "requests_answered", 2_436_906, None, deep=True),
    _kept("pair", "committed_unsent", 2_526_174, None, deep=True),
    _kept("pair", "foreign_written", 2_526_174, None, deep=True),
    _kept("pair", "requests_answered", 2_526_174, None, deep=True),
    _kept("pair", "schedule_during_forward", 2_526_174, None, deep=True),
    _kept("pair", "same_batch_per_iteration", 11_047_749, None, deep=True),
    _kept("everything", "committed_unsent", 11_451_567, None, deep=True),
    _kept("everything", "foreign_written", 10_981_481, None, deep=True),
    _kept("everything", "freed_block_written", 10_981_481, None, deep=True),
    _kept("everything", "leaks_when_over", 10_981_481, None, deep=True),
    _kept("everything", "answered_at_most_once", 10_981_481, None, deep=True),
    _kept("everything", "requests_answered", 10_981_481, None, deep=True),
    _kept("pair-losses", "answered_at_most_once", 14_779_850, None, deep=True),
    _kept("pair-losses", "reservations_counted", 14_779_850, None, deep=True),
    _kept("pair-chunks", "committed_unsent", 45_258_102, None, deep=True),
    _kept("pair-chunks", "freed_block_written", 45_258_102, None, deep=True),
    _kept("pair-aborts", "committed_unsent", 99_495_152, None, deep=True),
    _kept("pair-aborts", "foreign_written", 90_022_551, None, deep=True),
    _kept("everything-and-crash", "foreign_written", 64_758_034, None, deep=True),
    _kept("everything-and-crash", "committed_unsent", 66_797_200, None, deep=True),
    _kept("turns-lossy", "committed_unsent", 626_785, None),
    _kept("turns-lossy", "foreign_written", 626_785, None),
    _kept("turns-lossy", "requests_answered", 626_785, None),
    _kept("largest", "foreign_written", 229_973_303, None, deep=True),
]

LEFT_OUT = [
    _left_out("lowers_behind_barrier", "tp2", "schedule_during_forward", 84_354, 38),
    _left_out("meets_at_top", "tp2", "same_batch_per_iteration", 829_709, 28),
    _left_out("meets_at_top", "tp2", "misread_batch", 200_163, 42),
    _left_out("meets_at_top", "tp2", "barrier_slipped", 245_925, 31),
    _left_out("counts_reports", "tp2", "committed_unsent", 146_421, 47),
    _left_out("counts_reports", "tp2", "foreign_written", 141_255, 55),
    _left_out("counts_reports", "tp2", "freed_block_read", 147_282, 52),
    _left_out("parks_early_signals", "one", "requests_answered", 2_113, 45),
    _left_out("parks_early_signals", "one", "first_tokens_committed", 2_113, 45),
    _left_out("parks_early_signals", "one", "requests_decoded", 2_113, 45),
    _left_out("keeps_until_sent", "one", "freed_block_read", 2_585, 34),
    _left_out("keeps_until_sent", "one", "slots_owned_once", 2_025, 28),
    _left_out("sends_computed", "layers", "uncomputed_sent", 8_507, 31),
    _left_out("sends_computed", "layers", "committed_unsent", 8_507, 43),
    _left_out("reports_last", "errors", "leaks_when_over", 11_502, 59),
    _left_out("drains_before_cancel", "abort", "foreign_written", 34_820, 32),
    _left_out("drains_before_cancel", "abort", "freed_block_read", 35_524, 31),
    _left_out("drains_before_cancel", "abort", "freed_block_written", 50_484, 25),
    _left_out("drains_before_cancel", "abort", "leaks_when_over", 29_540, 17),
    _left_out("takes_once", "two-threads", "taken_twice", 694_116, 5),
    _left_out("takes_once", "two-threads", "requests_answered", 610_920, 65),
    _left_out("asks_first", "full", "other_decodes_served", 12_205, 21),
    _left_out("reserves_once", "two-rooms", "reservations_counted", 27_699, 10),
    _left_out("remembers_closed", "repeats", "answered_at_most_once", 51_379, 48),
    _left_out("remembers_closed", "repeats", "reservations_come_back", 36_819, 62),
    _left_out("sends_again", "lossy", "requests_answered", 2_229, 15),
    _left_out("sends_again", "lossy", "reservations_come_back", 2_229, 17),
    _left_out("fences_lives", "lives", "foreign_written", 102_892, 31),
    _left_out("dies_whole", "crash-of-rank", "gate_opens", 146_709, 21),
    _left_out("dies_whole", "crash-of-rank", "requests_answered", 146_709, 21),
    _left_out("dies_whole", "crash-of-rank", "slots_come_back", 146_709, 21),
    _left_out("names_turns", "turns", "foreign_written", 120_300, 41),
    _left_out("names_turns", "turns", "requests_answered", 112_220, 21),
    _left_out("names_outputs", "aborts", "token_miscredited", 2_802_634, 82),
]

SCENARIOS = [*WHOLE, *LEFT_OUT]

HAZARDS: list[Hazard] = []
