"""The prefix cache of P: may a request match a node whose KV nobody has computed yet, or ever will?

Each request is prepared by a thread of its own (E1), or all by one, in order (E0). When its blocks become nodes is the
question:

- *at the schedule* (before #7364; `update_cache_blocks` inside `schedule()`): not computed yet, but its forward is ordered before
  that of any request that matches later;
- *at preallocation* (#7364): before D has even answered;
- *computed* (ours): by the thread that learns that the forward is over.

A request that D refuses, once in a run, gives its blocks back by dereferencing: nodes stay.

*Ordered* is the other way to mend it, and no mend: nodes are made at preallocation, and a request is scheduled only when all that it
has matched has been. What it reads is computed, but it waits for the decode instance of another request, for ever if that is refused.

Left out: chunks (a chunk's blocks are published with it), the tree's branches, CPU and storage tiers (see `slow_match`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, me
from ...effect import when
from ...errors import DefinitionError
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, always, deadlock, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Optional, Sequence
from ...variable import channel, ghost, locked, private
from ..arguments import one_of, within
from .prefix_tree import PrefixTree

_row = partial(Row, actor="prefill")


class Stage(IntEnum):
    """For the resource manager the request is ..."""

    QUEUED, HELD, RUNNING, SCHEDULED, DONE, FAILED = range(6)


class Prepare(IntEnum):
    """The thread that prepares the request is ..."""

    WAITING, ASKING, ADDING, RECYCLING, DONE = range(5)


class Forward(IntEnum):
    """The workers are ..."""

    IDLE, COMPUTING, COMPUTED = range(3)


class Sender(IntEnum):
    """The messager is ..."""

    IDLE, SENDING = range(2)


class CacheManager(IntEnum):
    """The cache manager is ..."""

    RUNNING = 0


@dataclass(frozen=True)
class Variant:
    """When a request's blocks become nodes, and who prepares.

    Args:
        single: one thread prepares all, in order. at: "preallocation", "schedule" or "computed".
        ordered: a request is scheduled only when all that it has matched has been.
        pins, keeps_nodes: see `PrefixTree`. evicts: there is an eviction.
    """

    name: str
    single: bool
    at: str
    ordered: bool = False
    pins: bool = True
    keeps_nodes: bool = True
    evicts: bool = True


VARIANTS = {
    v.name: v
    for v in (
        Variant("E0", True, "schedule"),
        Variant("E1", False, "schedule"),
        Variant("E0_7364", True, "preallocation"),
        Variant("E1_7364", False, "preallocation"),
        Variant("repaired", False, "computed"),
        # The other way to mend it: as after #7364, with the order kept.
        Variant("ordered", False, "preallocation", ordered=True),
        # Ours with a part left out, to show that the part is needed.
        Variant("unpinned", False, "computed", pins=False),
        Variant("frees_nodes", False, "computed", keeps_nodes=False),
        Variant("unevicted", False, "computed", evicts=False),
    )
}


def build(variant: str = "repaired", paths: str = "00", nodes: int = 1, blocks: int = 4, refusals: int = 1) -> System:
    """The prefix cache at these bounds.

    Args:
        variant: one of VARIANTS. paths: a digit a request: the prefix that it begins with. nodes: full blocks of a prefix.
        blocks: P's blocks. refusals: how many requests, from the first, D may refuse.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(VARIANTS, variant=variant)
    if not paths.isdigit() or max(map(int, paths)) >= len(paths):
        raise DefinitionError(f"paths={paths!r}: choose one of {', '.join(map(str, range(len(paths) or 1)))} for each request")
    within(1, 3, nodes=nodes)
    within(nodes + 1, 12, blocks=blocks)
    within(0, len(paths), refusals=refusals)
    c = _Cache(VARIANTS[variant], [int(p) for p in paths], nodes, blocks, refusals)
    return System("prefix_cache", [c.prepare(), c.forward(), c.sender(), c.cache_manager()], c.properties(), doc=__doc__ or "")


