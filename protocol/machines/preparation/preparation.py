"""Preparation: from P's queue to P's running requests, with D's consent; one or two P, one or more D.

Composition of the prepare threads (`prepare_thread` before the repair, `split_phase` ours), P.IO and the rest of P
(`decode_answer`), and D (`decode_loop`), over the variables of `instances`.
"""

from __future__ import annotations

from typing import Any

from ...combine import all_of, any_of, conjunction
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, always, deadlock, leads_to, never, sometimes
from ...system import System
from .decode_answer import decode_answer, prefill_service, reply
from .decode_loop import DecodeLoop, decode_loop, decoder, delivery
from .instances import Bounds, Instances, Key, Place, Stage
from .prepare_thread import Prepare, PrepareTable
from .split_phase import split_phase


def build(
    variant: str = "repaired",
    waits: str = "continuous",
    refusals: str = "told",
    prefills: str = "",
    decodes: str = "01",
    sizes: str = "",
    prefill_room: int = 2,
    decode_room: str = "11",
    threads: int = 2,
    batch: int = 1,
    tries: int = 2,
    timeouts: int = 0,
) -> System:
    """Preparation at these bounds.

    Args:
        variant: E0, E1, repaired, or ours with a part left out (`instances.VARIANTS`).
        waits: how a thread waits for D before the repair: continuous, once or cache_task.
        refusals: told to P, silent, or told to the client too.
        prefills, decodes: a digit a request: the P and the D that it is for; all for P 0 unless given.
        sizes: a digit a request: the room it takes; 1 unless given. prefill_room: room of each P.
        decode_room: a digit a D: its room; 0 is a D that is full, for ever.
        threads: prepare threads of each P. batch: requests a thread takes at once.
        tries: asks of one request, ours. timeouts: that each thread may see.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    bounds = Bounds(
        variant, waits, refusals, prefills or "0" * len(decodes), decodes, sizes or "1" * len(decodes), prefill_room, decode_room, threads, batch, tries, timeouts
    )
    i = Instances(bounds)
    threads = None if i.variant.splits else PrepareTable(i)
    prepare, handler = (split_phase(i), reply(i)) if threads is None else (threads.machine(), decode_answer(i))
    loop, delivering = decode_loop(i), delivery(i)
    properties = _properties(i, threads, prepare, handler, delivering, loop)
    return System("preparation", [prepare, handler, delivering, loop, prefill_service(i), decoder(i)], properties, doc=__doc__ or "")



def _properties(i: Instances, threads: PrepareTable | None, prepare: Machine, handler: Machine, delivering: Machine, loop: Machine) -> list[Property]:
    """L2, S7, the two kinds of waiting, and the witnesses that keep them from holding vacuously."""
    request = i.request

    def stage(q: Any) -> Expr:
        return i.stage[i.home[q], q]

    def elsewhere(q: Any) -> Expr:
        return (i.decode_room[i.goal[q]] > 0) & ~i.ended[q]

    quiet = _quiet(i, prepare, [handler, delivering], loop)
    before_grant = (Stage.HELD, Stage.ASKED) if i.variant.splits and not i.variant.decode_first else (Stage.HELD,)
    holds_and_waits = any_of(request, lambda q: stage(q).is_in(*before_grant) & ~i.granted[q])
    kept = any_of(i.decode, lambda d: (i.overwritten[d] > 0) | any_of(request, lambda q: i.place[d, q] == Place.RESERVED))
    found = [
        deadlock(about="L3: nobody is stuck in the middle of his work"),
        leads_to("every_request_ends", lambda q: ~i.ended[q], lambda q: i.ended[q], each=request, about="L2 on P: served, or an error"),
        leads_to("requests_for_others_end", elsewhere, lambda q: i.ended[q], each=request, about="a full D stops no work for another D"),
        leads_to("client_is_answered", lambda q: i.client_answers[q] == 0, lambda q: i.client_answers[q] > 0, each=request, about="L2 at the client"),
        never("no_second_answer", any_of(request, lambda q: i.client_answers[q] == 2), about="L2: exactly one terminal answer"),
        never("no_blocks_held_while_asking", holds_and_waits, about="hold and wait: P's blocks are held before D has granted"),
        never("no_reservation_left", quiet & kept, about="S7: D keeps room for nobody"),
        sometimes("some_run_serves_all", all_of(request, lambda q: i.served[q]), about="twin of the safety properties"),
        sometimes("some_run_is_quiet", quiet, about="twin of the properties about what is left"),
        sometimes("some_blocks_held", any_of(request, lambda q: stage(q) == Stage.HELD), about="twin of no_blocks_held_while_asking"),
        sometimes("some_request_refused", any_of(i.decode, lambda d: loop.at(d) == DecodeLoop.REFUSING), about="D does refuse"),
    ]
    if threads is not None:
        keys = any_of(request, lambda q: i.key[q] != Key.ABSENT)

        def waits_in_vain(q: Any) -> Expr:
            held_by = any_of(i.prefill, lambda p: any_of(i.thread, lambda t: (prepare.at(p, t) == Prepare.WAITING) & threads.todo[p, t, q]))
            return i.dropped[q] & held_by

        found += [
            never("no_key_left", quiet & keys, about="S7: no key in current_request_ids"),
            never("no_wait_for_dropped_ask", any_of(request, waits_in_vain), about="what a thread waits for is on its way"),
        ]
    return found


def _quiet(i: Instances, prepare: Machine, handlers: list[Machine], loop: Machine) -> Expr:
    """Every request has ended, and nothing is under way any more."""
    threads_rest = all_of(i.prefill, lambda p: all_of(i.thread, lambda t: prepare.at(p, t) == prepare.initial))
    others_rest = all_of(i.decode, lambda d: loop.at(d) == loop.initial) & conjunction(
        [all_of(i.request, lambda q, h=h: h.at(q) == h.initial) for h in handlers]  # type: ignore[misc]
    )

    def no_message(q: Any) -> Expr:
        quiet = all_of(i.attempt, lambda a: (i.asks[q, a] == 0) & (i.answers[q, a, False] == 0) & (i.answers[q, a, True] == 0))
        if i.variant.cancels:
            quiet = quiet & all_of(i.attempt, lambda a: i.cancels[q, a] == 0)
        return quiet & (i.first_tokens[q] == 0) & i.stage[i.home[q], q].is_in(Stage.DONE, Stage.GIVEN_UP)

    others_rest = others_rest & all_of(i.decode, lambda d: i.deliveries[d].empty)
    return threads_rest & others_rest & all_of(i.request, no_message)
