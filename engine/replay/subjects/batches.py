"""What the subjects of collectives share: data-parallel instances whose ranks read numbered batches and run them together.

Every batch that an engine schedules is a new request; there are some for each instance, and then none. A rank's forwards are counted: the
first rank to begin one lays it out, and it is over when every rank has finished it; its request then decodes to its end. A rank that
begins a forward with another batch than the first takes part in the first's all the same: the collectives cannot tell.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from protocol.action import Instance

from ...binding import after
from ...model.shard import Chunk
from ..instance import Prefill
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World

REQUESTS = 3
"""Of each instance."""
Rank = tuple[int, int]
"""Instance and tensor-parallel rank."""


@dataclass
class Joint:
    """One forward of an instance: its request, None for an empty one, and who has finished it."""

    request: str | None
    prefill: Prefill | None
    finished: set[int] = field(default_factory=set)


class Batches(World):
    """Instances of some ranks each; `scheduler` is the machine that schedules."""

    scheduler: str

    def start(self) -> None:
        """Blocks for every request of an instance."""
        self.count, self.ranks = self.index("worker", "instance").size, self.index("worker", "rank").size
        for i in range(self.count):
            self.instance(f"engine {i}", REQUESTS * (PROMPT_BLOCKS + ANSWER_BLOCKS), self.ranks)
        self.put: dict[int, list[str]] = {i: [] for i in range(self.count)}
        self.hand: dict[Rank, str | None] = {}
        self.begun: dict[Rank, int] = {}
        self.forwards: dict[int, list[Joint]] = {i: [] for i in range(self.count)}

    def permits(self, row: Instance) -> bool:
        """A batch is scheduled while there are requests."""
        if row.action.name == f"{self.scheduler}.schedule":
            return len(self.put[row.copy[0]]) < REQUESTS
        return row.action.name != f"{self.scheduler}.schedule_nothing" or len(self.put[row.copy[0]]) == REQUESTS

    def publish(self, step: Step) -> None:
        """A request comes with the batch."""
        (i,) = step.copy
        name = f"{i}.{len(self.put[i])}"
        self.request(name, len(self.answers))
        self.put[i].append(name)

    @abstractmethod
    def has_request(self, batch: object) -> bool:
        """Whether what lies in the queue is a batch with a request."""

    @after("worker.read_batch", "worker.read_last_batch")
    def read(self, step: Step) -> None:
        """The rank has what lies in the queue."""
        i, r = step.copy
        self.hand[i, r] = self.put[i][-1] if self.has_request(step.before("queue_tasks", i)) else None

    @after("worker.start_forward")
    def begin(self, step: Step) -> None:
        """The rank's next forward."""
        i, r = step.copy
        number, request = self.begun.get((i, r), 0), self.hand.pop((i, r), None)
        self.begun[i, r] = number + 1
        if number == len(self.forwards[i]):
            self.forwards[i].append(self._lay_out(i, request))
        elif request != self.forwards[i][number].request:
            self.noted["rank in a forward with another batch than the first"] += 1

    def _lay_out(self, i: int, request: str | None) -> Joint:
        if request is None or self.answers[request].tokens:
            return Joint(None, None)
        engine = self.instances[f"engine {i}"]
        if not engine.held_by(request):
            engine.hold(request, PROMPT_BLOCKS + ANSWER_BLOCKS)
        chunk = Chunk(self.answers[request].prompt, 0, tuple(engine.held_by(request)))
        return Joint(request, Prefill(engine, [(request, chunk)], 1))

    @after("worker.finish_forward")
    def end(self, step: Step) -> None:
        """The rank has computed; behind the last the tokens are known."""
        i, r = step.copy
        joint = next(joint for joint in self.forwards[i] if r not in joint.finished)
        joint.finished.add(r)
        if joint.prefill is not None:
            joint.prefill.store(r, 0)
        if len(joint.finished) == self.ranks and joint.prefill is not None and joint.request is not None:
            answer, engine = self.answers[joint.request], self.instances[f"engine {i}"]
            answer.add(joint.prefill.logits()[0])
            self.running[joint.request] = tuple(engine.held_by(joint.request))
            self.complete(joint.request, f"engine {i}")
            engine.free(joint.request)

    def turn(self) -> bool:
        """Everything is done by rows."""
        return False
