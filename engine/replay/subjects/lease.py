"""A lease of a place at D along `lease`: P's ranks write what they were ordered into the place that their order names.

P computes a request when it orders the writes; the order names P's blocks, and a rank that goes on writing after P has died reads what
lies in them by then. D's card refuses a write where its row does; it knows of no owner.
"""

from __future__ import annotations

from typing import Any

from protocol.machines.network.terms import Client

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .places import PLACE_BLOCKS, Places

ANSWERS = tuple(f"reservation.{event}" for event in ("expire", "expire_held", "fail", "finish", "release_fenced"))
"""Rows in which D answers a client, or has done so."""


class Lease(Places):
    """One P of some ranks, one D with places."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, whatever fails."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Blocks on P for every request; on D, a place's blocks for every place."""
        requests, ranks = self.index("exchange", "request").size, self.config.get("ranks", 1)
        self.places: int = self.config.get("decode_places", 1)
        self.groups = layer_groups(self.config.get("layers", 2))
        self.instance("prefill", requests * PROMPT_BLOCKS, ranks)
        self.instance("decode", self.places * PLACE_BLOCKS, ranks)
        self.arrived: set[int] = set()
        self.first: dict[int, Floats] = {}
        self.orders: dict[tuple[int, int], tuple[int, ...]] = {}
        for q in range(requests):
            self.request(q, q)

    @after("reservation.arrive")
    def arrive(self, step: Step) -> None:
        """A client waits at D."""
        self.arrived.add(step.copy[0])

    @after("exchange.order_write")
    def compute(self, step: Step) -> None:
        """P computes into blocks of its own."""
        (q,), prefill = step.copy, self.instances["prefill"]
        table = prefill.hold(q, PROMPT_BLOCKS)
        self.first[q] = prefill.step([(q, Chunk(self.answers[q].prompt, 0, table))])[0]

    @after("writer.take_order")
    def take(self, step: Step) -> None:
        """A rank learns P's blocks."""
        q, rank = step.copy
        self.orders[q, rank] = tuple(self.instances["prefill"].held_by(q))

    @after("writer.write_layer", "writer.write_last")
    def write(self, step: Step) -> None:
        """A one-sided write of a layer into the place that the order names."""
        q, rank = step.copy
        layers, there = self.groups[step.before("write_layer", q, rank)], self.place(step.before("write_place", q, rank))
        self.instances["decode"].receive(self.instances["prefill"], rank, layers, self.orders[q, rank], there[:PROMPT_BLOCKS], q)

    @after("reservation.insert")
    def commit(self, step: Step) -> None:
        """The first token: D decodes from the request's place."""
        (q,) = step.copy
        self.answers[q].add(self.first[q])
        self.insert(q, self.place(step.before("held_place", q)))

    @after("reservation.finish")
    def end(self, step: Step) -> None:
        """The last token."""
        self.complete(step.copy[0])

    def settled(self, step: Step) -> None:
        """Whose place is whose, who has an answer, and what P gives back."""
        if step.touches("place_holder"):
            for number in range(self.places):
                self._occupy(number, step.after("place_holder", number))
        if step.name in ANSWERS:
            self.answers[step.copy[0]].over = True
        if step.touches("client") and any(step.after("client", q) == Client.TWO_ANSWERS != step.before("client", q) for q in self.answers):
            self.noted["client answered twice"] += 1
        if step.touches("prefill_places_free") and step.after("prefill_places_free") > step.before("prefill_places_free"):
            self.instances["prefill"].free(step.copy[0])

    def _occupy(self, number: int, owner: int | None) -> None:
        decode = self.instances["decode"]
        for block in self.place(number):
            decode.holder.pop(block, None)
        if owner is not None:
            decode.give(owner, self.place(number))

    def roles(self) -> list[object]:
        """With the crashes, where they may happen."""
        return [self, *(role(self) for role in (PrefillCrash, DecodeCrash) if self.has(role))]


class PrefillCrash:
    """P's engine dies; its ranks do not."""

    def __init__(self, world: Lease):
        self._world = world

    @after("faults.crash_prefill")
    def crash(self, step: Step) -> None:
        """P's next life has all its blocks."""
        self._world.instances["prefill"].holder.clear()


class DecodeCrash:
    """D's engine dies, and what ran on it."""

    def __init__(self, world: Lease):
        self._world = world

    @after("faults.crash_decode")
    def crash(self, step: Step) -> None:
        """Its places are free, nothing runs, and the connections of the clients that it knew break."""
        world = self._world
        world.instances["decode"].holder.clear()
        world.running.clear()
        for q in world.arrived:
            world.answers[q].over = True
