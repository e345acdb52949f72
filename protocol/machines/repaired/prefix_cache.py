"""P's prefix cache: blocks whose contents other requests begin with, found by what they hold, and shared by counting who uses them.

A chunk is a block here. Requests of one prefix have all chunks in common but their last, which each computes itself, for the next token
comes of it. A block becomes part of the cache, a *node*, when the forward that computed it is known to be over: to the gate, or by
the request's first token, whichever P sees first. Earlier, others would find what nobody has written, and what is aborted never will be
(H-08). A request that gets its slot finds the nodes that it begins with, as far as there is one behind the other, and takes free blocks for the
rest; it counts among the users of each until it is released, a node that it has made itself included. What nobody uses is evicted for
whoever needs room, the last of a prefix first.

A chunk that was found costs its rows and no forward: the ranks signal it, and the messagers send it to D like all others. So nobody but
the three who hold, publish and release sees that there is a cache. Blocks need no numbers: while a node is counted it stays one
and the same block. P's engine process owns it all, and its end is the cache's; new weights empty it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from ...combine import all_of, any_of, conjunction, count, disjunction, if_else, sum_of
from ...effect import each, when
from ...expr import FALSE, TRUE, Expr
from ...operators import lift
from ...slice import slice_of
from ...types import BOOL, Enum, Index, Optional, Range
from ...variable import ghost, locked

if TYPE_CHECKING:
    from .plane import Plane


class Block(IntEnum):
    """A block of a request's table is ..."""

    NONE, FOUND, SHARED, OWN = range(4)


COUNTED = (Block.FOUND, Block.SHARED)
"""Blocks that are nodes: those that the request has found, and those that it has made."""


