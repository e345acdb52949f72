"""What the small subjects of sending share: requests whose cache P writes and sends, and a D that decodes from what has come."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.shard import Chunk
from ..instance import BLOCK_SIZE, Prefill
from ..world import ANSWER_BLOCKS, World


class Sends(World):
    """One P, one D, blocks for every request; a forward for each."""

    def lay_out(self, requests: int, prompt_blocks: int, groups: int) -> None:
        """Requests of so many blocks, each computed a group of layers at a time."""
        prefill = self.instance("prefill", requests * prompt_blocks)
        decode = self.instance("decode", requests * (prompt_blocks + ANSWER_BLOCKS))
        self.ranks = range(len(prefill.shards))
        self.here = {q: prefill.hold(q, prompt_blocks) for q in range(requests)}
        self.there = {q: decode.hold(q, prompt_blocks + ANSWER_BLOCKS) for q in range(requests)}
        prompts = {q: self.request(q, q, prompt_blocks * BLOCK_SIZE).prompt for q in range(requests)}
        self.prefills = {q: Prefill(prefill, [(q, Chunk(prompt, 0, self.here[q]))], groups) for q, prompt in prompts.items()}

    def write(self, q: int, group: int) -> None:
        """P writes a group of layers, on every rank."""
        for rank in self.ranks:
            self.prefills[q].store(rank, group)

    def send(self, q: int, layers: Sequence[int], blocks: int | None = None, slot: int | None = None) -> None:
        """These layers of the request's first blocks (or of another's, its `slot`) go to D, whatever lies in them."""
        here = self.here[q if slot is None else slot][:blocks]
        for rank in self.ranks:
            self.instances["decode"].receive(self.instances["prefill"], rank, layers, here, self.there[q][: len(here)], q)

    def begin(self, q: int) -> None:
        """All is said to be sent: D decodes; P lets go."""
        self.answers[q].add(self.prefills[q].logits()[0])
        self.insert(q, self.there[q])
        self.instances["prefill"].free(q)

    def fail(self, q: int) -> None:
        """The client has an error, and both sides let go."""
        self.answers[q].over = True
        for instance in self.instances.values():
            instance.free(q)
