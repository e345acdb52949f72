"""The hand-over P -> D along `layer0_signal`: workers write layers, messagers copy blocks, P.T answers, D decodes.

A request's blocks on P and D are fixed when P holds it, and the cache task names them: a messager that sends late sends what lies in
those blocks by then, whoever has them. P has blocks for as many requests as it has slots.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import Prefill, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World


class HandOver(World):
    """One P of some ranks, one D."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"epoch": "repaired"}

    def start(self) -> None:
        """Blocks on P for its slots, on D for all requests."""
        ranks, requests = self.index("sender", "rank").size, self.index("prepare", "request").size
        self.layers: int = self.config.get("layers", 2)
        self.groups = layer_groups(self.layers)
        self.slots: int = self.config.get("slots") or requests
        self.instance("prefill", self.slots * PROMPT_BLOCKS, ranks)
        self.instance("decode", requests * (PROMPT_BLOCKS + ANSWER_BLOCKS), ranks)
        self.prefills: dict[tuple[int, ...], Prefill] = {}
        self.batch_of: dict[int, tuple[int, ...]] = {}
        self.tasks: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.first: dict[int, Floats] = {}
        for q in range(requests):
            self.request(q, q)

    @after("prepare.hold")
    def hold(self, step: Step) -> None:
        """P allocates blocks, and D reserves some."""
        (q,) = step.copy
        held = self.instances["prefill"].hold(q, PROMPT_BLOCKS)
        self.tasks[q] = (held, self.instances["decode"].hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS))

    @after("layer_worker.get_tasks")
    def take(self, step: Step) -> None:
        """A rank reads its batch; the first to read begins the forward."""
        (rank,) = step.copy
        batch = tuple(q for q in self.tasks if step.after("worker_rows", rank, q))
        self.batch_of[rank] = batch
        if batch not in self.prefills:
            chunks = [(q, Chunk(self.answers[q].prompt, 0, self.tasks[q][0])) for q in batch]
            self.prefills[batch] = Prefill(self.instances["prefill"], chunks, self.layers)

    @after("layer_worker.signal_layer")
    def write(self, step: Step) -> None:
        """The rank has written the layer, and signals it."""
        (rank,) = step.copy
        self.prefills[self.batch_of[rank]].store(rank, step.before("worker_layer", rank))

    @after("layer_worker.emit_tokens")
    def sample(self, step: Step) -> None:
        """Rank 0 has the first tokens of the batch; P.T has them from here on."""
        batch = self.batch_of[step.copy[0]]
        self.first.update(zip(batch, self.prefills[batch].logits()))

    @after("sender.send_layer", "sender.send_last_layer")
    def send(self, step: Step) -> None:
        """One layer of every request in hand, from P's blocks into D's."""
        (rank,) = step.copy
        layers = self.groups[step.before("send_layer", rank)]
        for slot in range(self.slots):
            if step.before("slots_in_hand", rank, slot):
                q = step.before("send_task", rank, slot)
                here, there = self.tasks[q]
                self.instances["decode"].receive(self.instances["prefill"], rank, layers, here, there[:PROMPT_BLOCKS], q)

    @after("token_processor.answer")
    def answer(self, step: Step) -> None:
        """The first token goes to D, which decodes from what lies in its blocks."""
        q = step.values["request"]
        self.answers[q].add(self.first[q])
        self.insert(q, self.tasks[q][1])

    @after("finisher.free_blocks")
    def free(self, step: Step) -> None:
        """P gives the blocks back; the next request gets them."""
        self.instances["prefill"].free(step.values["request"])

    def roles(self) -> list[object]:
        """With the rows of the epochs that read CH4 by rounds, where they exist."""
        return [self, *(role(self) for role in (Rounds,) if self.has(role))]


class Rounds:
    """P.T before the repair: an id may be known from an earlier round."""

    def __init__(self, world: HandOver):
        self._world = world

    @after("token_processor.answer_known")
    def answer_known(self, step: Step) -> Any:
        """As `answer`."""
        self._world.answer(step)
