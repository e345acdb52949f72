"""The repaired protocol, whole: from the router's post to the client's answer.

Composition of every file of this folder; the rules are in `bounds.py`, each with its reason where it is obeyed. What is asked:
S1-S7 and L1-L3 of the cache hand-over (CH-...), P1-P12 and P14 of the engine-worker side (EW-...); S6 where P has a prefix
cache. P1 of the hand-over (the senders' meetings) has no object here because senders do not meet, P13 belongs to the rounds of the data-parallel
instances and P15 to the engine's threads: these two have scenarios of their own groups.
"""

from __future__ import annotations

from collections.abc import Callable

from ...combine import all_of, any_of, conjunction, count, disjunction
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, always, leads_to, never, sometimes
from ...slice import Copies
from ...system import System
from .bounds import Bounds, Rules
from .completion import completer, token_processor
from .connector import connector, timer
from .control import control as operator
from .control import control_properties
from .decode import decode_loop, decode_worker, listener
from .device import device
from .faults import faults
from .gate import Gate, gate
from .messager import consumer, registrar, sender
from .plane import HOLDING, RESERVING, Entry, Plane, Report, Stage
from .prefix_contents import prefix_cache_properties
from .prepare import Prepare, prepare
from .ranks import Ranks
from .request import entry_machine, request_machine
from .router import Router, router
from .shared_ranks import SharedRanks
from .worker import Worker, worker


def build(
    without: str | None = None,
    requests: int = 1,
    turns: int = 1,
    ranks: int = 1,
    slots: int = 1,
    layers: int = 1,
    chunks: int = 1,
    decodes: int = 1,
    room: int = 1,
    full: bool = False,
    threads: int = 1,
    copies: int = 1,
    aborts: bool = False,
    deadlines: bool = False,
    repeats: bool = False,
    losses: bool = False,
    errors: bool = False,
    suspicions: bool = False,
    crash: str = "none",
    lives: int = 2,
    drafts: bool = False,
    control: bool = False,
    prefills: int = 1,
    asynchronous: bool = False,
    mortals: int | None = None,
    prefixes: int = 0,
    blocks: int = 0,
    shares_experts: bool = False,
    troubled: int | None = None,
    knows_dead: bool = False,
    reports: bool = False,
    decode_ranks: bool = False,
    balances: bool = False,
) -> System:
    """The repaired protocol at these bounds; see `bounds.Bounds`. `without` leaves one of `bounds.Rules` out.

    Raises:
        DefinitionError: an unknown rule, or a bound outside its choices.
    """
    sizes = (requests, turns, ranks, slots, layers, chunks, decodes, room, full, threads, copies)
    faults = (aborts, deadlines, repeats, losses, errors, suspicions, crash, lives)
    parts = (drafts, control, prefills, asynchronous, mortals, prefixes, blocks, shares_experts)
    bounds = Bounds(*sizes, *faults, *parts, troubled, knows_dead, reports, decode_ranks, balances)
    return compose(Plane(Rules.all_but(without), bounds))


def compose(p: Plane) -> System:
    """The machines over that plane, and all that is asked of them."""
    request, entry = request_machine(p), entry_machine(p)
    own = p.own
    its = Copies(request, own.here)
    routing, scheduling, working = router(p, request, entry), gate(own, its), worker(own)
    preparing = prepare(own, its)
    machines = [request, entry, routing, preparing, scheduling, working, registrar(own), consumer(own), sender(own)]
    machines += [token_processor(own, its), completer(own, its), connector(own, its)]
    machines += [listener(p, entry), decode_loop(p, entry)]
    decoding, ranks = decode_worker(p, entry), ranks_of(p)
    if ranks is not None:
        decoding = ranks.decode_worker(decoding)
    machines += [decoding, *(() if ranks is None else ranks.machines())]
    machines += [device(own)] if p.bounds.asynchronous else []
    operating = operator(p, request, entry)
    machines += [m for m in (timer(own, its), operating, faults(p)) if m is not None]
    properties = _properties(p, request, entry, routing, scheduling, working)
    properties += [*_threads(p, preparing), *prefix_cache_properties(p)]
    properties += ranks.properties(decoding) if ranks is not None else []
    if operating is not None:
        properties += control_properties(p, request, operating)
    return System("repaired", machines, properties, doc=__doc__ or "")


