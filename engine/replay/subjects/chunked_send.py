"""Prompts in chunks along `chunked_send`: workers write a layer of a chunk, messagers copy what their item covers, P.T answers, D decodes.

An item of the published sender covers the prompt up to the end of its chunk, one of ours a chunk. A write that fails copies nothing.
P gives a request's blocks back with its answer, D with its last token; neither is short of blocks.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import BLOCK_SIZE, Prefill, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World

Batch = tuple[tuple[int, int], ...]
"""Requests, each with the number of its chunk, from 1."""


class ChunkedSend(World):
    """One P of some ranks, one D."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with whole links."""
        return {"epoch": "repaired", "failure": "none"}

    def start(self) -> None:
        """Blocks for every request, a whole number for each chunk."""
        ranks, requests = self.index("sender", "rank").size, self.index("prepare", "request").size
        self.chunks, self.layers = self.config.get("chunks", 1), self.config.get("layers", 1)
        self.chunk_blocks = max(1, PROMPT_BLOCKS // self.chunks)
        self.prompt_blocks = self.chunks * self.chunk_blocks
        prefill = self.instance("prefill", requests * self.prompt_blocks, ranks)
        decode = self.instance("decode", requests * (self.prompt_blocks + ANSWER_BLOCKS), ranks)
        self.here = {q: prefill.hold(q, self.prompt_blocks) for q in range(requests)}
        self.there = {q: decode.hold(q, self.prompt_blocks + ANSWER_BLOCKS) for q in range(requests)}
        self.prefills: dict[Batch, Prefill] = {}
        self.batch_of: dict[int, Batch] = {}
        self.first: dict[int, Floats] = {}
        for q in range(requests):
            self.request(q, q, self.prompt_blocks * BLOCK_SIZE)

    def _chunk(self, request: int, number: int) -> Chunk:
        size = self.chunk_blocks * BLOCK_SIZE
        start = (number - 1) * size
        return Chunk(self.answers[request].prompt[start : start + size], start, self.here[request])

    @after("worker.get_tasks")
    def take(self, step: Step) -> None:
        """A rank reads its batch; the first to read begins the forward."""
        (rank,) = step.copy
        rows = ((q, step.after("worker_rows", rank, q)) for q in self.here)
        self.batch_of[rank] = batch = tuple((q, chunk) for q, chunk in rows if chunk)
        if batch and batch not in self.prefills:
            self.prefills[batch] = Prefill(self.instances["prefill"], [(q, self._chunk(q, number)) for q, number in batch], self.layers)

    @after("worker.signal_layer")
    def write(self, step: Step) -> None:
        """The rank has written the layer, and signals it."""
        (rank,) = step.copy
        if self.batch_of[rank]:
            self.prefills[self.batch_of[rank]].store(rank, step.before("worker_layer", rank))

    @after("worker.emit_tokens")
    def sample(self, step: Step) -> None:
        """First tokens of the requests whose last chunk this was."""
        batch = self.batch_of[step.copy[0]]
        for (q, number), logits in zip(batch, self.prefills[batch].logits()):
            if number == self.chunks:
                self.first[q] = logits

    def send(self, step: Step) -> None:
        """A layer of what the item covers."""
        (rank,), q = step.copy, step.values["request"]
        ours = step.touches("chunks_before")
        chunk = step.before("chunks_before", rank, q) + 1 if ours else step.before("batch_in_hand", rank, q)
        blocks = slice((chunk - 1) * self.chunk_blocks if ours else 0, chunk * self.chunk_blocks)
        layers = layer_groups(self.layers)[step.before("pass_layer", rank)]
        self.instances["decode"].receive(self.instances["prefill"], rank, layers, self.here[q][blocks], self.there[q][blocks], q)

    @after("sender.write_layer")
    def write_layer(self, step: Step) -> None:
        """The row of every epoch."""
        self.send(step)

    @after("token_processor.answer")
    def answer(self, step: Step) -> None:
        """D decodes from what lies in its blocks, or is told that the request has failed."""
        q = step.values["request"]
        self.instances["prefill"].free(q)
        if step.before("finished_with_error", q):
            self.answers[q].over = True
            self.instances["decode"].free(q)
        else:
            self.answers[q].add(self.first[q])
            self.insert(q, self.there[q])

    def roles(self) -> list[object]:
        """With the rows of some epochs only, where they exist."""
        return [self, *(role(self) for role in (Ours, Rounds) if self.has(role))]


class Ours:
    """The last layer of a chunk has a row of its own."""

    def __init__(self, world: ChunkedSend):
        self._world = world

    @after("sender.write_last_layer")
    def write_last_layer(self, step: Step) -> None:
        """As `write_layer`."""
        self._world.send(step)


class Rounds:
    """P.T before the repair: an id may be known from an earlier round."""

    def __init__(self, world: ChunkedSend):
        self._world = world

    @after("token_processor.answer_known")
    def answer_known(self, step: Step) -> None:
        """As `answer`."""
        self._world.answer(step)
