"""Scenarios of the group "repaired": the protocol whole, and what each of its rules is for.

The first part asks the whole protocol everything, with each kind of fault, at bounds that are explored in a second and, marked
deep, at the largest that fit. The second part leaves one rule out at a time: its hazard comes back. In `RULES` each rule says what
the versions of the real system do instead; [the page](repaired.md) is made from it.

| bounds | what they add |
|---|---|
| one, tp2 | one request on one rank, on two |
| two, threads | two requests on one slot and two rooms; on two slots, prepared by two threads |
| faults | prompts of up to two chunks, two layers; the client gives up, P gives up waiting, writes fail |
| lossy | messages are lost, delayed, repeated, in any order |
| suspected | D takes a living P for dead, and the client gives up |
| turns, turns-suspected | the request's number is used again, for a second request, after aborts and given-up waits, or after suspicions |
| refused, refused-at-last | a D without room: the request is refused and asked for again; P gives up in the end |
| crash-of-decode, crash-and-abort | D crashes once and is started again; messages are lost; the client gives up |
| crash-of-prefill | P dies, and may start again; prompts of up to two chunks |
| crash-of-rank | P's engine process, a worker or a messager dies, and P with it |
| drafts | D's steps may accept more than one token of a request; its number is used again, and the client gives up |
| crash-of-any | P and D die, one of them or both |
| full | D number 0 takes no request; the other one does |
| launched, launched-tp2 | the ranks launch their forwards and go on: on one rank, on two |
| launched-faults, launched-turns | the same, with prompts of two chunks, aborts and failed writes; with a number used again |
| launched-layers | the same, with two layers |
| launched-crash, launched-control | the same, with a process of P that dies; with an operator |
| launched-tp2-faults | deep: the same on two ranks, with prompts of two chunks and aborts |
| control, control-tp2, control-two | an operator pauses, resumes and gives all ranks new weights: on one rank, on two; two requests |
| control-turns, control-crash | the same, with a number used again and clients that give up; with a D that crashes |
| control-crash-of-any | deep: the same, with a P or a D that crashes |
| prefill-turns | P dies, and may start again, and the number is used again |
| prefills-refused | two P share a D that takes no request; each gives up in the end |
| prefills, prefills-full | deep: two P share a D; two D, one of which takes no request |
| prefills-errors, prefills-aborts | deep: two P share a D, and writes fail; or clients give up |
| prefills-crash, prefills-rank | deep: one of two P dies, and may start again; or one of its processes alone |
| prefills-crashes, prefills-control | deep: each of two P may die; an operator pauses both and gives them new weights |
| turns-faults, turns-repeated, turns-lossy, turns-crash | deep: a number used again: failed writes, repeated or lost messages, a crash of D |
| copies | deep: two equal messages under way at once |
| ranks-layers | deep: two ranks, two layers, two chunks, and clients that give up |
| pair, aborts, pair-aborts, two-lossy | deep: two requests on two ranks, and their faults |
| everything, everything-and-crash | deep: one request on two ranks, and all faults; and a crash of D |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..machines.repaired.protocol import build
from . import Scenario
from .hazard import Hazard

PULLS = ("#6680", "#7724", "#7944")

ALL_FAULTS = {"aborts": True, "deadlines": True, "errors": True, "suspicions": True, "repeats": True, "losses": True}

BOUNDS: dict[str, dict[str, Any]] = {
    "one": {},
    "tp2": {"ranks": 2},
    "two": {"requests": 2, "room": 2},
    "threads": {"requests": 2, "threads": 2, "slots": 2, "room": 2},
    "faults": {"chunks": 2, "layers": 2, "aborts": True, "deadlines": True, "errors": True},
    "lossy": {"repeats": True, "losses": True},
    "suspected": {"suspicions": True, "aborts": True},
    "turns": {"turns": 2, "aborts": True, "deadlines": True},
    "turns-suspected": {"turns": 2, "suspicions": True},
    "refused": {"full": True, "turns": 2, "aborts": True, "repeats": True, "losses": True},
    "refused-at-last": {"full": True, "deadlines": True},
    "crash-of-decode": {"crash": "decode", "repeats": True, "losses": True},
    "crash-and-abort": {"crash": "decode", "repeats": True, "aborts": True},
    "crash-of-prefill": {"crash": "prefill", "turns": 2, "chunks": 2},
    "crash-of-rank": {"ranks": 2, "crash": "rank"},
    "crash-of-any": {"crash": "any", "repeats": True},
    "drafts": {"drafts": True, "turns": 2, "aborts": True},
    "full": {"requests": 2, "decodes": 2, "full": True},
    "control": {"control": True},
    "control-tp2": {"control": True, "ranks": 2},
    "control-two": {"control": True, "requests": 2, "room": 2},
    "control-turns": {"control": True, "turns": 2, "aborts": True},
    "control-crash": {"control": True, "crash": "decode", "repeats": True},
    "control-crash-of-any": {"control": True, "crash": "any", "repeats": True},
    "turns-faults": {"turns": 2, "chunks": 2, "aborts": True, "errors": True, "suspicions": True},
    "turns-repeated": {"turns": 2, "aborts": True, "deadlines": True, "repeats": True},
    "turns-lossy": {"turns": 2, "repeats": True, "losses": True},
    "turns-crash": {"turns": 2, "crash": "decode", "repeats": True},
    "copies": {"copies": 2, "aborts": True, "repeats": True, "losses": True},
    "ranks-layers": {"ranks": 2, "chunks": 2, "layers": 2, "aborts": True},
    "pair": {"requests": 2, "ranks": 2},
    "launched": {"asynchronous": True},
    "launched-tp2": {"asynchronous": True, "ranks": 2},
    "launched-faults": {"asynchronous": True, "chunks": 2, "aborts": True, "errors": True},
    "launched-turns": {"asynchronous": True, "turns": 2, "aborts": True, "errors": True},
    "launched-layers": {"asynchronous": True, "layers": 2},
    "launched-crash": {"asynchronous": True, "crash": "rank"},
    "launched-control": {"asynchronous": True, "control": True},
    "launched-tp2-faults": {"asynchronous": True, "ranks": 2, "chunks": 2, "aborts": True},
    "aborts": {"requests": 2, "room": 2, "aborts": True},
    "pair-aborts": {"requests": 2, "ranks": 2, "aborts": True},
    "two-lossy": {"requests": 2, "repeats": True, "losses": True},
    "everything": {"ranks": 2, **ALL_FAULTS},
    "everything-and-crash": {"ranks": 2, **ALL_FAULTS, "crash": "decode"},
    "prefills": {"prefills": 2, "requests": 2},
    "prefills-refused": {"prefills": 2, "requests": 2, "full": True, "deadlines": True},
    "prefills-full": {"prefills": 2, "requests": 3, "decodes": 2, "full": True},
    "prefills-errors": {"prefills": 2, "requests": 2, "errors": True},
    "prefills-aborts": {"prefills": 2, "requests": 2, "aborts": True},
    "prefills-crash": {"prefills": 2, "requests": 2, "crash": "prefill", "mortals": 1},
    "prefills-crashes": {"prefills": 2, "requests": 2, "crash": "prefill"},
    "prefills-rank": {"prefills": 2, "requests": 2, "crash": "rank", "mortals": 1},
    "prefills-control": {"prefills": 2, "requests": 2, "control": True},
    # Small ones, for one rule each.
    "abort": {"aborts": True},
    "layers": {"layers": 2},
    "errors": {"errors": True, "chunks": 2},
    "repeats": {"repeats": True},
    "two-rooms": {"repeats": True, "room": 2},
    "lives": {"crash": "decode", "repeats": True},
    "two-threads": {"requests": 2, "threads": 2},
    "control-rank": {"control": True, "crash": "rank"},
    "turns-aborts": {"turns": 2, "aborts": True},
    "two-turns": {"turns": 2},
    "two-slots": {"requests": 2, "slots": 2, "room": 2},
    "unread": {"requests": 2, "aborts": True, "full": True},
    "prefill-turns": {"crash": "prefill", "turns": 2},
}
"""Bounds by name; every one is passed to the builder as it stands."""

ASKED = {
    "committed_unsent": "CH-S1: D starts to decode a request only when every rank has written every layer of every chunk of it.",
    "uncomputed_sent": "CH-S2: no rank sends a layer before its worker has written it.",
    "foreign_written": "CH-S3, CH-S5: no rank writes into memory of D that is not reserved for the request it sends.",
    "slots_owned_once": "CH-S4: a slot of P belongs to one request, exactly from HELD to PREFILLED.",
    "reservations_counted": "CH-S4: what D has given away is what its open requests hold.",
    "key_without_reservation": "CH-S5: D's network card lets nobody write what is not reserved.",
    "freed_block_read": "CH-S5: no rank reads a block that P has freed.",
    "step_on_freed_reservation": "EW-P7 on D: D's own steps work on reserved blocks.",
    "failed_without_cause": "H-42: P calls a request failed only when one of its writes has failed or D has let its reservation go.",
    "ended_unasked": "H-20: D ends a request for P only when P has given up this very turn of it.",
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
    "token_lost": "EW-P8, H28: the token of a request that goes on is credited, whatever becomes of others in its step.",
    "taken_twice": "EW-P9: no request is fetched twice.",
    "answered_at_most_once": "EW-P10, CH-L2: no client is answered twice.",
    "some_request_is_answered": "A run that answers exists.",
    "gate_opens": "EW-P11: the gate opens again and again.",
    "first_tokens_committed": "CH-L1: a request with a first token is settled between P and D.",
    "requests_answered": "CH-L2, CH-L3, EW-P12: every posted request is answered.",
    "requests_closed": "CH-L3: P is done with every request that it has begun.",
    "threads_come_back": "H16: a prepare thread is soon free again, whatever any D does.",
    "slots_come_back": "EW-P14: a slot that P has given away comes back.",
    "entries_close": "CH-S7, CH-L3: D is done with every request that it has heard of.",
    "reservations_come_back": "EW-P14: a reservation of D comes back.",
    "requests_decoded": "Every request to which nothing happens is decoded: none is given up, cancelled or answered with an error.",
    "some_forward_before_registration": "The purpose of #7724: a forward may be over before a messager has looked for the request.",
    "some_two_are_prefilled_together": "The purpose of #6680 and #7944: what can be prefilled is in one batch.",
    "some_two_are_prepared_at_once": "The purpose of #7724: two threads prepare two requests.",
    "some_two_decode_in_one_step": "D decodes in batches.",
    "some_second_life_of_decode_decodes": "A D that has crashed and started again decodes.",
    "some_second_life_of_prefill_prefills": "A P that has crashed and started again prefills.",
    "weights_mixed": "A request is computed with one version of the weights, on all ranks of P and on D, from its first layer to its last token.",
    "at_work_while_paused": "While the operator is told that all rest, P holds nothing and D steps nothing.",
    "some_pause_during_work": "A pause that has something to wait for exists.",
    "some_decode_with_new_weights": "A request that D decodes with the new weights exists.",
    "pause_ends": "What is under way ends, and the operator hears of it.",
    "update_ends": "Every rank that lives gets the new weights, and the operator hears of it.",
    "others_reservation_written": "No rank of a P writes, for a request that is over on D, while D has lent the room to a request of another P.",
    "living_prefills_serve": "A request whose own P lives is decoded, whoever else dies; whatever P has begun anew decodes as well.",
    "other_decodes_served": "No head-of-line blocking: a request for another D is answered while the one for the full D waits.",
}
"""What each property says, in one sentence."""


@dataclass(frozen=True)
class RuleNote:
    """What a rule of `machines/repaired/bounds.py` is for.

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
    "names_requests": RuleNote(
        "A kv signal names its requests, and so do the messager's tables.",
        "All epochs: a signal names rows of the worker's batch, and the messager takes a row for the engine's slot.", ("H-14",),
        "A request that is alone in its batch lies in the first row, and its signals speak for another: layers are sent that nobody has written."),
    "cleans_first": RuleNote(
        "A rank forgets a request before it reports it.",
        "All epochs: the report is put, and then the tables are cleaned, whoever is in them by then.", ("H-06", "H21"),
        "The number is used again between report and cleaning: the next request's registration is deleted, and it is stuck with all it holds."),
    "leaves_intake": RuleNote(
        "An abort leaves the intake as it is: whoever takes the request from there skips it.",
        "B: an abort takes an unread request out of the scheduler's list and moves the cursor back for it.", ("#6680", "H17", "H-10"),
        "What was read last is in front of the cursor again, and is taken a second time."),
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
        "P's slot goes to others while the worker writes and the messagers read for the aborted request (D's key stops their writes)."),
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
    "reserves_posted": RuleNote(
        "D reserves only for a request that its router has posted, and remembers which it has closed.",
        "All epochs: an entry is made by whichever message comes, and deleted when the request is over: a late one makes a new entry.",
        ("H-20", "H22"),
        "A delayed ask of a closed request is granted anew, and the client is answered twice."),
    "sends_again": RuleNote(
        "Ask, commit and cancel are sent again until D says that it has heard.",
        "All epochs: sent once, and a failure is logged and swallowed; only the ask is repeated, in continuous mode.", ("H-21", "H22", "H-38"),
        "A lost message is never made good: the client is never answered, and D keeps the reservation."),
    "fences_writes": RuleNote(
        "A write names the key of its reservation, and D revokes the key when it gives the reservation up: so D need not know whether P is dead.",
        "One-sided writes need no consent of D's processor, and nothing revokes them.", ("H-13",),
        "D takes P for dead, or has crashed, and gives the room to others; P's messager writes into it."),
    "dies_whole": RuleNote(
        "When a worker or messager of P dies, the supervisor ends all of P; D answers its requests, and a new P begins with nothing.",
        "All epochs: the other ranks wait at a barrier; in B and B' the signal stays up for ever.", ("#6680", "H6", "H-34"),
        "The remaining ranks wait for the dead one; the gate never opens again, and nobody is answered."),
    "names_turns": RuleNote(
        "Every message names its request and the turn of that number; one of another turn is only owed a reply.",
        "All epochs: an id that the client chose, or that is retried, means whatever the receiver holds under it.", ("H-20", "H-42", "H22"),
        "A message that was delayed from the last request speaks for the next one: its reservation is given away under its writes."),
    "names_lives": RuleNote(
        "What the router sends to P names the life of P in which it has posted the request; a P that has started again refuses it.",
        "All epochs: whatever a process finds or is sent after a restart counts, as the kernel's signal queue, which survives it.", ("H-26",),
        "P dies while it is being told and comes back: it takes a request whose prompt it does not have, and D decodes from half a cache."),
    "owns_signals": RuleNote(
        "A queue of layer signals belongs to one rank of one P, and ends with it.",
        "All epochs: the kernel's queue survives its processes; its key named the rank only, until it named the device: two P on one host had one.",
        ("H-26",),
        "A new P finds the signals of its last life and sends layers that nobody has computed; and of two P, one takes the other's signals."),
    "speaks_in_stream": RuleNote(
        "Where ranks only launch their forwards (EW-ASYNC), the device's stream says that one is over and who is withdrawn, behind its kernels.",
        "#6680 (B, B'): the host lowers the signal when its loop goes on; #7250 proposes that it does so right after the launch.",
        ("#6680", "#7250", "H1"),
        "P schedules while kernels are in the queue, and a withdrawal overtakes the signals of its request: kernels write blocks that are free."),
    "ends_steps": RuleNote(
        "D frees a reservation at one place, and only when no decode step of its own works on it.",
        "All epochs: an abort recycles slot and blocks while a step runs; its outputs are indexed by slot, which may have a new owner.",
        ("H10", "H-12"),
        "A step goes on in blocks that are free again, and its token is credited to the request that has taken their place."),
    "credits_singly": RuleNote(
        "D credits the tokens of a step one by one; a request that has ended meanwhile loses its own token, and no other does.",
        "All epochs: one handler around a whole step: an exception at a request that has gone drops the outputs of all slots.", ("H28", "H23"),
        "A client gives up, and the other requests of the step lose a token of their answers."),
    "drains_before_pause": RuleNote(
        "The operator hears that all rest when no D has an entry that is not over, and then P has nothing either; nobody is preempted.",
        "Old pause: preempts, clears and resets under those who work on it; #7791: waits for the requests. Weights: no pause at all.",
        ("#7791", "H-23", "H3", "H4"),
        "The weights change between a request's prefill and its decoding: its tokens are of neither version."),
    "holds_posts": RuleNote(
        "A pause holds new requests back in the router, where they hold nothing and nobody has heard of them.",
        "All epochs: refused with an error, or fetched by a thread that had looked at the pause before.", ("H9", "H-23"),
        "A request that is posted after D was found idle is computed by P with the old weights, and by D with the new."),
}
# fmt: on


