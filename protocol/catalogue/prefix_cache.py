"""Scenarios of the group "prefix-cache": may a request match a node whose KV nobody has computed yet, or ever will?

A request's blocks become nodes of the tree *at the schedule* (before #7364), *at preallocation* (#7364, E0_7364 and E1_7364), or
when they are *computed* (ours). The second request of each question has the first one's prefix.

| | E0, E1 | E0_7364 | E1_7364 | repaired |
|---|---|---|---|---|
| a forward reads a node that is not computed, no refusal | never | never | H-08 a | never |
| the same after a refusal | never | H-08 b | H-08 a, b | never |
| D is sent a block that is not computed | never | H-08 c | H-08 c | never |
| a node is left that nobody will compute | never | H-08 b | H-08 b | never |

`ordered` keeps #7364 and schedules a request only behind the makers of what it has matched: nothing is read too early, but a
refusal of one request keeps another waiting for ever. Ours with a part left out: `unpinned` (matching refers to nothing),
`frees_nodes` (a release frees nodes too), `unevicted`.
"""

from __future__ import annotations

from typing import Any

from ..machines.preparation.prefix_cache import build
from . import Scenario
from .hazard import Hazard

READ, SENT, LEFT = "no_uncomputed_read", "no_uncomputed_sent", "no_node_left_uncomputed"
BLOCKS, TREE, ENDS, DEADLOCK = "blocks_conserved", "nothing_left_but_the_tree", "every_request_ends", "deadlock"
MATCHED, COMPUTED, EVICTED = "some_prefix_matched", "some_node_computed", "some_node_evicted"
H08 = ("#7364", "#7387", "H-08")


def _cache(name: str, asked: str, expected: str, distinct: int, path: int | None, variant: str, about: str, **bounds: Any) -> Scenario:
    """One scenario; the variant is that of the configuration."""
    config = {"variant": variant, **bounds}
    return Scenario(f"prefix-cache-{name}", "prefix-cache", build, asked, expected, H08, variant, about, config, distinct, path)


GRANTED: dict[str, Any] = {"refusals": 0}
"""D refuses nobody."""
SMALL: dict[str, Any] = {"paths": "01", "blocks": 2}
"""Two requests with nothing in common, and room for one: the first one's node must go."""
WIDE: dict[str, Any] = {"paths": "0001", "nodes": 2, "blocks": 6}
"""Three requests with one prefix of two blocks, one with another, and room for two."""

OVERTAKEN = (
    "The first request's blocks are nodes before D has answered it. The second matches them, its own D answers first, and its forward reads "
    "blocks that nobody has written."
)
POISONED = "D refuses the first request; its blocks are given back by dereferencing, and its nodes stay in the tree, never to be computed."
SHIPPED = " What was matched is sent with the rest, so D gets it too."
ORDERED = "Blocks become nodes in `schedule()`, after which their forward precedes that of whoever matches them."
IN_ORDER = "One thread prepares both, so the first runs before the second has matched."
BEHIND_REFUSED = "The second request has matched what the first was to compute; D refuses the first, and the second is never scheduled."
AFTER = "Blocks become nodes when they are computed, so whoever matches reads what was written."
REFERRED = "A node that somebody refers to is not evicted, and is freed by eviction alone."

