"""Draft tokens along `draft_tokens`: a row of D's worker decodes with the tokens that lie in its buffer, whoever has put them there.

What is in the cache of a request when it arrives is P's. The first step of a row takes as many tokens as the row has length: one places
its successor, the second is a draft, kept where it is that successor. The later steps take one token each, which the step before has placed.
"""

from __future__ import annotations

from typing import Any

from protocol import DefinitionError

from ...binding import after
from ...errors import EngineError
from ...model.proposer import DraftRows, Insertion
from ...model.shard import Chunk
from ..instance import layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, World

PLACES = 2


class DraftTokens(World):
    """One row of D's worker, taken by one request after another."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Requests that P has computed; a row whose buffer holds the first token of the vocabulary."""
        requests = self.index("decode_loop", "request").size
        decode = self.instance("decode", requests * (PROMPT_BLOCKS + ANSWER_BLOCKS))
        elsewhere = self.instance("elsewhere", PROMPT_BLOCKS)
        self.rows = DraftRows(1, PLACES - 1, Insertion(self.config.get("variant", "repaired")))
        for q in range(requests):
            answer, there, here = self.request(q, q), decode.hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS), elsewhere.hold(q, PROMPT_BLOCKS)
            answer.add(elsewhere.step([(q, Chunk(answer.prompt, 0, here))])[0])
            for rank in range(len(decode.shards)):
                decode.receive(elsewhere, rank, layer_groups(1)[0], here, there[:PROMPT_BLOCKS], q)
            elsewhere.free(q)
            self.running[q] = there

    def insert_row(self, q: int) -> None:
        """The request's tokens are copied into the row: its first, and a draft, where the version has them."""
        answer = self.answers[q]
        self.rows.insert(0, answer.tokens[0], answer.prompt[-1:] if self.config.get("method", "naive") == "mtp" else ())

    def decode_row(self, q: int) -> None:
        """The request decodes to its end, beginning with what is in the row."""
        answer, table = self.answers[q], self.running.pop(q)
        while len(answer.tokens) < ANSWER_TOKENS:
            chunk = self.rows.chunk(0, len(answer.sequence) - 1, table)
            for logits, draft in zip(self.instances["decode"].step([(q, chunk)]), (*chunk.tokens[1:], None)):
                answer.add(logits)
                if answer.tokens[-1] != draft:
                    break
            self.rows.place(0, answer.tokens[-1], ())
        answer.over = True
        self.instances["decode"].free(q)

    def turn(self) -> bool:
        """Everything is done by rows."""
        return False

    def roles(self) -> list[object]:
        """The worker's rows: it goes on, or fails."""
        roles = [role(self) for role in (Rows, Failure) if self.has(role)]
        if not roles:
            raise DefinitionError("draft_tokens has neither of the worker's rows insert and insert_nothing; see the subject's roles")
        return [self, *roles]


class Rows:
    """The copy of nothing leaves the row as it was."""

    def __init__(self, world: DraftTokens):
        self._world = world

    @after("runner.insert")
    def insert(self, step: Step) -> None:
        """A request takes the row."""
        self._world.insert_row(step.before("tasks")[0])

    @after("runner.decode")
    def decode(self, step: Step) -> None:
        """Its steps."""
        self._world.decode_row(step.before("row_request"))


class Failure:
    """The copy of nothing raises."""

    def __init__(self, world: DraftTokens):
        self._world = world

    @after("runner.insert_nothing")
    def fail(self, step: Step) -> None:
        """The worker is gone."""
        try:
            self._world.insert_row(step.before("tasks")[0])
        except EngineError:
            self._world.noted["worker failed: no draft token to copy"] += 1
