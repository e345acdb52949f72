"""What is really in the blocks of P's prefix cache: ghosts that its ranks and messagers store to, and what is asked of the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...combine import all_of, any_of, conjunction, count, disjunction, if_else, sum_of
from ...effect import when
from ...expr import Expr
from ...operators import lift
from ...properties import Property, always, never, sometimes
from .prefix_cache import COUNTED, may_be_early

if TYPE_CHECKING:
    from .plane import Plane


def computes(p: Plane, q: Any, task: Any) -> Expr:
    """The task is a chunk, and none that the request has found: its ranks compute it."""
    return p.is_chunk(task) & (p.chunk_of(task) > p.cache.found[q]) if p.cache is not None else p.is_chunk(task)


def is_gone(p: Plane, q: Any, chunk: Any) -> Expr:
    """The block of that chunk is not the request's any more: freed, or evicted under it."""
    freed = ~p.prefill_holds[q]
    if p.cache is None:
        return freed
    return disjunction([freed, *((lift(chunk) == k + 1) & p.cache.lost[q, k] for k in p.cache.places)])


def note_write(p: Plane, q: Any, chunk: Any, layer: Any, rank: Any, really: Expr) -> list[Any]:
    """A rank writes a layer of a block that has been a node since before it was computed."""
    if p.cache is None or not may_be_early(p):
        return []
    prefix = p.cache.prefix_of(q)
    mine = [(k, really & (lift(chunk) == k + 1) & (p.cache.author[prefix, k] == q)) for k in p.cache.places]
    return [when(here, p.cache.written[rank, prefix, k].set(lift(layer) + 1)) for k, here in mine]


def note_read(p: Plane, task: Callable[[Any], Expr], layer: Any, rank: Any) -> list[Any]:
    """A rank's batch has written this layer, and reads the blocks before: those of its chunks that it computes itself do."""
    cache = p.cache
    if cache is None:
        return []

    def is_written(q: Any, k: int) -> Expr:
        return cache.written[rank, cache.prefix_of(q), k] > layer

    def reads(q: Any, k: int) -> Expr:
        return computes(p, q, task(q)) & (p.chunk_of(task(q)) > k + 1)

    def misses(q: Any, k: int) -> Expr:
        return (cache.found[q] > k) & ~is_written(q, k) | cache.lost[q, k]

    def passes(q: Any, k: int) -> Expr:
        here = p.is_chunk(task(q)) & (p.chunk_of(task(q)) == k + 1) & (cache.found[q] > k)
        return here & is_written(q, k) & ~cache.lost[q, k] & (p.computed[rank, q] + 1 == p.marks(k + 1, layer))

    each_block = [(q, k) for q in p.request for k in cache.places]
    wrong = disjunction([reads(q, k) & misses(q, k) for q, k in each_block])
    effects: list[Any] = [when(passes(q, k), p.computed[rank, q].set(p.marks(k + 1, layer))) for q, k in each_block]
    effects.append(when(wrong, cache.uncomputed_read.set(True)))
    if p.bounds.control:
        other = [reads(q, k) & (cache.found[q] > k) & (cache.version[cache.prefix_of(q), k] != p.rank_weights[rank]) for q, k in each_block]
        effects.append(when(disjunction(other), p.mixed.set(True)))
    return effects


def prefix_cache_properties(p: Plane) -> list[Property]:
    """CH-S6, and CH-S4 of the blocks: each is free, a node, or one request's alone, and who uses a node is counted."""
    if p.cache is None:
        return []
    prefix, place = p.cache.prefix, p.cache.place

    def uses(its: Plane, q: Expr, k: Expr) -> Expr:
        return its.cache.table[q, k].is_in(*COUNTED)

    def own(its: Plane, q: Expr) -> Expr:
        return if_else(its.slot_of[q].is_none, 0, its.prompt_chunks[q] - count(place, lambda k: uses(its, q, k)))

    def is_counted(its: Plane, f: Expr, k: Expr) -> Expr:
        return its.cache.users[f, k] == count(p.request, lambda q: (its.cache.prefix_of(q) == f) & uses(its, q, k))

    def are_there(its: Plane) -> Expr:
        nodes = sum_of(prefix, lambda f: count(place, lambda k: its.cache.kept[f, k]))
        return its.cache.free + nodes + sum_of(p.request, lambda q: own(its, q)) == p.bounds.all_blocks

    def every(its: Plane) -> Expr:
        return are_there(its) & all_of(prefix, lambda f: all_of(place, lambda k: is_counted(its, f, k)))

    def two_share(its: Plane) -> Expr:
        return any_of(prefix, lambda f: any_of(place, lambda k: its.cache.users[f, k] > 1))

    def found(q: Expr) -> Expr:
        return (p.at_home(q).cache.found[q] > 0) & p.at_home(q).produced[q]

    twins = [sometimes("some_prefix_found", any_of(p.request, found), about="twin of CH-S6: a request that is through had found blocks")]
    if p.bounds.slots > 1:
        twins.append(sometimes("some_two_share_blocks", disjunction([two_share(its) for its in p.prefills]), about="twin of CH-S6"))
    if p.bounds.prefixes > 1:
        twins.append(sometimes("some_node_evicted", p.cache.evicted, about="twin of CH-S6 and of the counts"))
    return [
        never("uncomputed_read", p.cache.uncomputed_read, about="CH-S6: what a forward finds in the cache is computed, and still there"),
        always(
            "blocks_counted",
            conjunction([every(its) for its in p.prefills]),
            about="CH-S4 on P: every block is free, a node or one request's, and users are counted",
        ),
        *twins,
    ]