def ranks_of(p: Plane) -> Ranks | None:
    """The ranks of the D's; None where a step is one thing."""
    if not p.bounds.decode_ranks:
        return None
    if p.bounds.shares_experts:
        return SharedRanks(p, p.bounds.ranks, balances=p.bounds.balances)
    return Ranks(p, p.bounds.ranks)


def _properties(p: Plane, request: Machine, entry: Machine, routing: Machine, scheduling: Machine, working: Machine) -> list[Property]:
    purposes = _purposes(p, request, entry)
    return [*_hand_over(p, request, entry), *_engine_worker(p, scheduling, working), *_progress(p, request, entry, routing), *purposes]


def _hand_over(p: Plane, request: Machine, entry: Machine) -> list[Property]:
    """S1-S5, S7."""

    def holds_slot(its: Plane, q: Expr) -> Expr:
        return request.at(*its.here, q).is_in(*HOLDING) == ~its.slot_of[q].is_none

    def is_shared(its: Plane, q: Expr) -> Expr:
        return any_of(p.request, lambda i: (i != q) & ~its.slot_of[q].is_none & (its.slot_of[i] == its.slot_of[q]))

    def owns_slots(its: Plane) -> Expr:
        return all_of(p.request, lambda q: holds_slot(its, q) & ~is_shared(its, q))

    def is_counted(d: Expr) -> Expr:
        return p.reserved[d] == count(p.request, lambda q: (p.home(q) == d) & entry.at(d, q).is_in(*RESERVING))

    def is_decoding(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: entry.at(d, q) == Entry.DECODING)

    def is_freed(d: Expr, q: Expr) -> Expr:
        return p.decode_batch[d, q] & ~entry.at(d, q).is_in(Entry.DECODING, Entry.ENDING)

    def closed(q: Expr) -> Expr:
        return request.at(*p.prefill_of(q), q) == Stage.CLOSED

    def opens_unreserved(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: ~p.open_key[d, q].is_none & ~entry.at(d, q).is_in(*RESERVING))

    freed = any_of(p.request, lambda q: any_of(p.decode, lambda d: is_freed(d, q)))
    kept = any_of(p.request, lambda q: closed(q) & (~p.at_home(q).slot_of[q].is_none | any_of(p.rank, lambda r: _is_kept(p.at_home(q), r, q))))
    return [
        never("committed_unsent", p.committed_unsent, about="CH-S1: D decodes from a cache that every rank has written whole"),
        sometimes("some_request_decodes", any_of(p.request, is_decoding), about="twin of CH-S1"),
        never("uncomputed_sent", p.uncomputed_sent, about="CH-S2"),
        never("foreign_written", p.foreign_written, about="CH-S3, CH-S5: no write into memory of D that is not reserved for the request"),
        *([never("others_reservation_written", p.others_written, about="what D lends to one P, no other P writes")] if p.instances else []),
        always("slots_owned_once", conjunction([owns_slots(its) for its in p.prefills]), about="CH-S4 on P"),
        always("reservations_counted", all_of(p.decode, is_counted), about="CH-S4 on D"),
        never("key_without_reservation", any_of(p.request, opens_unreserved), about="CH-S5: what is not reserved cannot be written"),
        never("freed_block_read", p.freed_read, about="CH-S5: no read of a block of P that was freed"),
        never("step_on_freed_reservation", freed, about="EW-P7 on D: D's own steps work on reserved blocks"),
        never("failed_without_cause", p.failed_without_cause, about="a request fails when a write has failed, or D has let its reservation go"),
        never("ended_unasked", p.ended_unasked, about="D ends a request for P when P has given this very turn of it up"),
        never("leaks_when_over", kept, about="CH-S7: P keeps nothing of a closed request"),
        sometimes("some_run_closes_all", all_of(p.request, closed), about="twin of CH-S7"),
    ]


def _is_kept(p: Plane, r: Expr, q: Expr) -> Expr:
    """Something of the request is left in the messager or in CH4."""
    tables = ~p.registered[r, q].is_none | (p.parked[r, q] != 0) | (p.progress[r, q] != 0) | (p.report[q, r] != Report.NOTHING)
    return tables | any_of(p.task, lambda k: p.items[r].has(p.item(request=q, task=k)))


