"""A slot that changes hands along `slot_reuse`: an old cache task sends into blocks that D has given to somebody else.

D is busy: the blocks that an abort frees go at once to a neighbour, a request that another prefill instance has computed and sent
before any of these; it decodes as long as there are rows to fire. Without an abort the neighbour waits outside.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World

NEIGHBOUR = "neighbour"


class SlotReuse(World):
    """One P with one slot, one D with a neighbour at its door."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """P has blocks for one request, D for all of them."""
        requests = self.index("life", "request").size
        self.instance("prefill", PROMPT_BLOCKS)
        self.instance("decode", requests * (PROMPT_BLOCKS + ANSWER_BLOCKS))
        self.instance("elsewhere", PROMPT_BLOCKS)
        self.tasks: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.first: dict[int, Floats] = {}
        for q in range(requests):
            self.request(q, q)

    @after("life.hold")
    def hold(self, step: Step) -> None:
        """P's blocks, and D's."""
        (q,) = step.copy
        there = self.instances["decode"].hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS)
        self.tasks[q] = (self.instances["prefill"].hold(q, PROMPT_BLOCKS), there)

    @after("life.forward")
    def forward(self, step: Step) -> None:
        """P computes the prompt, and signals."""
        (q,) = step.copy
        self.first[q] = self.instances["prefill"].step([(q, Chunk(self.answers[q].prompt, 0, self.tasks[q][0]))])[0]

    @after("messager.send")
    def send(self, step: Step) -> None:
        """What the task says is sent, whoever the signal was about."""
        q = step.before("task_found")
        here, there = self.tasks[q]
        decode, prefill = self.instances["decode"], self.instances["prefill"]
        for rank in range(len(prefill.shards)):
            decode.receive(prefill, rank, layer_groups(1)[0], here, there[:PROMPT_BLOCKS], q)

    @after("life.answer")
    def answer(self, step: Step) -> None:
        """The first token: D decodes."""
        (q,) = step.copy
        self.answers[q].add(self.first[q])
        self.insert(q, self.tasks[q][1])

    @after("life.free_slot", "life.free_aborted_slot")
    def free(self, step: Step) -> None:
        """P gives the slot and its blocks to the next."""
        self.instances["prefill"].free(step.copy[0])

    @after("life.abort")
    def abort(self, step: Step) -> None:
        """The client is gone: D frees, and the neighbour comes in."""
        (q,) = step.copy
        self.answers[q].over = True
        decode, elsewhere = self.instances["decode"], self.instances["elsewhere"]
        decode.free(q)
        table, neighbour = decode.hold(NEIGHBOUR, PROMPT_BLOCKS + ANSWER_BLOCKS), self.request(NEIGHBOUR, len(self.answers))
        there = elsewhere.hold(NEIGHBOUR, PROMPT_BLOCKS)
        neighbour.add(elsewhere.step([(NEIGHBOUR, Chunk(neighbour.prompt, 0, there))])[0])
        for rank in range(len(decode.shards)):
            decode.receive(elsewhere, rank, layer_groups(1)[0], there, table[:PROMPT_BLOCKS], NEIGHBOUR)
        elsewhere.free(NEIGHBOUR)
        self.insert(NEIGHBOUR, table)