# fmt: off
SCENARIOS = [
    _cache("overtaken-in-e1-7364", READ, "violated", 279, 6, "E1_7364", OVERTAKEN, **GRANTED),
    _cache("in-order-in-e0-7364", READ, "holds", 84, None, "E0_7364", IN_ORDER, **GRANTED),
    _cache("ordered-by-schedule-in-e0", READ, "holds", 154, None, "E0", ORDERED),
    _cache("ordered-by-schedule-in-e1", READ, "holds", 315, None, "E1", ORDERED),
    _cache("poisoned-in-e0-7364", READ, "violated", 115, 8, "E0_7364", POISONED + " The second request matches them."),
    _cache("node-left-in-e0-7364", LEFT, "violated", 113, 3, "E0_7364", POISONED),
    _cache("node-left-in-e1-7364", LEFT, "violated", 299, 3, "E1_7364", POISONED),
    _cache("no-node-left-in-e1", LEFT, "holds", 315, None, "E1", "A refused request has made no nodes."),
    _cache("shipped-in-e0-7364", SENT, "violated", 115, 9, "E0_7364", POISONED + SHIPPED),
    _cache("shipped-in-e1-7364", SENT, "violated", 295, 7, "E1_7364", OVERTAKEN + SHIPPED, **GRANTED),
    _cache("not-shipped-in-e1", SENT, "holds", 315, None, "E1", ORDERED),
    _cache("matched-in-e1-7364", MATCHED, "holds", 243, 2, "E1_7364", "What #7364 is for: the second request matches at once.", **GRANTED),
    _cache("ordered-behind-author", READ, "holds", 20_106, None, "ordered", "A request is scheduled only when all that it has matched has been.",
           **WIDE),
    _cache("ordered-behind-refused-author", ENDS, "violated", 216, 6, "ordered", BEHIND_REFUSED),
    _cache("ordered-behind-author-node-left", LEFT, "violated", 219, 3, "ordered", POISONED),
    _cache("computed-before-read-in-ours", READ, "holds", 18_966, None, "repaired", AFTER, **WIDE),
    _cache("computed-before-sent-in-ours", SENT, "holds", 18_966, None, "repaired", AFTER, **WIDE),
    _cache("no-node-left-in-ours", LEFT, "holds", 18_966, None, "repaired", AFTER, **WIDE),
    _cache("blocks-conserved-in-ours", BLOCKS, "holds", 16_528, None, "repaired", REFERRED, **WIDE),
    _cache("nothing-left-in-ours", TREE, "holds", 16_528, None, "repaired", REFERRED, **WIDE),
    _cache("requests-end-in-ours", ENDS, "holds", 75, None, "repaired", "What nobody refers to is evicted for whoever needs blocks.", **SMALL),
    _cache("no-deadlock-in-ours", DEADLOCK, "holds", 75, None, "repaired", "What nobody refers to is evicted for whoever needs blocks.", **SMALL),
    _cache("matched-in-ours", MATCHED, "holds", 16_528, 7, "repaired", "The cache is of use: a later request matches.", **WIDE),
    _cache("computed-in-ours", COMPUTED, "holds", 18_966, 6, "repaired", "Nodes are made, and are computed.", **WIDE),
    _cache("evicted-in-ours", EVICTED, "holds", 21_673, 10, "repaired", "Nodes are evicted.", **WIDE),
    _cache("evicted-under-reader-unpinned", READ, "violated", 296, 15, "unpinned",
           "Ours, but matching refers to nothing: the node is evicted under its reader."),
    _cache("evicted-under-sender-unpinned", SENT, "violated", 292, 16, "unpinned", "Ours, but matching refers to nothing: what was evicted is sent."),
    _cache("freed-twice", BLOCKS, "violated", 288, 9, "frees_nodes",
           "Ours, but a release frees the request's nodes: a block is free and in the tree."),
    _cache("too-much-left", TREE, "violated", 288, 12, "frees_nodes", "Ours, but a release frees the request's nodes: more is free than there is."),
    _cache("unevicted-never-ends", ENDS, "violated", 75, 9, "unevicted", "Ours without eviction: the first request's node keeps the second waiting.",
           **SMALL),
    _cache("unevicted-deadlock", DEADLOCK, "violated", 75, 9, "unevicted", "Ours without eviction: nothing ever frees the block.", **SMALL),
]
# fmt: on

HAZARDS = [
    Hazard(
        "H-08",
        "nodes of the prefix tree are published before they are computed",
        ("#7364", "#7387"),
        "Preallocation inserts a request's full blocks into the prefix tree before anything is computed, even before D has answered. A second "
        "request with the same prefix matches them and skips computing them. (a) Its D answers first: its forward reads blocks that nobody has "
        "written. (b) The first is refused: its blocks are dereferenced only, so the nodes stay, never to be computed, for every later "
        "request. (c) Matched blocks are sent to D with the rest.",
        "(a) E1 after #7364, (b) and (c) any version after #7364; the call is documented, the tree's behaviour read in code, the conclusion inferred",
        "Confirmed: (a) in E1 only, after six steps; in E0 one thread orders the two. (b) needs no second thread, and three steps leave the node. "
        "Before #7364 nodes are made in `schedule()`, also before they are computed, and it is sound all the same: their forward is ordered before "
        "that of whoever matches later. To keep #7364 and restore that order is no mend: a request would wait for another's D, for ever "
        "after a refusal. Eviction never makes it worse: it can only take a poisoned node away.",
    ),
]