@dataclass(frozen=True)
class PrefixCache:
    """The variables of the cache, and ghosts on what its blocks really hold; see `Plane.cache`.

    Args:
        prefix, place: which beginning; which block of it. prefix_of: the beginning of a request's prompt.
        kept, users, free: the nodes, who uses each, how many blocks nobody has. table: the request's blocks, but for its last.
        computing: chunks of the request that are computed when the forward under way is over.
        found: ghost: how many blocks the request has found. written: ghost: layers in a node's block. version: ghost: their weights.
        author: ghost: who is to compute a node. lost: ghost: a block of a table has been evicted. evicted: ghost: some has been.
    """

    prefix: Index
    place: Index
    prefix_of: Callable[[Any], Expr]
    kept: Any
    users: Any
    free: Any
    table: Any
    computing: Any
    found: Any
    written: Any
    version: Any
    author: Any
    lost: Any
    evicted: Any
    uncomputed_read: Any

    @classmethod
    def create(cls, p: Plane) -> PrefixCache | None:
        """The empty cache of each prefill instance; None where the bounds have none."""
        bounds, instances = p.bounds, p.instances
        if not bounds.prefixes:
            return None
        prefix, place = Index("prefix", bounds.prefixes), Index("place", bounds.chunks - 1)
        nodes, tables = (*instances, prefix, place), (*instances, p.request, place)
        own = partial(locked, lock=p.resources, process=p.engine_process)
        of_prefill = partial(ghost, process=p.prefill_process)
        tree, lists = "cache_handshake facts 2.1: radix tree", "cache_handshake facts 2.1: block_tables"
        return cls(
            prefix,
            place,
            lambda q: p.routed(q, prefix, lambda number: number // bounds.prefills % bounds.prefixes),
            kept=own("node_kept", BOOL, over=nodes, cite=tree),
            users=own("node_users", Range(0, bounds.requests), over=nodes, cite=tree),
            free=own(
                "blocks_free",
                Range(0, bounds.all_blocks),
                over=instances,
                init=bounds.all_blocks,
                cite="cache_handshake facts 2.1: gpu_free_block_list",
            ),
            table=own("block_table", Enum(Block), over=tables, cite=lists),
            computing=own("computing_chunks", Range(0, bounds.chunks), over=(*instances, p.request), cite="num_computed_tokens of the batch"),
            found=of_prefill("blocks_found", Range(0, bounds.chunks - 1), over=(*instances, p.request)),
            written=of_prefill("node_layers_written", Range(0, bounds.layers), over=(*p.each_rank, prefix, place)),
            version=of_prefill("node_weights", Range(0, 1), over=nodes),
            author=of_prefill("node_author", Optional(p.request), over=nodes),
            lost=of_prefill("block_evicted_under", BOOL, over=tables),
            evicted=ghost("node_evicted", BOOL),
            uncomputed_read=ghost("uncomputed_node_read", BOOL),
        )

    def at(self, *instance: Any) -> PrefixCache:
        """The cache of that prefill instance."""
        own = (f.name for f in fields(self) if f.name not in ("prefix", "place", "prefix_of", "evicted", "uncomputed_read"))
        sliced: dict[str, Any] = {name: slice_of(getattr(self, name), instance) for name in own}
        return replace(self, **sliced)

    @property
    def places(self) -> range:
        """The places of the blocks that may be shared."""
        return range(self.place.size)


# -- what P does with it, under the lock of its resources -------------------------------------------------------------


def _is_shareable(p: Plane, q: Any, place: int) -> Expr:
    """There is a chunk behind this one: the last is computed by each."""
    return p.prompt_chunks[q] > place + 1


def _is_found(p: Plane, q: Any, place: int) -> Expr:
    """A request that gets its slot now finds this block."""
    cache = p.cache
    return conjunction([*(cache.kept[cache.prefix_of(q), k] for k in range(place + 1)), _is_shareable(p, q, place)])


def _needed(p: Plane, q: Any) -> Expr:
    """Free blocks that a request takes which gets its slot now."""
    needed: Expr = p.prompt_chunks[q]
    for place in p.cache.places:
        needed = if_else(_is_found(p, q, place), p.prompt_chunks[q] - (place + 1), needed)
    return needed


def has_room(p: Plane, q: Any) -> Expr:
    """There are blocks for the request, with those that it finds."""
    return p.cache.free >= _needed(p, q) if p.cache is not None else TRUE


def take(p: Plane, q: Any) -> list[Any]:
    """The request's table: what it finds, and free blocks behind."""
    cache = p.cache
    if cache is None:
        return []
    prefix, effects = cache.prefix_of(q), [cache.free.sub(_needed(p, q))]
    found: Expr = lift(0)
    for k in cache.places:
        finds = _is_found(p, q, k)
        found = if_else(finds, k + 1, found)
        makes = _is_shareable(p, q, k) & ~cache.kept[prefix, k] if not p.rules.publishes_computed else FALSE
        own = if_else(_is_shareable(p, q, k), Block.OWN, Block.NONE)
        effects.append(cache.table[q, k].set(if_else(finds, Block.FOUND, if_else(makes, Block.SHARED, own))))
        if p.rules.counts_users:
            effects += when(finds, cache.users[prefix, k].add(1))
        effects += when(makes, *_make(p, prefix, k, q, lambda r: lift(0))) if not p.rules.publishes_computed else ()
    return [*effects, cache.found[q].set(found)]


def may_be_early(p: Plane) -> bool:
    """Whether a rule is left out on which it rests that a node is computed when it is made."""
    rules = p.rules
    return not (rules.publishes_computed and rules.speaks_in_stream and rules.lowers_behind_barrier and rules.meets_at_top)


def _make(p: Plane, prefix: Any, place: int, author: Any, written: Callable[[Any], Expr]) -> list[Any]:
    """The author's block becomes a node, with so many layers written."""
    cache = p.cache
    effects = [cache.kept[prefix, place].set(True), *([cache.users[prefix, place].set(1)] if p.rules.counts_users else [])]
    effects += [cache.written[r, prefix, place].set(written(r)) for r in p.rank]
    return [*effects, cache.author[prefix, place].set(author)] if may_be_early(p) else effects


def publish(p: Plane, requests: Iterable[Any], until: Callable[[Any], Expr]) -> list[Any]:
    """The chunks of these requests that are computed, so many of each, become nodes where there are none: of equal ones the first."""
    cache = p.cache
    if cache is None or not p.rules.publishes_computed:
        return []
    effects: list[Any] = []
    listed = list(requests)
    for k in cache.places:

        def is_due(q: Any, k: int = k) -> Expr:
            return (cache.table[q, k] == Block.OWN) & (until(q) > k) & ~cache.kept[cache.prefix_of(q), k]

        for n, q in enumerate(listed):
            before = [is_due(i) & (cache.prefix_of(i) == cache.prefix_of(q)) for i in listed[:n]]
            own = [cache.table[q, k].set(Block.SHARED), *_make(p, cache.prefix_of(q), k, q, partial(_layers, p, q, k))]
            if p.bounds.control:
                own.append(cache.version[cache.prefix_of(q), k].set(if_else(p.served_by[q] == 1, 1, 0)))
            effects += when(is_due(q) & ~disjunction(before), *own)
    return effects


def _layers(p: Plane, q: Any, place: int, rank: Any) -> Expr:
    """Layers of that chunk that the rank has really written."""
    there: Expr = lift(0)
    for layer in range(p.layers):
        there = if_else(p.computed[rank, q] > place * p.layers + layer, layer + 1, there)
    return there


def release(p: Plane, q: Any) -> list[Any]:
    """The request is none of the users of its blocks any more, and its own are free."""
    cache = p.cache
    if cache is None:
        return []
    prefix = cache.prefix_of(q)
    shared = count(cache.place, lambda k: cache.table[q, k].is_in(*COUNTED))
    effects: list[Any] = [*when(~p.slot_of[q].is_none, cache.free.add(p.prompt_chunks[q] - shared))]
    for k in cache.places:
        if p.rules.counts_users:
            effects += when(cache.table[q, k].is_in(*COUNTED), cache.users[prefix, k].sub(1))
        effects += [cache.table[q, k].set(Block.NONE), cache.lost[q, k].set(False)]
        if may_be_early(p):
            effects += when(cache.author[prefix, k] == q, cache.author[prefix, k].set(None))
    return [*effects, cache.computing[q].set(0), cache.found[q].set(0)]


def is_evictable(p: Plane, prefix: Any, place: Any) -> Expr:
    """Nobody uses the node, none follows it, and somebody needs room."""
    cache = p.cache
    last = all_of(cache.place, lambda k: (k <= place) | ~cache.kept[prefix, k])
    return cache.kept[prefix, place] & (cache.users[prefix, place] == 0) & last


def is_short(p: Plane, waits: Callable[[Expr], Expr]) -> Expr:
    """A request that waits for its slot finds too little room."""
    return any_of(p.request, lambda q: waits(q) & ~has_room(p, q))


def evict(p: Plane, prefix: Any, place: Any) -> list[Any]:
    """The node's block is free; whoever still counts on it reads what others write there."""
    cache = p.cache

    def reads(q: Any) -> Expr:
        return (cache.prefix_of(q) == prefix) & cache.table[q, place].is_in(*COUNTED)

    effects = [*_forget(p, prefix, place), cache.free.add(1), cache.evicted.set(True)]
    return [*effects, each(p.request, lambda q: when(reads(q), cache.lost[q, place].set(True)))]


def _forget(p: Plane, prefix: Any, place: Any) -> list[Any]:
    cache = p.cache
    gone = [cache.kept[prefix, place].set(False), *(cache.written[r, prefix, place].set(0) for r in p.rank)]
    return [*gone, cache.version[prefix, place].set(0)] if p.bounds.control else gone


def clear(p: Plane) -> list[Any]:
    """New weights: what nobody uses is found no more; while there is a pause nobody uses any."""
    cache = p.cache
    if cache is None or not p.rules.forgets_with_weights:
        return []

    def unused(f: Any, k: Any) -> Expr:
        return cache.kept[f, k] & (cache.users[f, k] == 0)

    forgotten = [when(unused(f, k), *_forget(p, f, k)) for f in cache.prefix for k in cache.places]
    return [*forgotten, cache.free.add(sum_of(cache.prefix, lambda f: count(cache.place, lambda k: unused(f, k))))]
