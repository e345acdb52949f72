"""The engine's prefix cache takes steps that the rows of the repaired protocol allow: what it finds, publishes, counts and evicts.

Random walks of the whole protocol with a prefix cache. At the rows at which the engine's handlers ask their cache for something, a
cache with numbered blocks is asked for it; what it chooses to evict is evicted by the rows, and then both have the same in them.
"""

from __future__ import annotations

import random
from typing import Any, cast

from engine.model.kv_cache import BlockPool
from engine.model.prefix_cache import PrefixCache
from protocol.action import Instance
from protocol.evaluate import loader, may_fire, successor
from protocol.machines.repaired.plane import Stage
from protocol.machines.repaired.protocol import build

BLOCKS, CHUNKS, PREFIXES, TOKENS = 4, 3, 2, 2
SYSTEM = build(requests=3, slots=2, room=3, turns=4, chunks=CHUNKS, prefixes=PREFIXES, blocks=BLOCKS, aborts=True, errors=True)
INSTANCES = [i for i in SYSTEM.instances() if not i.action.row.poll]
FAULTS, RARE = ("router.abort_alone", "router.abort_at_prefill", "sender.fail_to_write"), 0.001
LOOPS = {"worker": 0.05}
"""A rank's loop goes round and round, and a walk should get on."""
REQUESTS, STEPS = 3, 900


class Walk:
    """One walk, and the cache that goes along."""

    def __init__(self, seed: int):
        self.rng, self.system, self.state = random.Random(seed), SYSTEM, SYSTEM.initial_state()
        self.cache = PrefixCache(BlockPool(BLOCKS), TOKENS)
        self.seen = {"found": 0, "evicted": 0, "shared": 0}

    def run(self) -> None:
        """Steps until none is left."""
        for _ in range(STEPS):
            enabled = [i for i in INSTANCES if may_fire(i, loader(self.system, self.state))]
            if not enabled:
                return
            chosen = self.rng.choices(enabled, [RARE if i.action.name in FAULTS else LOOPS.get(i.action.machine.name, 1) for i in enabled])[0]
            if chosen.action.name == "prepare.evict":
                self.make_room()
            else:
                self.fire(chosen)

    def value(self, name: str, *where: int) -> Any:
        """A cell of the protocol."""
        return loader(self.system, self.state)(self.system.variable(name), where)

    def fire(self, instance: Instance) -> None:
        """The row, and what the engine's handler of it does."""
        event, q = instance.action.name, cast(int, instance.environment().get("request"))
        self.state = successor(self.system, self.state, instance)
        if event == "prepare.hold":
            self.hold(q)
        elif event == "gate.find_forward_over":
            for i in range(REQUESTS):
                self.publish(i, self.value("computing_chunks", i))
        elif event == "token_processor.note_token":
            self.publish(q, self.value("prompt_chunks", q))
        elif event.startswith("completer.release_"):
            self.cache.release(q)
        self.compare()

    def publish(self, q: int, chunks: int) -> None:
        """So many chunks of the request are known to be computed."""
        if q in self.cache:
            self.cache.publish(q, chunks * TOKENS)

    def make_room(self) -> None:
        """A request that waits for room: the engine evicts and takes in one handler, the protocol in several rows."""
        q = next((q for q in range(REQUESTS) if self.is_short(q)), None)
        if q is None:
            return
        before = self.nodes()
        self.cache.take(q, self.prompt(q), self.value("prompt_chunks", q))
        victims = sorted(before - self.nodes(), key=lambda node: -node[1])
        for prefix, place in victims:
            self.take_row("prepare.evict", prefix=prefix, place=place)
        self.take_row("prepare.hold", request=q)
        self.seen["evicted"] += len(victims)
        self.compare()

    def is_short(self, q: int) -> bool:
        """The request could be held, but for room that the engine would make."""
        granted = self.value("request.state", q) == Stage.GRANTED
        slots = sum(self.value("slot_of", i) is not None for i in range(REQUESTS)) < 2
        return granted and slots and self.cache.needed(self.prompt(q), self.value("prompt_chunks", q)) <= self.cache.free

    def take_row(self, event: str, **chosen: int) -> None:
        """That row, which must be possible."""
        fits = [i for i in INSTANCES if i.action.name == event and chosen.items() <= i.environment().items()]
        enabled = [i for i in fits if may_fire(i, loader(self.system, self.state))]
        assert enabled, f"the engine does what no row allows: {event} {chosen}"
        self.state = successor(self.system, self.state, enabled[0])

    def hold(self, q: int) -> None:
        """The request has a slot of P, and there is room."""
        before = self.nodes()
        self.cache.take(q, self.prompt(q), self.value("prompt_chunks", q))
        assert self.nodes() == before

    def prompt(self, q: int) -> list[int]:
        """The tokens of the request: those of its prefix, and one of its own behind them, which fills no block."""
        prefix = q % PREFIXES
        return [100 * prefix + n for n in range(TOKENS * (self.value("prompt_chunks", q) - 1))] + [1000 + q]

    def nodes(self) -> set[tuple[int, int]]:
        """What the engine's cache keeps: prefixes and places."""
        return {node for node, digest in DIGESTS.items() if digest in self.cache._block_of}

    def compare(self) -> None:
        """Both keep the same, for as many users, and have as many blocks free."""
        self.cache.check()
        users = {node: self.cache._users[self.cache._block_of[DIGESTS[node]]] for node in self.nodes()}
        places = [(f, k) for f in range(PREFIXES) for k in range(CHUNKS - 1)]
        assert users == {node: self.value("node_users", *node) for node in places if self.value("node_kept", *node)}
        assert self.cache.free - sum(not count for count in users.values()) == self.value("blocks_free")
        for q in range(REQUESTS):
            found = self.cache.lease(q).cached_tokens // TOKENS if q in self.cache else 0
            assert found == self.value("blocks_found", q)
            self.seen["found"] += found
        self.seen["shared"] += any(count > 1 for count in users.values())


def digests() -> dict[tuple[int, int], bytes]:
    """The digest of every place of every prefix."""
    cache = PrefixCache(BlockPool(BLOCKS), TOKENS)
    chains = {f: cache._digests([100 * f + n for n in range(TOKENS * (CHUNKS - 1))]) for f in range(PREFIXES)}
    return {(f, k): digest for f, chain in chains.items() for k, digest in enumerate(chain)}


DIGESTS = digests()


def test_the_engine_keeps_finds_and_evicts_as_the_rows_do() -> None:
    walks = [Walk(seed) for seed in (1, 2)]
    for walk in walks:
        walk.run()
    assert all(any(walk.seen[what] for walk in walks) for what in ("found", "evicted", "shared"))
