"""The terms of a lease: identities, messages, bounds, rules, and the variables that the parties of the repaired protocol share.

A *lease* is one place at D (a slot with its blocks), held for one attempt of one request. The machines that agree on it
(`prefill_side`, `writing`, `decode_side`, `faults`) are functions of one `Terms`. `lease.py` says what the rules are for.

Two bags a request carry the messages, one each way, since the pool of receiving threads keeps no order (CH7). A message
that finds its bag full is dropped, as ZMQ drops at its high-water mark. Everything that P says carries (attempt,
generation of P); everything that D says carries the attempt, and a grant the key that opens its memory besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ...combine import all_of, choice, if_else
from ...effect import Effect, when
from ...expr import Expr
from ...machine import Process
from ...types import BOOL, Enum, Index, Optional, Range, Record
from ...variable import Lock, channel, ghost, locked, private, register, world
from ..arguments import one_of, within
from .faults import Mortal


class ToDecode(IntEnum):
    """P says of an attempt: I ask for a place; it is written, here is the token; nobody writes any more (again / for good)."""

    ASK, COMMIT, DRAINED, FAILED = range(4)


class ToPrefill(IntEnum):
    """D says of an attempt: no room now, or no such request; it is over, I hold nothing; please end it."""

    REFUSED, CLOSED, REVOKED = range(3)


class Order(IntEnum):
    """What P's engine orders of a rank, and what the rank has answered."""

    NONE, WRITE, STOP, WRITTEN, BROKEN, STOPPED = range(6)


class Client(IntEnum):
    """The client at D has had ... (it is D's answer that the router returns)."""

    NOTHING_ASKED, NO_ANSWER, ONE_ANSWER, TWO_ANSWERS = range(4)


@dataclass(frozen=True)
class Rules:
    """The rules of the repaired protocol; each may be left out, to show what it is for.

    Args:
        resends: whoever waits for an answer says it again until the answer is there.
        idempotent: D answers a repeated ask with the place that it already holds for that attempt.
        supersedes: what P says of a later attempt closes the earlier ones.
        numbers: P takes a grant only for the attempt that it is asking for.
        drains: P closes an attempt only when every living rank has stopped writing for it.
        awaits_drained: D keeps a place that it wants back until P has closed the attempt, or is fenced.
        fences: hearing of a new generation of P, or of P's death, D takes a new key before it frees the old one's places.
        withholds: a grant that is still owed to a generation when it is fenced is not sent.
        renews_key: a restarted D opens its memory under a key that it has never used.
        acknowledges: P keeps a commit until D has confirmed it, and D inserts it once.
        times_out: waits for the other side end by themselves.
        covers_dead_ranks: a dead rank counts as stopped.
        gives_back: P's place goes back wherever sending ends, not only after a commit.
        answers_once: having answered its client, D does not answer again when P closes the attempt.
    """

    resends: bool = True
    idempotent: bool = True
    supersedes: bool = True
    numbers: bool = True
    drains: bool = True
    awaits_drained: bool = True
    fences: bool = True
    withholds: bool = True
    renews_key: bool = True
    acknowledges: bool = True
    times_out: bool = True
    covers_dead_ranks: bool = True
    gives_back: bool = True
    answers_once: bool = True


VARIANTS = {
    "repaired": Rules(),
    "unresent": Rules(resends=False, times_out=False),
    "reserves-again": Rules(idempotent=False),
    "unsuperseded": Rules(supersedes=False),
    "unnumbered": Rules(numbers=False),
    "undrained": Rules(drains=False),
    "reclaims-at-once": Rules(awaits_drained=False),
    "unfenced": Rules(fences=False),
    "grants-fenced": Rules(withholds=False),
    "keeps-key": Rules(renews_key=False),
    "unacknowledged": Rules(acknowledges=False, times_out=False),
    "patient": Rules(times_out=False),
    "awaits-dead-ranks": Rules(covers_dead_ranks=False),
    "keeps-failed": Rules(gives_back=False),
    "answers-twice": Rules(answers_once=False),
}


