"""P's prefix cache along `prefix_cache`: who matches a node reads the block that it names, whatever lies there.

A request's prompt begins with the blocks of its path, and ends with a block of its own. The tree owns the blocks of its nodes;
a block that is in no tree and no table is free, and full of an earlier prompt. D has room for all.
"""

from __future__ import annotations

from typing import Any

from protocol.machines.preparation.prefix_tree import Entry

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import BLOCK_SIZE, drawn_prompt, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, World

TREE = "the prefix tree"
PATH_PROMPTS = 100
"""Numbers of the drawn prompts that the paths are made of: apart from those of requests."""


class PrefixCache(World):
    """One P with a prefix tree, one D."""

    kept = (TREE,)

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired", "refusals": 0}

    def start(self) -> None:
        """P's blocks as the builder has them; prompts that share what their paths share."""
        paths = [int(digit) for digit in self.config.get("paths", "00")]
        self.nodes: int = self.config.get("nodes", 1)
        self.path = dict(enumerate(paths))
        self.length = (self.nodes + 1) * BLOCK_SIZE
        self.instance("prefill", self.config.get("blocks", 4))
        self.instance("decode", len(paths) * (self.nodes + 1 + ANSWER_BLOCKS))
        self.node_block: dict[tuple[int, int], int] = {}
        self.tables: dict[int, list[int]] = {}
        self.matched: dict[int, int] = {}
        self.first: dict[int, Floats] = {}
        for q, path in self.path.items():
            answer = self.request(q, q, self.length)
            shared = drawn_prompt(self.seed, PATH_PROMPTS + path, self.length)[: self.nodes * BLOCK_SIZE]
            answer.prompt = (*shared, *answer.prompt[len(shared) :])

    @after("prepare.hold")
    def hold(self, step: Step) -> None:
        """What the tree has is matched; the rest is allocated, and one block more."""
        (q,) = step.copy
        self.matched[q] = sum(step.after("block_table", q, k) == Entry.MATCHED for k in range(self.nodes))
        own = self.instances["prefill"].hold(q, self.nodes + 1 - self.matched[q])
        self.tables[q] = [*(self.node_block[self.path[q], k] for k in range(self.matched[q])), *own]
        self._publish(step, q)

    @after("forward.schedule", "forward.report")
    def made(self, step: Step) -> None:
        """Before #7364 nodes are made at the schedule; in ours when they are computed."""
        if step.touches("block_table"):
            self._publish(step, step.values["request"])

    def _publish(self, step: Step, q: int) -> None:
        """The blocks that the row has made nodes are the tree's."""
        for k in range(self.matched[q], self.nodes):
            if step.after("block_table", q, k) == Entry.PUBLISHED:
                self.node_block[self.path[q], k] = self.tables[q][k]
                self.instances["prefill"].give(TREE, [self.tables[q][k]])

    @after("forward.compute")
    def compute(self, step: Step) -> None:
        """A forward over what is not matched, reading what is."""
        q, start = step.values["request"], BLOCK_SIZE * self.matched[step.values["request"]]
        chunk = Chunk(self.answers[q].prompt[start:], start, tuple(self.tables[q]))
        self.first[q] = self.instances["prefill"].step([(q, chunk)])[0]

    @after("sender.send")
    def send(self, step: Step) -> None:
        """All blocks of the request, the matched ones too."""
        q = step.after("request_sent")
        decode, prefill = self.instances["decode"], self.instances["prefill"]
        table = decode.hold(q, self.nodes + 1 + ANSWER_BLOCKS)
        for rank in range(len(prefill.shards)):
            decode.receive(prefill, rank, layer_groups(1)[0], self.tables[q], table[: self.nodes + 1], q)

    @after("sender.report")
    def report(self, step: Step) -> None:
        """Everything is sent: the first token goes to D."""
        q = step.before("request_sent")
        self.answers[q].add(self.first[q])
        self.insert(q, tuple(self.instances["decode"].held_by(q)))

    @after("prepare.recycle")
    def recycle(self, step: Step) -> None:
        """D has refused: what is no node is freed, and the client told."""
        (q,) = step.copy
        self.answers[q].over = True
        self.instances["prefill"].free(q)

    @after("cache_manager.release")
    def release(self, step: Step) -> None:
        """P is done with the request."""
        self.instances["prefill"].free(step.values["request"])

    def roles(self) -> list[object]:
        """With eviction, where there is one."""
        return [self, *(role(self) for role in (Eviction,) if self.has(role))]


class Eviction:
    """The tree gives a leaf's block back."""

    def __init__(self, world: PrefixCache):
        self._world = world

    @after("cache_manager.evict")
    def evict(self, step: Step) -> None:
        """The block is free, with what lies in it."""
        block = self._world.node_block.pop((step.values["path"], step.values["node"]))
        self._world.instances["prefill"].free(TREE, [block])
