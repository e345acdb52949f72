"""P's engine process: the block tables of P, the contents of batches and cache tasks, the first tokens.

When anything happens is the protocol's: a table is made when a request gets its slot, a batch is what `schedule` has counted
up, and blocks go back when the completer has let the slot go.
"""

from __future__ import annotations

from typing import Any

from ..driver import Step
from ..model.kv_cache import BlockPool
from ..model.shard import Chunk
from ..roles.binding import Outcome, after, carries
from .job import Begun, CacheTask, Job, NewWeights, Numbers, Shape, Tokens, Work


class PrefillEngine:
    """Handlers of the gate, the token processor, the completer and the connector; one for all."""

    def __init__(self, slots: int, shape: Shape):
        self.pool = BlockPool(slots * shape.blocks)
        self._shape = shape
        self._work: Work | None = None
        self._forwards = 0
        self.jobs: dict[int, Job] = {}
        self.tables: dict[int, Numbers] = {}
        self.targets: dict[int, Numbers] = {}
        self._first_tokens: Tokens = {}

    @after("connector.receive_grant")
    def grant(self, step: Step) -> None:
        """D's blocks for the request; a repeated grant says the same, and a late one is of a request that has none here."""
        if step.cargo is not None and step.cargo[0] == self.key_of(step.chosen["request"]):
            self.targets[step.chosen["request"]] = step.cargo[1]

    @after("gate.schedule")
    def schedule(self, step: Step) -> Begun:
        """The chunks that the row has counted up; a withdrawal is among them, and no rank computes it."""
        counted = {where[0]: number for (variable, where), number in step.stored.items() if variable.name == "scheduled_chunks"}
        self._forwards += 1
        chunks = tuple(self._chunk(q, number) for q, number in counted.items())
        self._work = Work(self._forwards, tuple(counted), chunks, tuple(self.jobs[q] for q in counted))
        return Begun(tuple(job.key for job in self._work.jobs))

    @carries("gate.put_tasks")
    def contents(self, outcome: Outcome) -> Work | None:
        """What `put_tasks` puts."""
        return self._work

    @after("gate.schedule_update")
    def update(self, step: Step) -> None:
        """New weights are due, and no request is under way."""
        self._weights: NewWeights = step.cargo

    @carries("gate.put_update")
    def weights(self, outcome: Outcome) -> NewWeights:
        """Which weights they are."""
        return self._weights

    @after("token_processor.read_tokens")
    def note(self, step: Step) -> None:
        """The first tokens of the prompts that are through."""
        self._first_tokens |= step.cargo

    @carries("completer.release_sent")
    def first_token(self, outcome: Outcome) -> Any:
        """What the commit message brings to D."""
        return self._first_tokens.get(outcome.values[0])

    @after("completer.release_sent", "completer.release_failed", "completer.release_doomed", "completer.release_withdrawn")
    def release(self, step: Step) -> None:
        """P is through with the request's cache."""
        q = step.chosen["request"]
        self.pool.give_back(self.tables.pop(q), q)
        self._first_tokens.pop(q, None)

    def hold(self, q: int) -> None:
        """The request has a slot: give it blocks."""
        self.tables[q] = tuple(self.pool.take(self._shape.blocks_for(len(self.jobs[q].prompt)), q))

    def key_of(self, q: int) -> int | None:
        """Which request the number stands for here."""
        return self.jobs[q].key if q in self.jobs else None

    def _chunk(self, q: int, number: int) -> Chunk:
        prompt = self.jobs[q].prompt
        part = self._shape.chunk(prompt, number)
        return Chunk(prompt[part.start : part.stop], part.start, self.tables[q], int(part.stop == len(prompt)))


class PrepareThread:
    """Handlers of one prepare thread."""

    def __init__(self, engine: PrefillEngine):
        self._engine = engine
        self._held: int | None = None

    @after("prepare.take")
    def take(self, step: Step) -> None:
        """A new request, out of the intake."""
        self._engine.jobs[step.cargo.number] = step.cargo

    @after("prepare.hold")
    def hold(self, step: Step) -> None:
        """The request has a slot of P."""
        self._held = step.chosen["request"]
        self._engine.hold(self._held)

    @carries("prepare.put_task")
    def task(self, outcome: Outcome) -> CacheTask | None:
        """What the messagers are to do."""
        q = self._held
        return None if q is None else CacheTask(q, self._engine.jobs[q], self._engine.tables[q], self._engine.targets[q])
