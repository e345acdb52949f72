"""Draft tokens along `draft_tokens`: a row of D's worker decodes with the tokens that lie in its buffer, whoever has put them there.

What is in the cache of a request when it arrives is P's. The first step of a row takes as many tokens as the row has length: one places
its successor, the second is a draft, kept where it is that successor. The later steps take one token each, which the step before has placed.
"""

from __future__ import annotations

from typing import Any

from protocol import DefinitionError

from ...model.shard import Chunk
from ...model.weights import Floats
from ...roles.binding import after
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
        self.own, self.drafts = self.config.get("variant", "repaired") == "repaired", self.config.get("method", "naive") == "mtp"
        self.row = [0] * PLACES
        for q in range(requests):
            answer, there, here = self.request(q, q), decode.hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS), elsewhere.hold(q, PROMPT_BLOCKS)
            answer.add(elsewhere.step([(q, Chunk(answer.prompt, 0, here))])[0])
            for rank in range(len(decode.shards)):
                decode.receive(elsewhere, rank, layer_groups(1)[0], here, there[:PROMPT_BLOCKS], q)
            elsewhere.free(q)
            self.running[q] = there

    def insert_row(self, q: int) -> None:
        """The request's tokens are copied into the row: its first, and a draft, where the version has them."""
        first = self.answers[q].tokens[0]
        if self.drafts:
            self.row = [first, self.answers[q].prompt[-1]]
        elif self.own:
            self.row[0] = first

    def decode_row(self, q: int, length: int) -> None:
        """The request decodes to its end, beginning with what is in the row."""
        answer, table, position = self.answers[q], self.running.pop(q), len(self.answers[q].sequence) - 1
        for place in range(length):
            logits = self._step(q, table, self.row[place], position + place)
            answer.add(logits)
            if place + 1 < length and self.row[place + 1] != answer.tokens[-1]:
                break
        while len(answer.tokens) < ANSWER_TOKENS:
            answer.add(self._step(q, table, answer.tokens[-1], len(answer.sequence) - 1))
        self.row[0] = answer.tokens[-1]
        answer.over = True
        self.instances["decode"].free(q)

    def _step(self, q: int, table: tuple[int, ...], token: int, position: int) -> Floats:
        return self.instances["decode"].step([(q, Chunk((token,), position, table))])[0]

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
        self._world.decode_row(step.before("row_request"), step.before("seq_len_this_time"))


class Failure:
    """The copy of nothing raises."""

    def __init__(self, world: DraftTokens):
        self._world = world

    @after("runner.insert_nothing")
    def fail(self, step: Step) -> None:
        """The worker is gone."""
        self._world.noted["worker failed: no draft token to copy"] += 1