class Terms:
    """The shared variables at given bounds.

    Args:
        variant: one of VARIANTS. requests: how many. ranks: messager ranks of P. layers: KV layers.
        prefill_places, decode_places: slots with their blocks on either side.
        attempts: how often P may ask anew for a request. in_flight: messages of a request, each way.
        losses, doublings: messages that the network may lose, or deliver twice. write_errors: writes that a rank may fail (each).
        prefill_crashes, decode_crashes, rank_crashes: budgets. A crashed process may restart, or stay dead.
        suspicions: how often D may take a living P for dead; only where P may crash, since it is to be restarted then.

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(self, variant: str, **bounds: int):
        one_of(VARIANTS, variant=variant)
        for name, value in bounds.items():
            low, high = (0, 2) if name in BUDGETS else (1, 4)
            within(low, high, **{name: value})
        self.rules, self.bounds = VARIANTS[variant], bounds
        self.request, self.rank = Index("request", bounds["requests"]), Index("rank", bounds["ranks"])
        self.place = Index("place", bounds["decode_places"])
        self.attempt = Range(0, bounds["attempts"] - 1)
        self.generation = Range(0, bounds["prefill_crashes"])
        # D takes a key at each start, and at each fence; a restarted D has to fence the same generation again.
        self.key = Range(0, bounds["decode_crashes"] + (bounds["decode_crashes"] + 1) * bounds["prefill_crashes"])
        self.layer = Range(0, bounds["layers"] - 1)
        self._declare_network()
        self._declare_prefill()
        self._declare_decode()
        self._declare_ghosts()

    def _declare_network(self) -> None:
        """Two bags a request, one more for grants, and the posts of the router."""
        request, most = self.request, self.bounds["in_flight"]
        self.said = Record("Said", kind=Enum(ToDecode), attempt=self.attempt, generation=self.generation)
        self.answer = Record("Answer", kind=Enum(ToPrefill), attempt=self.attempt)
        self.grant = Record("Grant", attempt=self.attempt, place=self.place, key=self.key)
        bag: dict[str, Any] = {"over": request, "kind": "bag", "on_full": "drop", "cite": "CH7: unordered; dropped at the high-water mark"}
        self.to_decode = channel("to_decode", self.said, most, **bag)
        self.to_prefill = channel("to_prefill", self.answer, most, **bag)
        self.grants = channel("grants", self.grant, most, **bag)
        self.prefill_posts = channel("prefill_posts", BOOL, 1, over=request, cite="1.3: the router posts to both")
        self.decode_posts = channel("decode_posts", BOOL, 1, over=request, cite="1.3")

    def _declare_prefill(self) -> None:
        """P's engine with its queue server, and the messager processes, which outlive it."""
        self.prefill = Process("prefill")
        self.messager = Process("messager", over=self.rank)
        self.generation_now = world("prefill_generation", self.generation)
        self.orders_lock = Lock("orders_lock", cite="ours: RM.lock, and the queue server's lock for cache tasks")
        home: dict[str, Any] = {"process": self.prefill}
        self.orders = locked("orders", Enum(Order), self.orders_lock, over=(self.request, self.rank), cite="ours: CH2 and CH4 by id", **home)
        self.order_place = locked("order_place", self.place, self.orders_lock, over=self.request, **home)
        self.order_key = locked("order_key", self.key, self.orders_lock, over=self.request, **home)
        self.order_attempt = locked("order_attempt", self.attempt, self.orders_lock, over=self.request, **home)
        places = self.bounds["prefill_places"]
        self.prefill_free = locked("prefill_places_free", Range(0, places), self.orders_lock, init=places, cite="RM.stop_flags, free list", **home)

    def _declare_decode(self) -> None:
        """D's engine, and what its network card knows."""
        self.decode = Process("decode")
        self.places_lock = Lock("places_lock", cite="facts 2.1: RM.lock of D")
        home: dict[str, Any] = {"process": self.decode}
        self.holder = locked("place_holder", Optional(self.request), self.places_lock, over=self.place, cite="D's slots and free list", **home)
        self.lease_generation = locked(
            "lease_generation", Optional(self.generation), self.places_lock, over=self.request, cite="ours: whose lease it is", **home
        )
        self.served = locked("served_generation", self.generation, self.places_lock, cite="ours: older ones are not heard", **home)
        self.key_number = locked("key_number", self.key, self.places_lock, cite="ours: never repeats, hence kept over a crash")
        self.held_place = private("held_place", Optional(self.place), over=self.request)
        self.remote_key = register("remote_key", Optional(self.key), init=0, cite="ours: the key that the card accepts for remote writes")

    def _declare_ghosts(self) -> None:
        """What really happened, for the properties."""
        self.client = ghost("client", Enum(Client), over=self.request)
        self.lease = ghost("lease_of_place", Optional(self.request), over=self.place)
        self.lease_attempt = ghost("lease_attempt", self.attempt, over=self.place)
        self.layers_in = ghost("layers_in_place", Range(0, self.bounds["layers"]), over=(self.place, self.rank))
        self.foreign = ghost("foreign_write", BOOL)
        self.refused = ghost("write_refused", BOOL)
        self.served_once = ghost("decoded", BOOL, over=self.request)
        self.served_after = ghost("decoded_after_restart", BOOL)

    def mortals(self) -> list[Mortal]:
        """Who may crash. P's engine dies alone: its ranks go on writing what they were ordered, which is the worst case."""
        b, r, prefill, decode = self.bounds, choice("rank", self.rank), self.prefill, self.decode
        closed = [self.remote_key.cell().set(None), *self.breaks_connections(), *(self.lease[p].set(None) for p in self.place)]
        back = [prefill.restart(), self.generation_now.cell().add(1)]
        down, up = [self.messager.crash(r)], [self.messager.restart(r)]
        return [
            Mortal("prefill", b["prefill_crashes"], prefill.is_alive(), [prefill.crash()], back, cite="9.7; ours: a new generation"),
            Mortal("decode", b["decode_crashes"], decode.is_alive(), [decode.crash(), *closed], [decode.restart()], cite="9.3; ours: a new key"),
            Mortal("rank", b["rank_crashes"], self.messager.is_alive(r), down, up, (r,), cite="9.6; ours: it finds its orders"),
        ]

    def answers_client(self, request: Expr) -> Effect:
        """Ghost: D answers the client, or the client's connection breaks."""
        client, c = self.client[request], Client
        after = if_else(client == c.NO_ANSWER, c.ONE_ANSWER, c.TWO_ANSWERS)
        return client.set(after)

    def breaks_connections(self) -> list[tuple[Effect, ...]]:
        """Ghosts: D dies, and so do the connections on which clients wait."""
        return [when(self.client[q] == Client.NO_ANSWER, self.client[q].set(Client.ONE_ANSWER)) for q in self.request]

    def opens_lease(self, request: Expr, attempt: Expr, place: Expr) -> list[Effect]:
        """Ghosts: the place is held for that attempt, and nothing is in it."""
        fresh = [self.layers_in[place, r].set(0) for r in self.rank]
        return [self.lease[place].set(request), self.lease_attempt[place].set(attempt), *fresh]

    def writes(self, request: Expr, attempt: Expr, place: Expr, rank: Expr, layer: Expr) -> list[tuple[Effect, ...]]:
        """Ghosts: a layer arrives; only in order and in the own lease does it count."""
        own = (self.lease[place] == request) & (self.lease_attempt[place] == attempt)
        counted = when(own & (self.layers_in[place, rank] == layer), self.layers_in[place, rank].set(layer + 1))
        return [counted, when(~own, self.foreign.set(True))]

    def is_complete(self, place: Expr) -> Expr:
        """Every rank has written every layer of the lease that holds the place."""
        return all_of(self.rank, lambda r: self.layers_in[place, r] == self.bounds["layers"])


BUDGETS = ("losses", "doublings", "write_errors", "prefill_crashes", "decode_crashes", "rank_crashes", "suspicions")
"""The bounds that may be none; the others are at least one."""