class _Cache:
    """The machines around one tree."""

    def __init__(self, variant: Variant, paths: list[int], nodes: int, blocks: int, refusals: int):
        self.variant, self.refusals = variant, refusals
        self.tree = PrefixTree(paths, nodes, blocks, variant.pins, variant.keeps_nodes, variant.ordered)
        self.request = self.tree.request
        self.stage = locked("request_stage", Enum(Stage), self.tree.lock, over=self.request, cite="facts 2.1: RM.requests, running")
        self.running = locked("running", Sequence(self.request, len(paths)), self.tree.lock, cite="facts 2.1: RM.running, in order")
        self.work = channel("prefilled_queue", self.request, len(paths), cite="cache_prefilled_engine_ids_queue")
        self.finishing = channel("finishing", self.request, len(paths), cite="CH4 and finish_execution_pool")
        self.read_uncomputed = ghost("uncomputed_read", BOOL)
        self.sent_uncomputed = ghost("uncomputed_sent", BOOL)
        self.hand = private("request_in_forward", Optional(self.request))
        self.waits = ghost("will_be_computed", BOOL, over=self.request)

    def prepare(self) -> Machine:
        """P.F or P.F1 .. FN: match, ask D, make schedulable."""
        q, p, tree, stage = me(self.request), Prepare, self.tree, self.stage
        first = all_of(self.request, lambda i: (i >= q) | ~stage[i].is_in(Stage.QUEUED, Stage.HELD)) if self.variant.single else TRUE
        hold = [stage[q].set(Stage.HELD), self.waits[q].set(True), *tree.match(q, self.variant.at == "preallocation")]
        recycle = [stage[q].set(Stage.FAILED), self.waits[q].set(False), *tree.release(q)]
        add = [stage[q].set(Stage.RUNNING), self.running.push(q)]
        step = partial(_row, under=tree.lock)
        # fmt: off
        rows = [
            step("hold",        p.WAITING,   p.ASKING,    first & (tree.free >= tree.extra(q)), hold, cite="4.3; #7364, H-08"),
            _row("see_grant",   p.ASKING,    p.ADDING,                                       cite="4.6: any time later"),
            _row("see_refusal", p.ASKING,    p.RECYCLING, q < self.refusals, fair="none",    cite="4.6, 9.1"),
            step("recycle",     p.RECYCLING, p.DONE,      TRUE, recycle,                     cite="4.6: only dereferences; H-08b"),
            step("add_to_running", p.ADDING, p.DONE,      TRUE, add, cite="4.8"),
        ]
        # fmt: on
        return Machine("prepare", p, rows, copies=self.request, final=p.DONE, doc="P.F: one request's preparation (5.1, 5.2).")

    def forward(self) -> Machine:
        """P.S, the workers and what P.T learns of them, one request a forward: later forwards read what earlier ones wrote."""
        q, f, tree, hand = choice("request", self.request), Forward, self.tree, self.hand
        at = self.variant.at
        if self.variant.ordered:
            ready, take, made = self.running.has(q) & tree.is_ordered(q), self.running.remove(q), tree.schedule(q)
        else:
            ready, take = (self.running.length > 0) & (self.running.head == q), self.running.pop()
            made = tree.publish(q) if at == "schedule" else ()
        schedule = [self.stage[q].set(Stage.SCHEDULED), take, hand.set(q), *made]
        compute = [self.work.send(q), when(tree.reads_uncomputed(q), self.read_uncomputed.set(True)), tree.compute(q), self.waits[q].set(False)]
        report = [hand.set(None), *(tree.publish(q, computed=True) if at == "computed" else ())]
        step = partial(_row, choose=(q,))
        rows = [
            step("schedule", f.IDLE, f.COMPUTING, ready, schedule, under=tree.lock, cite="7.1"),
            step("compute", f.COMPUTING, f.COMPUTED, hand == q, compute, cite="4.8: reads what it has matched"),
            step("report", f.COMPUTED, f.IDLE, hand == q, report, under=tree.lock, cite="4.9; ours: nodes are made when computed"),
        ]
        return Machine("forward", f, rows, final=f.IDLE, doc="P.S, P.W and P.T: schedule, forward, its end (4.8, 7.1).")

    def sender(self) -> Machine:
        """MS, P.T: send all of the request's blocks, the matched ones too."""
        s, hand = Sender, private("request_sent", Optional(self.request))
        head = self.work.head
        garbage = any_of(self.request, lambda i: (head == i) & self.tree.reads_uncomputed(i))
        rows = [
            _row(
                "send",
                s.IDLE,
                s.SENDING,
                TRUE,
                [hand.set(head), self.work.receive(), when(garbage, self.sent_uncomputed.set(True))],
                cite="6.4; H-08c",
            ),
            _row("report", s.SENDING, s.IDLE, TRUE, [self.finishing.send(hand.value), hand.set(None)], cite="CH4"),
        ]
        return Machine("sender", s, rows, final=s.IDLE, doc="MS: sends a computed request (6.4).")

    def cache_manager(self) -> Machine:
        """P.FIN's release, and eviction."""
        q, s, tree = choice("request", self.request), CacheManager.RUNNING, self.tree
        path, node = choice("path", tree.path), choice("node", tree.node)
        release = [self.finishing.receive(), self.stage[q].set(Stage.DONE), *tree.release(q)]
        rows = [_row("release", s, s, self.finishing.cell().head == q, release, choose=(q,), under=tree.lock, cite="4.10")]
        if self.variant.evicts:
            evictable, evict = tree.is_evictable(path, node), tree.evict(path, node)
            rows.append(_row("evict", s, s, evictable, evict, choose=(path, node), under=tree.lock, cite="4.3: tree eviction"))
        return Machine("cache_manager", CacheManager, rows, final=s, doc="P.FIN and the cache manager (4.10, 4.3).")

    def properties(self) -> list[Property]:
        """S6, S4, S7, L2, and the witnesses."""
        tree, request = self.tree, self.request

        def orphan(f: Expr, k: Expr) -> Expr:
            return tree.present[f, k] & ~tree.computed[f, k] & ~any_of(request, lambda q: tree.author[f, k, q] & self.waits[q])

        over = all_of(request, self._ended)
        return [
            never("no_uncomputed_read", self.read_uncomputed.cell(), about="S6: a forward reads no node that is not computed"),
            never("no_uncomputed_sent", self.sent_uncomputed.cell(), about="S1, S6: D is sent no block that is not computed"),
            never("no_node_left_uncomputed", tree.any_node(orphan), about="S6: a node that is not computed will be, by a request that is under way"),
            always(
                "blocks_conserved",
                tree.free + tree.nodes_present() + tree.held() == tree.blocks,
                about="S4: a block is free, in the tree, or a request's",
            ),
            always("nothing_left_but_the_tree", ~over | (tree.free + tree.nodes_present() == tree.blocks), about="S7"),
            deadlock(about="L3"),
            leads_to("every_request_ends", lambda q: ~self._ended(q), self._ended, each=request, about="L2 on P"),
            sometimes("some_prefix_matched", any_of(request, lambda q: tree.matched[q, 0]), about="twin: the cache is of use"),
            sometimes("some_node_computed", tree.any_node(lambda f, k: tree.computed[f, k]), about="twin of no_node_left_uncomputed"),
            sometimes("some_node_evicted", tree.evicted.cell(), about="twin of the properties about blocks"),
        ]

    def _ended(self, q: Expr) -> Expr:
        return self.stage[q].is_in(Stage.DONE, Stage.FAILED)
