"""P's engine process: the block tables of P, the contents of batches and cache tasks, the first tokens.

When anything happens is the protocol's: a table is made when a request gets its slot, a batch is what `schedule` has counted
up, and blocks go back when the completer has let the slot go.

A request begins with the cached blocks that its prompt begins with. They are not computed again, and are sent to D like all
others. A block is published when the forward that computed it is known to be over, by the gate or by the token processor, whoever
learns of it first; earlier, others would read what nobody has written (hazard H-08).
"""

from __future__ import annotations

from protocol.machines.repaired.plane import Stage

from ..binding import Outcome, after, carries
from ..generation import PrefixUse, Token
from ..model.kv_cache import BlockPool
from ..model.prefix_cache import PrefixCache
from ..model.shard import Chunk
from ..step import Step
from .job import BlockTable, CacheTask, Job, NewWeights, Tokens, Work
from .letters import Begun
from .plant import Plant


class PrefillEngine:
    """Handlers of the gate, the token processor, the completer and the connector of one P; one for all.

    `cache` has the block tables: of every request that holds a slot one, under its key.
    """

    def __init__(self, plant: Plant):
        self._shape, self._withdraw, self._publishes = plant.shape, plant.withdraw, plant.prefix_cache and not plant.routing
        self.cache = PrefixCache(BlockPool(plant.blocks(0)), plant.shape.block_size)
        self._work: Work | None = None
        self._forwards = 0
        self.jobs: dict[int, Job] = {}
        self.targets: dict[int, BlockTable] = {}
        self._first_tokens: Tokens = {}

    def take(self, job: Job) -> None:
        """The number stands for that request now."""
        self.jobs[job.number] = job

    @after("connector.receive_grant")
    def grant(self, step: Step) -> None:
        """D's blocks for the request, if that is what it waits for."""
        q = step.chosen["request"]
        if step.saw("request.state", *step.copy, q) == Stage.ASKED:
            self.targets[q] = step.cargo

    @after("gate.find_forward_over")
    def publish_chunks(self, step: Step) -> None:
        """All ranks have computed the last batch. A request of it may be over by now, and its number another's."""
        work, self._work = self._work, None
        for chunk, job in zip(work.chunks, work.jobs) if work is not None else ():
            self._publish(job, chunk.start + len(chunk.tokens))

    @after("gate.schedule", finds=False)
    def schedule(self, step: Step) -> Begun:
        """The chunks that the row has counted up; what it withdraws, no rank computes."""
        stored = [(variable.name, where, value) for (variable, where), value in step.stored.items()]
        withdrawn = {where for name, where, task in stored if name == "gate_batch" and task == self._withdraw}
        counted = {where[-1]: number for name, where, number in stored if name == "scheduled_chunks" and where not in withdrawn}
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
        """New weights are due, and no request is under way: what was computed with the old ones is not found any more."""
        self._weights: NewWeights = step.cargo
        self.cache.clear()

    @carries("gate.put_update")
    def weights(self, outcome: Outcome) -> NewWeights:
        """Which weights they are."""
        return self._weights

    @after("token_processor.read_tokens")
    def note(self, step: Step) -> None:
        """The first tokens of the prompts that are through, and whose blocks all ranks have computed."""
        self._first_tokens |= step.cargo
        for q in step.cargo:
            self._publish(self.jobs[q], len(self.jobs[q].prompt))

    @carries("completer.release_sent")
    def first_token(self, outcome: Outcome) -> Token | None:
        """What the commit message brings to D; it may be lost, so the token is kept until the number has another."""
        return self._first_tokens.get(outcome.values[0])

    @after("completer.release_sent", "completer.release_failed", "completer.release_doomed", "completer.release_withdrawn")
    def release(self, step: Step) -> None:
        """P is through with the request's cache."""
        self.let_go(self.jobs[step.chosen["request"]].key)

    def let_go(self, key: int) -> None:
        """Give the blocks of a request back."""
        self.cache.release(key)

    def hold(self, q: int) -> PrefixUse | None:
        """The request has a slot: give it blocks, the cached ones of its prompt first. What was found, with a cache to look in.

        There is always room: what requests with slots do not hold, is free or can be evicted.
        """
        job, before = self.jobs[q], self.cache.evictions
        lease = self.cache.take(job.key, job.prompt, self._shape.blocks_for(len(job.prompt)))
        return PrefixUse(len(job.prompt), lease.cached_tokens, self.cache.evictions - before) if self._publishes else None

    def table(self, q: int) -> BlockTable:
        """The blocks of a request that holds a slot."""
        return tuple(self.cache.lease(self.jobs[q].key).table)

    def _chunk(self, q: int, number: int) -> Chunk:
        """That chunk of the prompt without what is cached; perhaps nothing is left of it."""
        prompt, lease = self.jobs[q].prompt, self.cache.lease(self.jobs[q].key)
        part = self._shape.chunk(prompt, number)
        start = min(max(part.start, lease.cached_tokens), part.stop)
        return Chunk(prompt[start : part.stop], start, tuple(lease.table), int(part.stop == len(prompt)))

    def _publish(self, job: Job, computed_tokens: int) -> None:
        if self._publishes and job.key in self.cache:
            self.cache.publish(job.key, computed_tokens)


class Reminder:
    """The timer, which says again what D has not answered."""

    def __init__(self, engine: PrefillEngine):
        self._engine = engine

    @carries("timer.commit_again")
    def first_token(self, outcome: Outcome) -> Token | None:
        """As the commit that D has not heard did."""
        return self._engine.first_token(outcome)


class PreparingThread:
    """Handlers of one prepare thread, but for how it takes a request."""

    def __init__(self, engine: PrefillEngine):
        self._engine = engine
        self._task: CacheTask | None = None

    @after("prepare.hold")
    def hold(self, step: Step) -> PrefixUse | None:
        """The request has a slot of P, and D's blocks."""
        q, engine = step.chosen["request"], self._engine
        use = engine.hold(q)
        self._task = CacheTask(q, engine.jobs[q], engine.table(q), engine.targets[q])
        return use

    @carries("prepare.put_task")
    def task(self, outcome: Outcome) -> CacheTask | None:
        """What the messagers are to do."""
        return self._task


class PrepareThread(PreparingThread):
    """Takes a request out of the intake in one step."""

    @after("prepare.take")
    def take(self, step: Step) -> None:
        """A new request."""
        self._engine.take(step.cargo)
