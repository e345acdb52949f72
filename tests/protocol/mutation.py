"""Mutants of the repaired protocol, all of them: `python -m tests.protocol.mutation [--several] [--match TEXT] [--part I/N]`.

A heavy run; `test_mutation.py` draws a few. Survivors of which it is known why they do no harm are in `REASONS`; any other is a question.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from checker.mutate import Mutant, Trial, judge
from protocol.machines.repaired.protocol import build

BOUNDS: tuple[dict[str, Any], ...] = (
    {},
    {"full": True, "deadlines": True},
    {"aborts": True, "deadlines": True, "errors": True},
    {"layers": 2, "chunks": 2},
    {"aborts": True, "errors": True, "chunks": 2},
    {"repeats": True, "losses": True},
    {"aborts": True, "repeats": True, "losses": True},
    {"suspicions": True, "aborts": True},
    {"crash": "rank"},
    {"crash": "rank", "chunks": 2},
    {"crash": "prefill", "chunks": 2},
    {"control": True},
    {"turns": 2, "errors": True},
    {"turns": 2, "aborts": True, "drafts": True},
    {"turns": 2, "suspicions": True},
    {"full": True, "turns": 2, "deadlines": True, "repeats": True},
    {"asynchronous": True, "aborts": True, "errors": True, "chunks": 2},
    {"asynchronous": True, "control": True},
    {"requests": 2},
    {"requests": 2, "decodes": 2, "full": True},
    {"ranks": 2},
    {"ranks": 2, "turns": 2},
    {"chunks": 2, "turns": 2, "prefixes": 1},
    {"crash": "decode", "repeats": True},
    {"requests": 2, "threads": 2, "slots": 2, "room": 2},
)
"""Small bounds at which, together, every row fires; those that cost most last."""

LARGE: tuple[dict[str, Any], ...] = (
    {"turns": 2, "repeats": True},
    {"asynchronous": True, "ranks": 2, "turns": 2},
    {"asynchronous": True, "ranks": 2, "chunks": 2},
    {"chunks": 2, "prefixes": 2, "blocks": 2, "requests": 2, "room": 2},
    {"chunks": 2, "prefixes": 1, "blocks": 3, "requests": 2, "slots": 2, "room": 2},
    {"chunks": 2, "prefixes": 1, "turns": 3, "aborts": True},
)
"""Bounds without which a few mutants would seem to do no harm: half a million to four million states."""

SEVERAL: tuple[dict[str, Any], ...] = ({"prefills": 2}, {"prefills": 2, "requests": 2})
"""Two prefill instances, where only mutants are judged that one has not."""

UNASKED = ("same_batch_per_iteration",)
"""Asked at these bounds only: it costs four times the states, and its ghosts see what `misread_batch` sees."""

REASONS: dict[str, tuple[str, ...]] = {
    "what is left behind is stored anew before anybody reads it; clearing it keeps states equal": (
        "prepare.add: drop what it does to prepare_hand",
        "prepare.add: drop what it does to prepare_key",
        "prepare.ask: drop what it does to prepare_hand",
        "prepare.ask: drop what it does to prepare_turn",
        "prepare.skip: drop what it does to prepare_hand",
        "prepare.skip: drop what it does to prepare_turn",
        "registrar.fetch_task: drop what it does to cache_info_key",
        "registrar.fetch_task: drop what it does to cache_info_request",
        "registrar.register: drop what it does to registrar_hand",
        "registrar.register: drop what it does to registrar_key",
        "registrar.register_and_forward: drop what it does to registrar_hand",
        "registrar.register_and_forward: drop what it does to registrar_key",
        "consumer.queue_item (2): drop what it does to seen_task",
        "consumer.park_item (2): drop what it does to seen_task",
        "sender.send_last_layer: drop what it does to sender_key",
        "worker.emit_tokens: drop what it does to worker_hand",
        "worker.signal_withdrawals: drop what it does to worker_hand",
        "completer.release_sent: drop what it does to completer_hand",
        "completer.release_sent: drop what it does to completer_outcome",
        "completer.release_failed: drop what it does to completer_hand",
        "completer.release_failed: drop what it does to completer_outcome",
        "completer.release_doomed: drop what it does to completer_hand",
        "completer.release_doomed: drop what it does to completer_outcome",
        "completer.release_withdrawn: drop what it does to completer_hand",
        "completer.release_withdrawn: drop what it does to completer_outcome",
        "sender.clean: drop what it does to sender_task",
        "sender.report: drop what it does to sender_hand",
        "sender.report: drop what it does to sender_outcome",
        "sender.send_last_layer (2): drop what it does to sender_key",
        "sender.send_last_layer (3): drop what it does to sender_key",
        "sender.fail_to_write: drop what it does to sender_key",
        "sender.find_revoked: drop what it does to sender_key",
        "token_processor.note_token (2): drop what it does to token_of",
        "worker.load_weights: drop what it does to worker_update",
        "connector.receive_grant: do always what it does to granted_key",
        "worker.launch: drop what it does to worker_hand",
        "worker.launch: drop what it does to worker_update",
        "device.signal_withdrawals: drop what it does to device_hand",
        "device.emit_tokens: drop what it does to device_hand",
        "device.load_weights: drop what it does to device_update",
    ),
    "a look that finds nothing is left out, or is not begun anew: the next look finds the same": (
        "gate.find_forward_running: drop the row",
        "gate.schedule_nothing: drop the row",
        "worker.find_no_batch: drop the row",
        "worker.find_no_batch: stay instead of going to RETRACTING",
    ),
    "an abort that P or D does not act on is work for nothing, and no harm: P commits, and D ends what it does not want": (
        "request.abort: drop the row",
        "request.abort (2): drop the row",
        "request.abort (3): drop the row",
        "request.abort (4): drop the row",
        "request.abort: stay instead of going to CANCELLING",
        "request.abort (2): stay instead of going to DOOMED_HELD",
        "request.abort (3): stay instead of going to DOOMED",
        "entry.abort: drop the row",
        "entry.abort (2): drop the row",
        "entry.abort (3): drop the row",
        "entry.abort: stay instead of going to UNWANTED",
        "entry.abort (2): stay instead of going to ENDING",
        "entry.withdraw: drop the row",
        "router.abort_at_decode: drop the row",
        "router.abort_at_decode: drop the move abort",
        "router.abort_at_decode: stay instead of going to ABORTED",
        "router.abort_at_prefill: drop the move abort",
        "router.abort_alone: stay instead of going to ABORTED",
        "router.abort_at_prefill: stay instead of going to ABORTING",
    ),
    "D ends the reservation, and P learns of it by the revoked key": ("request.give_up: stay instead of going to CANCELLING",),
    "a message that nobody takes is one that is delayed for ever": (
        "request.granted (2): drop the row",
        "request.settled (2): drop the row",
        "connector.drop_late_grant: drop the row",
        "connector.drop_late_settled: drop the row",
        "connector.ignore_refusal: drop the row",
    ),
    "D takes a living P for dead, which it may": (
        "router.post_to_decode: drop what it does to asked_by",
        "decode_loop.abandon: drop the guard not engine.alive or (prefill_life != asked_by[decode, request])",
        "decode_loop.abandon: drop the guard not prefill.alive or (prefill_life != asked_by[decode, request])",
    ),
    "a D that is dead has forgotten everything, and has the request when it comes back": ("router.post_to_decode: drop the guard decode.alive[0]",),
    "D does not take a living P for dead, which it need not": ("decode_loop.suspect: drop the move abandon",),
    "P drops a grant of an earlier turn, whatever D has reserved since": (
        "decode_loop.grant: drop the guard reply_due[decode, request] == entry_turn[decode, request]",
    ),
    "D may reserve for a request that is posted before P has asked for it": (
        "decode_loop.reserve: drop the guard reply_due[decode, request] == entry_turn[decode, request]",
    ),
    "what is thrown out of P's cache though nobody is short of room is computed again": (
        "prepare.evict: drop the guard any((request.state[any_request] == GRANTED) and not (blocks_free >= "
        "(prompt_chunks[any_request] - 1 if node_kept[0, 0] and (prompt_chunks[any_request] > 1) else "
        "prompt_chunks[any_request])) for any_request in request)",
        "prepare.evict: drop the guard any((request.state[any_request] == GRANTED) and not (blocks_free >= "
        "(prompt_chunks[any_request] - 1 if node_kept[(1 if any_request == 1 else 0), 0] and (prompt_chunks[any_request] > 1) else "
        "prompt_chunks[any_request])) for any_request in request)",
    ),
    "the chunk is shared later: when the first token is noted, not when the gate finds the forward over": (
        "gate.schedule: drop what it does to computing_chunks",
    ),
    "that D number 0 takes nobody is a bound, and no rule": ("decode_loop.reserve: drop the guard decode != 0",),
    "one token more of an answer whose client has gone": (
        "decode_worker.credit_draft: drop the guard entry.state[decode, request] == DECODING",
        "decode_worker.credit_token (2): drop the guard entry.state[decode, request] == DECODING",
    ),
    "who is not in the step has no token to drop": ("decode_worker.drop_token: drop the guard decode_batch[decode, request]",),
    "the forward is still over: nobody but the gate puts a batch": ("gate.end_update: stay instead of going to CHECKING",),
    "it has no key in hand any more, so it finds the key revoked": ("sender.fail_to_write: stay instead of going to SENDING",),
    "what was computed of a withdrawn request is sent after all, into memory that is reserved until all ranks have reported": (
        "sender.find_layer: drop the guard sender_task[rank] != 4",
    ),
    "the chunk is sent again: the same bytes to the same place": ("sender.send_last_layer (2): drop what it does to chunks_sent",),
    "a later item stands for the earlier ones, too": ("sender.skip_item: drop the guard task_failed[rank, sender_hand[rank]]",),
    "a forward without a chunk writes nothing, and signals the withdrawals": (
        "worker.write_layer: drop the guard any((worker_hand[rank, any_request] != 0) and (worker_hand[rank, any_request] != 4)"
        " for any_request in request)",
    ),
    "a late message that is looked at and left there is looked at again": (
        "connector.drop_late_grant: drop what it does to grant",
        "connector.drop_late_settled: drop what it does to settled",
        "connector.ignore_refusal: drop what it does to refusal",
    ),
    "any reply may be given again": (
        "decode_loop.grant: drop what it does to reply_due",
        "decode_loop.refuse: drop what it does to reply_due",
    ),
    "a D that does not refuse keeps the ask, and grants it when it has room": ("decode_loop.refuse: drop the row",),
    "P tells D too early, but D revokes the key before it gives the room away": ("router.abort_at_prefill: do always what it does to cancel",),
    "who is registered in a life that the request was not posted in is never pushed there": (
        "router.register: drop the guard engine.alive",
        "router.register: drop the guard prefill.alive",
        "router.register: drop the guard prefill_life == posted_prefill_life[request]",
    ),
    "what has been seen may be seen again": (
        "control.ask_decode: drop the guard not control_seen[decode]",
        "control.see_decode_idle: drop the guard not control_seen[decode]",
        "control.see_decode_updated: drop the guard not control_seen[decode]",
    ),
    "no D has an entry then, so P has nothing either": (
        "control.see_prefill_idle: drop the guard all(request.state[any_request] in {NEW, CLOSED} for any_request in request)",
    ),
    "each thread adds one request, and a signal that comes before the cache task is parked": (
        "prepare.add: drop the guard prepare_hand[thread] == request",
    ),
    "the row asks for the turn that P is in, whichever name brought it here": (
        "prepare.ask: drop the guard prepare_turn[thread] == turn_of[request]",
    ),
    "which free slot is taken tells nobody anything": (
        "prepare.hold: drop the guard not any((any_slot < slot) and not any(slot_of[any_request] == any_slot for any_request in request)"
        " for any_slot in slot)",
    ),
    "the registration waits for the signal, or the signal for the registration, instead of either": (
        "registrar.register: drop the row",
        "consumer.park_item: drop the row",
        "consumer.park_item (2): drop the row",
    ),
    "it parks the task that is parked already": ("consumer.park_item (2): drop the guard seen_layer[rank] == 0",),
    "ranks need not queue the requests of a batch in one order, for reports are by request (H-04)": (
        "consumer.queue_item: drop the guard all((any_request >= request) or (seen_task[rank, any_request] == 0) for any_request in request)",
        "consumer.park_item: drop the guard all((any_request >= request) or (seen_task[rank, any_request] == 0) for any_request in request)",
    ),
    "the tokens of one step are of different requests, whichever is noted first": (
        "token_processor.note_token: drop the guard all((any_request >= request) or not token_of[any_request] for any_request in request)",
    ),
    "between the two meetings any rank may do it: what is stored is read, and raised again, behind the second": (
        "worker.find_batch: drop the guard rank == 0",
        "worker.find_no_batch: drop the guard rank == 0",
        "worker.lower_forward: drop the guard rank == 0",
    ),
}
"""Mutants that survive, by why they do no harm."""

HARMLESS = {name: reason for reason, names in REASONS.items() for name in names}


def trials(bounds: Sequence[dict[str, Any]] = BOUNDS) -> list[Trial]:
    """The protocol at these bounds."""
    return [Trial(partial(build, **config), _text(config), max_states=5_000_000, unasked=UNASKED) for config in bounds]


def all_mutants(tried: list[Trial]) -> list[Mutant]:
    """Those of all bounds, each once."""
    return list(dict.fromkeys(m for trial in tried for m in trial.mutants))


def of_several(one: list[Trial], several: list[Trial]) -> list[Mutant]:
    """Mutants of several prefill instances that are not those of one with a number in front."""
    known = {str(m) for m in all_mutants(one)}
    return [m for m in all_mutants(several) if str(m).replace("[prefill, ", "[").replace("[prefill]", "") not in known]


def _text(config: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in config.items()) or "one request"


def main() -> None:
    """Judge the mutants, print who survives, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--several", action="store_true", help="those that only several prefill instances have")
    parser.add_argument("--match", default="", help="only mutants whose text contains this")
    parser.add_argument("--part", default="1/1", help="the first of two parts is 1/2")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    tried, counts = trials((*BOUNDS, *LARGE)), Counter[str]()
    listed = all_mutants(tried)
    if asked.several:
        several = trials(SEVERAL)
        tried, listed = several, of_several(tried, several)
    for mutant in [m for m in listed if asked.match in str(m)][part - 1 :: parts]:
        found = judge(mutant, tried)
        known = found.verdict == "survived" and str(mutant) in HARMLESS
        counts["harmless" if known else found.verdict] += 1
        print(f"{found.verdict:9}{mutant}  [{found.by.splitlines()[0] if found.by else ''}] {found.bounds}", flush=True)
    print(", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())))


if __name__ == "__main__":
    main()
