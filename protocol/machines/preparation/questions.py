"""What is asked of preparation: L2, S7, the two kinds of waiting, and the witnesses that keep them from holding vacuously.

*Quiet* is a state in which every request has ended and nothing is under way: what is still held then is held for ever.
"""

from __future__ import annotations

from typing import Any

from ...combine import all_of, any_of, conjunction
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, deadlock, leads_to, never, sometimes
from .decode_loop import DecodeLoop
from .instances import Half, Instances, Key, Place, Stage
from .messager import Sender
from .prepare_thread import Prepare, PrepareTable


def properties(i: Instances, table: PrepareTable | None, machines: list[Machine]) -> list[Property]:
    """Everything that is asked of these machines; `table` is that of the threads before the repair."""
    by_name = {m.name: m for m in machines}
    quiet = _quiet(i, machines)
    found = [*_progress(i), *_safety(i, quiet), *_witnesses(i, quiet, by_name["decode_loop"])]
    if table is not None:
        found += _of_threads(i, table, by_name["prepare"], quiet)
        if i.bounds.waits == "cache_task":
            found.append(_no_wait_behind(i))
    if i.bounds.messager:
        found += _of_messager(i, by_name["sender"], quiet)
    return found


def _stage(i: Instances, q: Any) -> Expr:
    return i.stage[i.home[q], q]


def _progress(i: Instances) -> list[Property]:
    def elsewhere(q: Any) -> Expr:
        return (i.decode_room[i.goal[q]] > 0) & ~i.ended[q]

    def answered(q: Any) -> Expr:
        return i.client_answers[q] > 0

    return [
        deadlock(about="L3: nobody is stuck in the middle of his work"),
        leads_to("every_request_ends", lambda q: ~i.ended[q], lambda q: i.ended[q], each=i.request, about="L2 on P: served, or an error"),
        leads_to("requests_for_others_end", elsewhere, lambda q: i.ended[q], each=i.request, about="a full D stops no work for another D"),
        leads_to(
            "client_is_answered", lambda q: i.client_answers[q] == 0, lambda q: i.client_answers[q] > 0, each=i.request, about="L2 at the client"
        ),
    ]


def _safety(i: Instances, quiet: Expr) -> list[Property]:
    before_grant = (Stage.HELD, Stage.ASKED) if i.variant.splits and not i.variant.decode_first else (Stage.HELD,)
    holds_and_waits = any_of(i.request, lambda q: _stage(i, q).is_in(*before_grant) & ~i.granted[q])
    kept = any_of(i.decode, lambda d: (i.overwritten[d] > 0) | any_of(i.request, lambda q: i.place[d, q] == Place.RESERVED))
    lost = any_of(i.request, lambda q: (i.first_tokens[q] > 0) & (i.place[i.goal[q], q] != Place.RESERVED))
    return [
        never("no_first_token_without_place", lost, about="S5: D keeps what P has been granted until P has used it"),
        never("no_second_answer", any_of(i.request, lambda q: i.client_answers[q] == 2), about="L2: exactly one terminal answer"),
        never("no_blocks_held_while_asking", holds_and_waits, about="hold and wait: P's blocks are held before D has granted"),
        never("no_reservation_overwritten", any_of(i.decode, lambda d: i.overwritten[d] > 0), about="S7: D keeps one reservation of a request"),
        never("no_reservation_left", quiet & kept, about="S7: D keeps room for nobody"),
    ]


def _witnesses(i: Instances, quiet: Expr, loop: Machine) -> list[Property]:
    return [
        sometimes("some_run_serves_all", all_of(i.request, lambda q: i.served[q]), about="twin of the safety properties"),
        sometimes("some_run_is_quiet", quiet, about="twin of the properties about what is left"),
        sometimes("some_blocks_held", any_of(i.request, lambda q: _stage(i, q) == Stage.HELD), about="twin of no_blocks_held_while_asking"),
        sometimes("some_ask_refused", any_of(i.decode, lambda d: loop.at(d) == DecodeLoop.REFUSING), about="D does refuse"),
    ]


def _of_threads(i: Instances, table: PrepareTable, prepare: Machine, quiet: Expr) -> list[Property]:
    """What a thread waits for, and what nobody deletes."""

    def waits_in_vain(q: Any) -> Expr:
        waiting = any_of(i.prefill, lambda p: any_of(i.thread, lambda t: (prepare.at(p, t) == Prepare.WAITING) & table.todo[p, t, q]))
        return i.dropped[q] & waiting

    return [
        never("no_key_left", quiet & any_of(i.request, lambda q: i.key[q] != Key.ABSENT), about="S7: no key in current_request_ids"),
        never("no_wait_for_dropped_ask", any_of(i.request, waits_in_vain), about="what a thread waits for is on its way"),
    ]


def _no_wait_behind(i: Instances) -> Property:
    """`enable_decode_cache_task`: D looks at the first of what it keeps, and at no other."""

    def behind(d: Any, q: Any) -> Expr:
        kept = i.kept[d]
        return (kept.length > 0) & ~i.decode_has_room(d, kept.head) & kept.has(q) & i.decode_has_room(d, q)

    stuck = any_of(i.decode, lambda d: any_of(i.request, lambda q: behind(d, q)))
    return never("no_wait_behind_what_does_not_fit", stuck, about="nobody that fits waits behind one that does not, in D's list")


def _of_messager(i: Instances, sender: Machine, quiet: Expr) -> list[Property]:
    def unregistered(p: Any) -> Expr:
        return (sender.at(p) == Sender.LOOKING) & any_of(i.request, lambda q: (i.work_in_hand[p] == q) & ~i.cache_task[p, q])

    left = any_of(i.prefill, lambda p: any_of(i.request, lambda q: (i.cache_info[p, q] != Half.NONE) | i.cache_task[p, q]))
    return [
        never("no_wait_for_unregistered", any_of(i.prefill, unregistered), about="the sender has nothing in hand that is not registered"),
        never("no_half_left", quiet & left, about="S7: no key in cache_info and idx_cache_task_dict"),
        never("no_assertion_fails", i.assertion_failed.cell(), about="a half is merged with the other half"),
        never("no_second_registration", i.registered_again.cell(), about="a task is registered once"),
        sometimes("some_task_registered", any_of(i.request, lambda q: i.registered[q]), about="twin of the properties about registration"),
    ]


def _quiet(i: Instances, machines: list[Machine]) -> Expr:
    """Every request has ended, and nothing is under way any more."""

    def no_message(q: Any) -> Expr:
        empty = all_of(i.attempt, lambda a: (i.asks[q, a] == 0) & (i.answers[q, a, False] == 0) & (i.answers[q, a, True] == 0))
        if i.variant.cancels:
            empty = empty & all_of(i.attempt, lambda a: i.cancels[q, a] == 0)
        return empty & (i.first_tokens[q] == 0) & _stage(i, q).is_in(Stage.DONE, Stage.GIVEN_UP)

    parts = [*map(_at_rest, machines), all_of(i.request, no_message), all_of(i.decode, lambda d: i.deliveries[d].empty)]
    if i.bounds.waits == "cache_task":
        parts.append(all_of(i.decode, lambda d: i.kept[d].empty))
    if i.bounds.messager:
        parts.append(all_of(i.prefill, lambda p: i.infos_read[p]))
    return conjunction(parts)


def _at_rest(machine: Machine) -> Expr:
    """Every copy is where it began."""
    if len(machine.copies) == 1:
        return all_of(machine.copies[0], lambda a: machine.at(a) == machine.initial)
    first, second = machine.copies
    return all_of(first, lambda a: all_of(second, lambda b: machine.at(a, b) == machine.initial))
