"""P's prefix cache: paths of hashed blocks that requests share, references, and eviction.

A request begins with the full blocks of one path, and has one block more that no other shares. A node is named by its path and its
place on it, so it is in the tree only when the one before it is. A request refers to the nodes that it has matched, and has blocks
of its own for the rest. Blocks need no numbers: a node that is referred to is not evicted, so while it is read it stays one and
the same block.

What changes the tree happens under RM.lock, as in the real thing. Eviction takes a leaf that nobody refers to; here at any
time, there when an allocation finds too little free.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from ...combine import all_of, any_of, count, if_else, sum_of
from ...effect import Effect, each, when
from ...expr import FALSE, Expr
from ...types import BOOL, Enum, Index, Range
from ...variable import Lock, ghost, locked, world


class Entry(IntEnum):
    """A request's block at a place on the path: none, a node it has matched, a node it has made, or its own."""

    NONE, MATCHED, PUBLISHED, OWN = range(4)


class PrefixTree:
    """The tree, the free blocks and the requests' block tables of one prefill instance.

    Args:
        paths: the path of each request. nodes: full blocks on a path. blocks: GPU blocks in all.
        pins: a request refers to what it has matched. Without, a matched node may be evicted under its reader.
        keeps_nodes: a release frees no block that is a node. Without, it frees all of the request's.
        orders: it is remembered which nodes' makers have been scheduled.
    """

    def __init__(self, paths: list[int], nodes: int, blocks: int, pins: bool, keeps_nodes: bool, orders: bool):
        self.request, self.path, self.node = Index("request", len(paths)), Index("path", max(paths) + 1), Index("node", nodes)
        self.blocks, self.pins, self.keeps_nodes, self.orders = blocks, pins, keeps_nodes, orders
        self.path_of = world("request_path", self.path, over=self.request, init=lambda q: paths[q])
        self.lock = Lock("resource_lock", cite="facts 2.1: RM.lock and request_release_lock")
        self.present = locked("node_present", BOOL, self.lock, over=(self.path, self.node), cite="facts 2.1: radix tree")
        self.entry = locked("block_table", Enum(Entry), self.lock, over=(self.request, self.node), cite="facts 2.1: block_tables")
        self.tail = locked("own_block", BOOL, self.lock, over=self.request, cite="facts 2.1: block_tables")
        self.free = locked("blocks_free", Range(0, 2 * blocks), self.lock, init=blocks, cite="facts 2.1: gpu_free_block_list")
        self.scheduled = locked("node_scheduled", BOOL, self.lock, over=(self.path, self.node), cite="not in the real thing")
        self.computed = ghost("node_computed", BOOL, over=(self.path, self.node))
        self.author = ghost("node_author", BOOL, over=(self.path, self.node, self.request))
        self.matched = ghost("node_matched", BOOL, over=(self.request, self.node))
        self.evicted = ghost("node_evicted", BOOL)

    def is_matched(self, q: Any, node: Any) -> Expr:
        """Matching goes along the request's path as far as there are nodes."""
        return all_of(self.node, lambda k: (k > node) | self.present[self.path_of[q], k])

    def extra(self, q: Any) -> Expr:
        """Blocks that the request must allocate if it begins now."""
        return count(self.node, lambda k: ~self.is_matched(q, k)) + 1

    def match(self, q: Any, publishes: bool) -> list[Effect | tuple[Effect, ...]]:
        """Refer to the nodes there are and allocate the rest; with `publishes` the rest are nodes at once (#7364)."""
        rest = Entry.PUBLISHED if publishes else Entry.OWN
        table = each(self.node, lambda k: self.entry[q, k].set(if_else(self.is_matched(q, k), Entry.MATCHED, rest)))
        seen = each(self.node, lambda k: self.matched[q, k].set(self.is_matched(q, k)))
        made = each(self.node, lambda k: when(~self.is_matched(q, k), *self._make(q, k))) if publishes else ()
        return [table, seen, made, self.tail[q].set(True), self.free.sub(self.extra(q))]

    def publish(self, q: Any, computed: bool = False) -> tuple[Effect, ...]:
        """`update_cache_blocks`: the request's own blocks become nodes where there are none yet."""

        def make(k: Any) -> tuple[Effect, ...]:
            new = (self.entry[q, k] == Entry.OWN) & ~self.present[self.path_of[q], k]
            return when(new, self.entry[q, k].set(Entry.PUBLISHED), *self._make(q, k, computed))

        return each(self.node, make)

    def _make(self, q: Any, node: Any, computed: bool = False) -> tuple[Effect, ...]:
        path, sound = self.path_of[q], ~self.reads_uncomputed(q) if computed else FALSE
        mine = each(self.request, lambda i: self.author[path, node, i].set(i == q))
        ordered = [self.scheduled[path, node].set(False)] if self.orders else []
        return (self.present[path, node].set(True), self.computed[path, node].set(sound), *mine, *ordered)

    def schedule(self, q: Any) -> tuple[Effect, ...]:
        """The nodes that the request has made are ordered before whatever is scheduled from now on."""
        return each(self.node, lambda k: when(self.entry[q, k] == Entry.PUBLISHED, self.scheduled[self.path_of[q], k].set(True)))

    def is_ordered(self, q: Any) -> Expr:
        """All that the request has matched has been scheduled."""
        return all_of(self.node, lambda k: (self.entry[q, k] != Entry.MATCHED) | self.scheduled[self.path_of[q], k])

    def reads_uncomputed(self, q: Any) -> Expr:
        """The request has matched a node that does not hold what it should."""
        return any_of(self.node, lambda k: self.matched[q, k] & ~self.computed[self.path_of[q], k])

    def compute(self, q: Any) -> tuple[Effect, ...]:
        """Ghost: the nodes that the request has made hold what they should, if what it read did."""
        path = self.path_of[q]
        return each(self.node, lambda k: when(self.author[path, k, q], self.computed[path, k].set(~self.reads_uncomputed(q))))

    def release(self, q: Any) -> list[Effect | tuple[Effect, ...]]:
        """Dereference the nodes, and free what is no node."""
        mine = (Entry.OWN,) if self.keeps_nodes else (Entry.OWN, Entry.PUBLISHED)
        own = count(self.node, lambda k: self.entry[q, k].is_in(*mine))
        forgotten = each(self.node, lambda k: (self.entry[q, k].set(Entry.NONE), self.matched[q, k].set(False)))
        return [forgotten, self.tail[q].set(False), self.free.add(own + 1)]

    def is_evictable(self, path: Any, node: Any) -> Expr:
        """A leaf that nobody refers to."""
        kinds = (Entry.MATCHED, Entry.PUBLISHED) if self.pins else (Entry.PUBLISHED,)
        referred = any_of(self.request, lambda q: (self.path_of[q] == path) & self.entry[q, node].is_in(*kinds))
        leaf = all_of(self.node, lambda k: (k <= node) | ~self.present[path, k])
        return self.present[path, node] & leaf & ~referred

    def evict(self, path: Any, node: Any) -> list[Effect | tuple[Effect, ...]]:
        """The node's block is free again, and whoever takes it next writes over it."""
        nobody = each(self.request, lambda q: self.author[path, node, q].set(False))
        return [self.present[path, node].set(False), self.free.add(1), self.computed[path, node].set(False), nobody, self.evicted.set(True)]

    def nodes_present(self) -> Expr:
        """Blocks in the tree."""
        return sum_of(self.path, lambda f: count(self.node, lambda k: self.present[f, k]))

    def held(self) -> Expr:
        """Blocks in requests' hands alone."""
        return sum_of(self.request, lambda q: count(self.node, lambda k: self.entry[q, k] == Entry.OWN)) + count(self.request, lambda q: self.tail[q])

    def any_node(self, body: Callable[[Any, Any], Expr]) -> Expr:
        """Whether some node of some path satisfies the body."""
        return any_of(self.path, lambda f: any_of(self.node, lambda k: body(f, k)))