def _engine_worker(p: Plane, scheduling: Machine, working: Machine) -> list[Property]:
    """P1-P10 of the engine-worker side."""

    def forwarding(its: Plane) -> Expr:
        if p.bounds.asynchronous:
            return any_of(p.rank, lambda r: its.kernels_due[r] != 0)
        return any_of(p.rank, lambda r: working.at(*its.here, r).is_in(Worker.COMPUTING, Worker.WRITTEN, Worker.SIGNALLED, Worker.MEETING))

    def through(its: Plane) -> Expr:
        return any_of(p.request, lambda q: its.computed[0, q] == p.whole[q])

    def schedules(its: Plane) -> Expr:
        return scheduling.at(*its.here) == Gate.SCHEDULING

    def opens(*i: Expr) -> Expr:
        return schedules(p.at(*i)) | p.at(*i).is_dead()

    def some(of: Callable[[Plane], Expr]) -> Expr:
        return disjunction([of(its) for its in p.prefills])

    return [
        never("misread_batch", some(lambda its: its.witness.misread), about="EW-P1, EW-P4: every rank reads every batch once, in put order"),
        always("same_batch_per_iteration", ~some(lambda its: its.witness.is_divided()), about="EW-P2"),
        never("schedule_during_forward", some(lambda its: schedules(its) & forwarding(its)), about="EW-P3: the purpose of #6680"),
        sometimes("some_schedule_after_forward", some(lambda its: schedules(its) & through(its)), about="twin of EW-P3"),
        never("barrier_slipped", p.slipped, about="EW-P5, EW-P6: the ranks meet from the same place of their loops"),
        never("freed_block_written", p.freed_written, about="EW-P7"),
        never("token_miscredited", p.miscredited, about="EW-P8"),
        never("token_lost", p.token_lost, about="EW-P8, H28: the token of a request that goes on is credited"),
        never("taken_twice", p.taken_twice, about="EW-P9: nobody is fetched twice; that nobody is skipped is EW-P12"),
        always("answered_at_most_once", all_of(p.request, lambda q: p.times_answered[q] <= 1), about="EW-P10, CH-L2"),
        sometimes("some_request_is_answered", any_of(p.request, lambda q: p.times_answered[q] == 1), about="twin of EW-P10"),
        leads_to("gate_opens", lambda *i: ~schedules(p.at(*i)), opens, each=p.instances, about="EW-P11"),
    ]