def _kept(bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The whole protocol, at these bounds."""
    name = f"repaired-{bounds}-{asked.replace('_', '-')}"
    hazards = {h for note in RULES.values() for h in note.hazards if not h.startswith("#")} if asked == "requests_answered" else ()
    sources = (*PULLS, *sorted(hazards))
    return Scenario(name, "repaired", build, asked, "holds", sources, "repaired", ASKED[asked], BOUNDS[bounds], distinct, path, deep)


def _left_out(rule: str, bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The protocol without one rule: the hazard is back."""
    name = f"repaired-{bounds}-without-{rule.replace('_', '-')}-{asked.replace('_', '-')}"
    note, config = RULES[rule], {**BOUNDS[bounds], "without": rule}
    about = f"Left out: {note.says} {note.then}"
    return Scenario(name, "repaired", build, asked, "violated", note.hazards, "repaired", about, config, distinct, path, deep)


WHOLE = [
    _kept("one", "some_request_decodes", 2_221, 42),
    _kept("one", "some_run_closes_all", 2_221, 44),
    _kept("one", "some_request_is_answered", 2_221, 46),
    _kept("one", "some_forward_before_registration", 2_221, 25),
    _kept("one", "requests_decoded", 2_221, None),
    _kept("one", "requests_closed", 2_221, None),
    _kept("tp2", "committed_unsent", 81_636, None),
    _kept("tp2", "uncomputed_sent", 81_636, None),
    _kept("tp2", "freed_block_read", 81_636, None),
    _kept("tp2", "freed_block_written", 81_636, None),
    _kept("tp2", "leaks_when_over", 81_636, None),
    _kept("tp2", "misread_batch", 81_636, None),
    _kept("tp2", "same_batch_per_iteration", 335_157, None),
    _kept("tp2", "schedule_during_forward", 81_636, None),
    _kept("tp2", "some_schedule_after_forward", 81_636, 2),
    _kept("tp2", "barrier_slipped", 81_636, None),
    _kept("tp2", "gate_opens", 81_636, None),
    _kept("tp2", "requests_answered", 81_636, None),
    _kept("tp2", "requests_decoded", 81_636, None),
    _kept("two", "token_miscredited", 113_156, None),
    _kept("two", "token_lost", 113_156, None),
    _kept("two", "slots_owned_once", 113_156, None),
    _kept("two", "reservations_counted", 113_156, None),
    _kept("two", "step_on_freed_reservation", 113_156, None),
    _kept("two", "taken_twice", 113_156, None),
    _kept("two", "requests_answered", 113_156, None),
    _kept("two", "requests_decoded", 113_156, None),
    _kept("two", "some_two_decode_in_one_step", 113_156, 85),
    _kept("faults", "committed_unsent", 89_284, None),
    _kept("faults", "uncomputed_sent", 75_190, None),
    _kept("faults", "foreign_written", 72_730, None),
    _kept("faults", "key_without_reservation", 72_730, None),
    _kept("faults", "freed_block_read", 72_730, None),
    _kept("faults", "freed_block_written", 72_730, None),
    _kept("faults", "step_on_freed_reservation", 72_730, None),
    _kept("faults", "ended_unasked", 73_290, None),
    _kept("faults", "failed_without_cause", 74_266, None),
    _kept("faults", "leaks_when_over", 72_730, None),
    _kept("faults", "answered_at_most_once", 72_730, None),
    _kept("faults", "first_tokens_committed", 74_378, None),
    _kept("faults", "requests_closed", 72_730, None),
    _kept("faults", "requests_answered", 72_730, None),
    _kept("faults", "slots_come_back", 72_730, None),
    _kept("faults", "reservations_come_back", 72_730, None),
    _kept("lossy", "committed_unsent", 21_803, None),
    _kept("lossy", "foreign_written", 21_803, None),
    _kept("lossy", "reservations_counted", 21_803, None),
    _kept("lossy", "leaks_when_over", 21_803, None),
    _kept("lossy", "answered_at_most_once", 21_803, None),
    _kept("lossy", "requests_decoded", 21_803, None),
    _kept("lossy", "first_tokens_committed", 21_803, None),
    _kept("lossy", "requests_closed", 21_803, None),
    _kept("lossy", "requests_answered", 21_803, None),
    _kept("lossy", "slots_come_back", 21_803, None),
    _kept("lossy", "reservations_come_back", 21_803, None),
    _kept("lossy", "entries_close", 21_803, None),
    _kept("suspected", "committed_unsent", 40_513, None),
    _kept("suspected", "foreign_written", 39_039, None),
    _kept("suspected", "key_without_reservation", 39_039, None),
    _kept("suspected", "step_on_freed_reservation", 39_039, None),
    _kept("suspected", "leaks_when_over", 39_039, None),
    _kept("suspected", "answered_at_most_once", 39_039, None),
    _kept("suspected", "first_tokens_committed", 39_879, None),
    _kept("suspected", "requests_closed", 39_039, None),
    _kept("suspected", "requests_answered", 39_039, None),
    _kept("suspected", "slots_come_back", 39_039, None),
    _kept("suspected", "reservations_come_back", 39_039, None),
    _kept("turns", "committed_unsent", 77_661, None),
    _kept("turns", "foreign_written", 73_303, None),
    _kept("turns", "freed_block_written", 73_303, None),
    _kept("turns", "leaks_when_over", 73_303, None),
    _kept("turns", "token_miscredited", 77_661, None),
    _kept("turns", "step_on_freed_reservation", 73_303, None),
    _kept("turns", "ended_unasked", 74_945, None),
    _kept("turns", "failed_without_cause", 76_249, None),
    _kept("turns", "token_lost", 73_303, None),
    _kept("turns", "taken_twice", 87_182, None),
    _kept("turns", "answered_at_most_once", 73_303, None),
    _kept("turns", "requests_answered", 73_303, None),
    _kept("turns", "reservations_come_back", 73_303, None),
    _kept("turns", "entries_close", 73_303, None),
    _kept("drafts", "token_miscredited", 72_027, None),
    _kept("drafts", "step_on_freed_reservation", 68_023, None),
    _kept("drafts", "requests_answered", 68_023, None),
    _kept("turns-suspected", "foreign_written", 32_005, None),
    _kept("turns-suspected", "failed_without_cause", 32_797, None),
    _kept("turns-suspected", "answered_at_most_once", 32_005, None),
    _kept("turns-suspected", "requests_answered", 32_005, None),
    _kept("refused", "answered_at_most_once", 255_330, None),
    _kept("refused", "ended_unasked", 255_330, None),
    _kept("refused", "reservations_counted", 255_330, None),
    _kept("refused-at-last", "requests_answered", 882, None),
    _kept("refused-at-last", "requests_closed", 882, None),
    _kept("crash-of-decode", "committed_unsent", 117_080, None),
    _kept("crash-of-decode", "foreign_written", 116_148, None),
    _kept("crash-of-decode", "answered_at_most_once", 116_148, None),
    _kept("crash-of-decode", "requests_answered", 116_148, None),
    _kept("crash-of-decode", "failed_without_cause", 116_976, None),
    _kept("crash-of-decode", "entries_close", 116_148, None),
    _kept("crash-of-decode", "slots_come_back", 116_148, None),
    _kept("crash-of-decode", "some_second_life_of_decode_decodes", 116_148, 44),
    _kept("crash-and-abort", "answered_at_most_once", 401_796, None),
    _kept("crash-and-abort", "requests_answered", 401_796, None),
    _kept("crash-of-prefill", "committed_unsent", 66_766, None),
    _kept("crash-of-prefill", "foreign_written", 62_847, None),
    _kept("crash-of-prefill", "freed_block_written", 62_847, None),
    _kept("crash-of-prefill", "answered_at_most_once", 62_847, None),
    _kept("crash-of-prefill", "requests_answered", 62_847, None),
    _kept("crash-of-prefill", "reservations_come_back", 62_847, None),
    _kept("crash-of-prefill", "entries_close", 62_847, None),
    _kept("crash-of-prefill", "living_prefills_serve", 62_847, None),
    _kept("crash-of-prefill", "some_second_life_of_prefill_prefills", 62_847, 32),
    _kept("crash-of-any", "committed_unsent", 242_547, None),
    _kept("crash-of-any", "foreign_written", 236_921, None),
    _kept("crash-of-any", "answered_at_most_once", 236_921, None),
    _kept("crash-of-any", "requests_answered", 236_921, None),
    _kept("full", "threads_come_back", 19_917, None),
    _kept("full", "other_decodes_served", 19_917, None),
    _kept("threads", "committed_unsent", 344_792, None),
    _kept("threads", "foreign_written", 344_792, None),
    _kept("threads", "freed_block_read", 344_792, None),
    _kept("threads", "taken_twice", 344_792, None),
    _kept("threads", "slots_owned_once", 344_792, None),
    _kept("threads", "threads_come_back", 344_792, None),
    _kept("threads", "requests_answered", 344_792, None),
    _kept("threads", "requests_decoded", 344_792, None),
    _kept("threads", "some_two_are_prepared_at_once", 344_792, 20),
    _kept("threads", "some_two_are_prefilled_together", 344_792, 25),
    _kept("crash-of-rank", "gate_opens", 458_079, None),
    _kept("crash-of-rank", "requests_answered", 458_079, None),
    _kept("crash-of-rank", "living_prefills_serve", 458_079, None),
    _kept("crash-of-rank", "foreign_written", 458_079, None),
    _kept("crash-of-rank", "freed_block_written", 458_282, None),
    _kept("launched", "requests_decoded", 4_343, None),
    _kept("launched", "some_forward_before_registration", 4_343, 27),
    _kept("launched-tp2", "committed_unsent", 537_777, None),
    _kept("launched-tp2", "misread_batch", 537_777, None),
    _kept("launched-tp2", "schedule_during_forward", 537_777, None),
    _kept("launched-tp2", "some_schedule_after_forward", 537_777, 2),
    _kept("launched-tp2", "gate_opens", 537_777, None),
    _kept("launched-tp2", "requests_answered", 537_777, None),
    _kept("launched-faults", "committed_unsent", 86_280, None),
    _kept("launched-faults", "uncomputed_sent", 78_570, None),
    _kept("launched-faults", "freed_block_read", 74_820, None),
    _kept("launched-faults", "freed_block_written", 74_820, None),
    _kept("launched-faults", "leaks_when_over", 74_820, None),
    _kept("launched-faults", "requests_answered", 74_820, None),
    _kept("launched-turns", "freed_block_written", 141_605, None),
    _kept("launched-turns", "token_miscredited", 148_755, None),
    _kept("launched-turns", "requests_answered", 141_605, None),
    _kept("launched-layers", "committed_unsent", 7_963, None),
    _kept("launched-crash", "gate_opens", 19_212, None),
    _kept("launched-crash", "requests_answered", 19_212, None),
    _kept("launched-control", "weights_mixed", 28_716, None),
    _kept("launched-control", "update_ends", 12_394, None),
    _kept("launched-tp2-faults", "committed_unsent", 16_285_629, None, deep=True),
    _kept("launched-tp2-faults", "freed_block_written", 16_053_429, None, deep=True),
    _kept("launched-tp2-faults", "schedule_during_forward", 16_053_429, None, deep=True),
    _kept("control", "weights_mixed", 15_560, None),
    _kept("control", "at_work_while_paused", 6_548, None),
    _kept("control", "some_pause_during_work", 6_548, 11),
    _kept("control", "some_decode_with_new_weights", 15_560, 71),
    _kept("control", "pause_ends", 6_548, None),
    _kept("control", "update_ends", 6_548, None),
    _kept("control", "requests_answered", 6_548, None),
    _kept("control", "requests_decoded", 6_548, None),
    _kept("control", "gate_opens", 6_548, None),
    _kept("control-tp2", "weights_mixed", 357_526, None),
    _kept("control-tp2", "misread_batch", 346_626, None),
    _kept("control-tp2", "same_batch_per_iteration", 1_718_904, None, deep=True),
    _kept("control-tp2", "barrier_slipped", 173_313, None),
    _kept("control-tp2", "update_ends", 173_313, None),
    _kept("control-two", "weights_mixed", 529_616, None),
    _kept("control-two", "at_work_while_paused", 236_152, None),
    _kept("control-two", "pause_ends", 236_152, None),
    _kept("control-two", "requests_answered", 236_152, None),
    _kept("control-turns", "weights_mixed", 619_808, None),
    _kept("control-turns", "at_work_while_paused", 272_828, None),
    _kept("control-turns", "pause_ends", 272_828, None),
    _kept("control-turns", "requests_answered", 272_828, None),
    _kept("control-crash", "weights_mixed", 1_525_168, None, deep=True),
    _kept("control-crash", "pause_ends", 493_720, None),
    _kept("control-crash", "update_ends", 493_720, None),
    _kept("control-crash", "requests_answered", 493_720, None),
    _kept("control-crash-of-any", "weights_mixed", 4_550_994, None, deep=True),
    _kept("control-crash-of-any", "update_ends", 1_187_627, None, deep=True),
    _kept("prefills-refused", "answered_at_most_once", 777_924, None),
    _kept("prefills-refused", "requests_answered", 777_924, None),
    _kept("prefills-refused", "requests_closed", 777_924, None),
    _kept("prefills", "committed_unsent", 1_687_032, None, deep=True),
    _kept("prefills", "others_reservation_written", 1_687_032, None, deep=True),
    _kept("prefills", "reservations_counted", 1_687_032, None, deep=True),
    _kept("prefills", "slots_owned_once", 1_687_032, None, deep=True),
    _kept("prefills", "leaks_when_over", 1_687_032, None, deep=True),
    _kept("prefills", "requests_answered", 1_687_032, None, deep=True),
    _kept("prefills", "requests_decoded", 1_687_032, None, deep=True),
    _kept("prefills", "gate_opens", 1_687_032, None, deep=True),
    _kept("prefills-errors", "others_reservation_written", 3_083_544, None, deep=True),
    _kept("prefills-errors", "requests_answered", 3_083_544, None, deep=True),
    _kept("prefills-errors", "failed_without_cause", 3_116_136, None, deep=True),
    _kept("prefills-aborts", "others_reservation_written", 57_696_156, None, deep=True),
    _kept("prefills-crash", "others_reservation_written", 4_803_128, None, deep=True),
    _kept("prefills-crash", "committed_unsent", 5_262_738, None, deep=True),
    _kept("prefills-crash", "answered_at_most_once", 4_803_128, None, deep=True),
    _kept("prefills-crash", "some_second_life_of_prefill_prefills", 4_803_128, 32, deep=True),
    _kept("prefills-crash", "living_prefills_serve", 4_803_128, None, deep=True),
    _kept("prefills-crash", "requests_answered", 4_803_128, None, deep=True),
    _kept("prefills-control", "at_work_while_paused", 4_548_064, None, deep=True),
    _kept("prefills-control", "weights_mixed", 11_808_064, None, deep=True),
    _kept("prefills-control", "pause_ends", 4_548_064, None, deep=True),
    _kept("prefills-control", "update_ends", 4_548_064, None, deep=True),
    _kept("prefills-full", "other_decodes_served", 3_226_554, None, deep=True),
    _kept("prefills-full", "threads_come_back", 3_226_554, None, deep=True),
    _kept("prefills-rank", "others_reservation_written", 10_627_628, None, deep=True),
    _kept("prefills-rank", "living_prefills_serve", 10_627_628, None, deep=True),
    _kept("prefills-crashes", "others_reservation_written", 13_108_200, None, deep=True),
    _kept("prefills-crashes", "living_prefills_serve", 13_108_200, None, deep=True),
    _kept("turns-faults", "committed_unsent", 1_238_114, None, deep=True),
    _kept("turns-faults", "uncomputed_sent", 1_169_384, None, deep=True),
    _kept("turns-faults", "foreign_written", 1_144_520, None, deep=True),
    _kept("turns-faults", "slots_owned_once", 1_144_520, None, deep=True),
    _kept("turns-faults", "reservations_counted", 1_144_520, None, deep=True),
    _kept("turns-faults", "key_without_reservation", 1_144_520, None, deep=True),
    _kept("turns-faults", "freed_block_read", 1_144_520, None, deep=True),
    _kept("turns-faults", "freed_block_written", 1_144_520, None, deep=True),
    _kept("turns-faults", "step_on_freed_reservation", 1_144_520, None, deep=True),
    _kept("turns-faults", "failed_without_cause", 1_170_700, None, deep=True),
    _kept("turns-faults", "leaks_when_over", 1_144_520, None, deep=True),
    _kept("turns-faults", "token_miscredited", 1_157_232, None, deep=True),
    _kept("turns-faults", "answered_at_most_once", 1_144_520, None, deep=True),
    _kept("turns-faults", "requests_answered", 1_144_520, None, deep=True),
    _kept("turns-repeated", "committed_unsent", 4_052_617, None, deep=True),
    _kept("turns-repeated", "foreign_written", 3_649_449, None, deep=True),
    _kept("turns-repeated", "answered_at_most_once", 3_649_449, None, deep=True),
    _kept("turns-repeated", "requests_answered", 3_649_449, None, deep=True),
    _kept("turns-lossy", "committed_unsent", 533_211, None, deep=True),
    _kept("turns-lossy", "foreign_written", 533_211, None, deep=True),
    _kept("turns-lossy", "answered_at_most_once", 533_211, None, deep=True),
    _kept("turns-lossy", "requests_answered", 533_211, None, deep=True),
    _kept("turns-crash", "committed_unsent", 3_158_724, None, deep=True),
    _kept("turns-crash", "foreign_written", 3_137_614, None, deep=True),
    _kept("turns-crash", "answered_at_most_once", 3_137_614, None, deep=True),
    _kept("turns-crash", "requests_answered", 3_137_614, None, deep=True),
    _kept("copies", "committed_unsent", 417_761, None, deep=True),
    _kept("copies", "foreign_written", 351_989, None, deep=True),
    _kept("copies", "answered_at_most_once", 351_989, None, deep=True),
    _kept("copies", "requests_answered", 351_989, None, deep=True),
    _kept("ranks-layers", "committed_unsent", 10_651_311, None, deep=True),
    _kept("ranks-layers", "uncomputed_sent", 10_595_770, None, deep=True),
    _kept("ranks-layers", "freed_block_written", 10_586_369, None, deep=True),
    _kept("ranks-layers", "leaks_when_over", 10_586_369, None, deep=True),
    _kept("aborts", "token_miscredited", 3_998_932, None, deep=True),
    _kept("aborts", "token_lost", 3_427_796, None, deep=True),
    _kept("aborts", "step_on_freed_reservation", 3_427_796, None),
    _kept("aborts", "requests_answered", 3_427_796, None, deep=True),
    _kept("pair", "committed_unsent", 2_931_066, None, deep=True),
    _kept("pair", "foreign_written", 2_931_066, None, deep=True),
    _kept("pair", "same_batch_per_iteration", 12_811_551, None, deep=True),
    _kept("two-lossy", "answered_at_most_once", 16_667_162, None, deep=True),
    _kept("two-lossy", "reservations_counted", 16_667_162, None, deep=True),
    _kept("everything", "committed_unsent", 25_842_848, None, deep=True),
    _kept("everything", "foreign_written", 25_408_265, None, deep=True),
    _kept("everything", "freed_block_written", 25_408_265, None, deep=True),
    _kept("everything", "leaks_when_over", 25_408_265, None, deep=True),
    _kept("everything", "answered_at_most_once", 25_408_265, None, deep=True),
    _kept("everything", "requests_answered", 25_408_265, None, deep=True),
    _kept("everything-and-crash", "committed_unsent", 76_168_060, None, deep=True),
    _kept("everything-and-crash", "foreign_written", 74_881_632, None, deep=True),
    _kept("pair-aborts", "committed_unsent", 120_033_704, None, deep=True),
    _kept("pair-aborts", "foreign_written", 108_983_469, None, deep=True),
]

LEFT_OUT = [
    _left_out("lowers_behind_barrier", "tp2", "schedule_during_forward", 97_803, 41),
    _left_out("meets_at_top", "tp2", "same_batch_per_iteration", 971_633, 29),
    _left_out("meets_at_top", "tp2", "misread_batch", 234_771, 45),
    _left_out("meets_at_top", "tp2", "barrier_slipped", 287_841, 33),
    _left_out("counts_reports", "tp2", "committed_unsent", 186_723, 51),
    _left_out("counts_reports", "tp2", "freed_block_read", 186_477, 57),
    _left_out("counts_reports", "tp2", "leaks_when_over", 170_118, 55),
    _left_out("parks_early_signals", "one", "requests_answered", 2_309, 47),
    _left_out("parks_early_signals", "one", "first_tokens_committed", 2_309, 47),
    _left_out("parks_early_signals", "one", "requests_closed", 2_309, 47),
    _left_out("parks_early_signals", "one", "requests_decoded", 2_309, 47),
    _left_out("parks_early_signals", "one", "slots_come_back", 2_309, 47),
    _left_out("keeps_until_sent", "one", "freed_block_read", 2_865, 37),
    _left_out("keeps_until_sent", "one", "slots_owned_once", 2_221, 30),
    _left_out("sends_computed", "layers", "uncomputed_sent", 9_785, 35),
    _left_out("sends_computed", "layers", "committed_unsent", 9_785, 48),
    _left_out("reports_last", "errors", "leaks_when_over", 11_530, 62),
    _left_out("names_requests", "two-slots", "uncomputed_sent", 186_150, 46),
    _left_out("names_requests", "two-slots", "requests_answered", 180_882, 47),
    _left_out("cleans_first", "two-turns", "leaks_when_over", 8_319, 43),
    _left_out("cleans_first", "two-turns", "requests_answered", 8_319, 96),
    _left_out("leaves_intake", "unread", "taken_twice", 962_100, 11),
    _left_out("drains_before_cancel", "turns-aborts", "committed_unsent", 2_376_742, 61),
    _left_out("drains_before_cancel", "abort", "freed_block_read", 55_450, 34),
    _left_out("drains_before_cancel", "abort", "freed_block_written", 84_452, 26),
    _left_out("drains_before_cancel", "abort", "leaks_when_over", 47_354, 18),
    _left_out("takes_once", "two-threads", "taken_twice", 766_868, 5),
    _left_out("takes_once", "two-threads", "requests_answered", 675_260, 69),
    _left_out("asks_first", "full", "other_decodes_served", 13_521, 21),
    _left_out("asks_first", "full", "slots_owned_once", 13_521, 5),
    _left_out("asks_first", "full", "threads_come_back", 13_521, 21),
    _left_out("reserves_once", "two-rooms", "reservations_counted", 40_274, 8),
    _left_out("reserves_posted", "repeats", "answered_at_most_once", 63_385, 53),
    _left_out("reserves_posted", "repeats", "reservations_come_back", 44_905, 67),
    _left_out("sends_again", "lossy", "requests_answered", 2_453, 15),
    _left_out("sends_again", "lossy", "reservations_come_back", 2_453, 18),
    _left_out("sends_again", "lossy", "entries_close", 2_453, 15),
    _left_out("fences_writes", "suspected", "foreign_written", 40_303, 35),
    _left_out("fences_writes", "lives", "foreign_written", 110_592, 34),
    _left_out("fences_writes", "suspected", "key_without_reservation", 35_835, 9),
    _left_out("fences_writes", "prefills-rank", "others_reservation_written", 11_065_730, 43, deep=True),
    _left_out("dies_whole", "crash-of-rank", "gate_opens", 372_998, 22),
    _left_out("dies_whole", "crash-of-rank", "requests_answered", 372_998, 22),
    _left_out("names_turns", "turns", "requests_answered", 129_706, 19),
    _left_out("names_turns", "refused", "ended_unasked", 512_802, 12),
    _left_out("names_turns", "turns-suspected", "failed_without_cause", 42_869, 46),
    _left_out("names_turns", "turns", "first_tokens_committed", 137_032, 63),
    _left_out("names_lives", "crash-of-prefill", "committed_unsent", 347_318, 44),
    _left_out("owns_signals", "prefill-turns", "committed_unsent", 35_214, 74),
    _left_out("owns_signals", "prefill-turns", "uncomputed_sent", 34_344, 50),
    _left_out("owns_signals", "prefill-turns", "leaks_when_over", 30_180, 78),
    _left_out("owns_signals", "prefills", "requests_decoded", 2_124_216, 65, deep=True),
    _left_out("speaks_in_stream", "launched", "schedule_during_forward", 5_039, 29),
    _left_out("speaks_in_stream", "launched-faults", "freed_block_written", 133_952, 51),
    _left_out("speaks_in_stream", "launched-faults", "requests_answered", 125_580, 68),
    _left_out("ends_steps", "abort", "step_on_freed_reservation", 10_721, 46),
    _left_out("ends_steps", "turns-aborts", "token_miscredited", 87_229, 93),
    _left_out("credits_singly", "aborts", "token_lost", 3_442_916, 88),
    _left_out("drains_before_pause", "control", "weights_mixed", 225_348, 51),
    _left_out("drains_before_pause", "control", "at_work_while_paused", 56_738, 13),
    _left_out("parks_early_signals", "control", "pause_ends", 6_724, 48),
    _left_out("dies_whole", "control-rank", "update_ends", 31_368, 13),
    _left_out("dies_whole", "prefills-rank", "living_prefills_serve", 7_511_532, 37, deep=True),
    _left_out("holds_posts", "control", "weights_mixed", 221_796, 51),
    _left_out("holds_posts", "control", "at_work_while_paused", 56_738, 13),
]

SCENARIOS = [*WHOLE, *LEFT_OUT]

HAZARDS: list[Hazard] = []