def _progress(p: Plane, request: Machine, entry: Machine, routing: Machine) -> list[Property]:
    """L1-L3, P12, P14; while P lives, where it can die."""

    def stage(q: Expr) -> Expr:
        return request.at(*p.prefill_of(q), q)

    def dead(q: Expr) -> Expr:
        return p.at_home(q).is_dead()

    def closed(q: Expr) -> Expr:
        return (stage(q) == Stage.CLOSED) | dead(q)

    def posted(q: Expr) -> Expr:
        return ~routing.at(q).is_in(Router.NEW, Router.ANSWERED)

    def reserved(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: entry.at(d, q).is_in(*RESERVING))

    def open_at_decode(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: ~entry.at(d, q).is_in(Entry.UNKNOWN, Entry.CLOSED))

    def elsewhere(q: Expr) -> Expr:
        return posted(q) & (p.home(q) != 0)

    def answered(q: Expr) -> Expr:
        return routing.at(q) == Router.ANSWERED

    def decodes(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: entry.at(d, q) == Entry.DECODING)

    def under_way(q: Expr) -> Expr:
        return ~stage(q).is_in(Stage.NEW, Stage.CLOSED)

    def has_slot(q: Expr) -> Expr:
        return ~p.at_home(q).slot_of[q].is_none

    def begins(q: Expr) -> Expr:
        return routing.at(q) == Router.POSTED

    elsewhere_served = [leads_to("other_decodes_served", elsewhere, answered, each=p.request, about="no head-of-line blocking: D number 0 is full")]

    def served(q: Expr) -> Expr:
        its = p.at_home(q)
        return decodes(q) | ~its.is_whole() | (its.prefill_life != p.asked_by[p.home(q), q])

    living = "what nothing happens to is decoded, and that another P dies is nothing"
    alive = [leads_to("living_prefills_serve", begins, served, each=p.request, about=living)]
    others = "what nothing happens to is decoded, whatever happens to the requests of another P"
    untroubled = [leads_to("untroubled_served", lambda q: begins(q) & ~p.is_troubled(q), decodes, each=p.request, about=others)]
    decoded = [leads_to("requests_decoded", begins, decodes, each=p.request, about="what nothing happens to is decoded, not refused")]
    return [
        *(elsewhere_served if p.bounds.full else []),
        *(decoded if p.bounds.spoils_nothing else []),
        *(untroubled if p.bounds.troubled is not None and p.bounds.crash == "none" and not p.bounds.full else []),
        *(alive if p.bounds.spoils_only_by_death and p.bounds.crash in ("prefill", "rank") else []),
        leads_to("first_tokens_committed", lambda q: p.at_home(q).produced[q], closed, each=p.request, about="CH-L1"),
        leads_to("requests_closed", under_way, closed, each=p.request, about="CH-L3: P is done with every request that it has begun"),
        leads_to("requests_answered", posted, answered, each=p.request, about="CH-L2, CH-L3, EW-P12"),
        leads_to("entries_close", open_at_decode, lambda q: ~open_at_decode(q), each=p.request, about="CH-S7, CH-L3 on D"),
        leads_to("slots_come_back", has_slot, lambda q: ~has_slot(q) | dead(q), each=p.request, about="EW-P14 on P"),
        leads_to("reservations_come_back", reserved, lambda q: ~reserved(q), each=p.request, about="EW-P14 on D"),
    ]


def _threads(p: Plane, preparing: Machine) -> list[Property]:
    """Which threads wait for nobody but P's own work."""

    def taken(*copy: Expr) -> Expr:
        return preparing.at(*copy) != Prepare.IDLE

    def back(*copy: Expr) -> Expr:
        return ~taken(*copy) | p.at(*copy[:-1]).is_dead()

    return [leads_to("threads_come_back", taken, back, each=preparing.copies, about="H16: no prepare thread waits for D")]


def _purposes(p: Plane, request: Machine, entry: Machine) -> list[Property]:
    """What the pull requests were after, and what the faults must not make impossible: runs that exist."""
    bounds = p.bounds

    def stage(q: Expr) -> Expr:
        return request.at(*p.prefill_of(q), q)

    def runs_unregistered(q: Expr) -> Expr:
        its = p.at_home(q)
        return any_of(p.rank, lambda r: (its.info_request == q) & ~its.info_read[r] & (its.computed[r, q] == p.whole[q]))

    def pairs(of: Callable[[Expr], Expr]) -> Expr:
        return any_of(p.request, lambda q: of(q) & any_of(p.request, lambda i: (i < q) & of(i)))

    def steps(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: p.decode_batch[d, q])

    lives = any_of(p.decode, lambda d: (p.decode_life[d] != 0) & any_of(p.request, lambda q: entry.at(d, q) == Entry.DECODING))
    revived = any_of(p.request, lambda q: (p.at_home(q).prefill_life != 0) & (stage(q) == Stage.PREFILLED))
    found = [sometimes("some_forward_before_registration", any_of(p.request, runs_unregistered), about="the purpose of #7724")]
    if bounds.requests > 1:
        found += [
            sometimes("some_two_are_prefilled_together", pairs(lambda q: stage(q) == Stage.RUNNING), about="full batches: #6680, #7944"),
            sometimes("some_two_decode_in_one_step", pairs(steps), about="continuous batching on D"),
        ]
    if bounds.threads > 1:
        found.append(sometimes("some_two_are_prepared_at_once", pairs(lambda q: stage(q) == Stage.HELD), about="the purpose of #7724"))
    if p.decode_process is not None:
        found.append(sometimes("some_second_life_of_decode_decodes", lives, about="a D that has crashed decodes again"))
    if p.prefill_process is not None:
        found.append(sometimes("some_second_life_of_prefill_prefills", revived, about="a P that has crashed prefills again"))
    return found
