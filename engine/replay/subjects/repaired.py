"""The repaired protocol, and what becomes of it without one of its rules: P, its ranks and messagers, and the D instances, with tensors.

A slot of P is a row of blocks. What a message or a work item names travels as the real one does: the grant with D's blocks, the cache task
with both block tables, the commit with the first token. A token of D is computed when it is credited, in the blocks that the step began with.
A chunk of the builder is a part of a prompt; a reservation of D is blocks for the longest prompt and its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol.action import Action
from protocol.machines.repaired.plane import Entry

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import BLOCK_SIZE, Instance, Prefill, layer_groups, weights
from ..walk import Step
from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, Answer, World
from .repaired_faults import DecodeCrash, DecodeStart, DecodesTogether, Losses, PrefillCrash, PrefillEnd, PrefillStart
from .repaired_forwards import Launched, LoadingDevice, LoadingRank, Waiting

Blocks = tuple[int, ...]


@dataclass(frozen=True)
class CacheTask:
    """What a messager is told of a request: P's blocks, and D's."""

    here: Blocks
    there: Blocks


@dataclass(frozen=True)
class Batch:
    """A rank's part of a forward, None without chunks, and the requests whose last chunks it has."""

    forward: Prefill | None = None
    last: tuple[int, ...] = ()


NO_BATCH = Batch()


@dataclass
class Rank:
    """A rank of P: the forwards begun, what its loop has read, what its device computes and has before it; its messager's mail and tasks."""

    begun: int = 0
    batch: Batch = NO_BATCH
    launched: Batch = NO_BATCH
    stream: list[Batch] = field(default_factory=list)
    mail: CacheTask | None = None
    tasks: dict[int, CacheTask] = field(default_factory=dict)
    writing: CacheTask | None = None


class Repaired(World):
    """One P of some ranks, some D."""

    @staticmethod
    def drives(config: dict[str, Any]) -> bool:
        """One P without a prefix cache."""
        return not config.get("prefixes") and config.get("prefills", 1) == 1

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """All its rules; who asks a D that never has room waits with a deadline."""
        return {"without": None, **({"deadlines": True} if config.get("full") else {})}

    def start(self) -> None:
        """Rows of blocks for P's slots, reservations for D's room."""
        config = self.config
        self.chunks: int = config.get("chunks", 1)
        self.chunk_blocks = PROMPT_BLOCKS // self.chunks
        self.prompt_blocks = self.chunks * self.chunk_blocks
        self.groups = layer_groups(config.get("layers", 1))
        self.requests, ranks = self.index("router", "request").size, self.index("worker", "rank").size
        self.decodes: int = config.get("decodes", 1)
        self.slots: int = config.get("slots", 1)
        self.prefill = self.instance("prefill", self.slots * self.prompt_blocks, ranks)
        for d in range(self.decodes):
            self.instance(f"decode {d}", config.get("room", 1) * (self.prompt_blocks + ANSWER_BLOCKS), ranks)
        self.ranks = [Rank() for _ in range(ranks)]
        self.forwards: list[Prefill] = []
        self.rows: dict[int, Blocks] = {}
        self.grants: dict[tuple[int, int], Blocks] = {}
        self.there: dict[int, Blocks] = {}
        self.mailbox: CacheTask | None = None
        self.first: dict[int, Floats] = {}
        self.commits: dict[int, Floats] = {}
        self.stepping: dict[tuple[int, int], tuple[Answer, Blocks]] = {}
        self.version, self.versions = 0, [0] * ranks
        """Of the weights in force, and of those that P's ranks have."""

    def decode_of(self, q: int) -> Instance:
        """The D of a request."""
        return self.instances[f"decode {q % self.decodes}"]

    def invites(self, action: Action) -> bool:
        """Clients post, and an operator who has paused goes on."""
        return action.row.event in ("post_to_decode", "post_next", "resume")

    # -- the router --------------------------------------------------------------------------------------------------

    @after("router.post_to_decode")
    def post(self, step: Step) -> None:
        """A client posts; a number that was answered may be used again, for another prompt."""
        (q,) = step.copy
        if q in self.answers:
            self.answers[f"{q}, turn {len(self.answers)}"] = self.answers.pop(q)
        self.request(q, q + len(self.answers), self.prompt_blocks * BLOCK_SIZE)

    @after("router.register")
    def register(self, step: Step) -> None:
        """P learns how long the prompt is."""
        answer = self.answers[step.copy[0]]
        answer.prompt = answer.prompt[: step.values["chunks"] * self.chunk_blocks * BLOCK_SIZE]

    @after("router.receive_answer")
    def end(self, step: Step) -> None:
        """The client has its answer."""
        self.answers[step.copy[0]].over = True

    # -- P's engine ----------------------------------------------------------------------------------------------------

    @after("connector.receive_grant")
    def learn(self, step: Step) -> None:
        """A grant names D's blocks."""
        q = step.values["request"]
        self.there[q] = self.grants[q, step.values["turn"]]

    @after("prepare.put_task")
    def put(self, step: Step) -> None:
        """The cache task: both block tables."""
        q = step.before("prepare_hand", *step.copy)
        self.mailbox = CacheTask(self.rows[q], self.there[q])

    @after("completer.release_sent")
    def commit(self, step: Step) -> None:
        """The first token goes to D with the commit."""
        q = step.values["request"]
        self.commits[q] = self.first[q]

    # -- P's workers ---------------------------------------------------------------------------------------------------

    @after("worker.read_batch", "worker.read_last_batch")
    def read(self, step: Step) -> None:
        """A rank has its batch; the first rank lays the forward out."""
        (number,) = step.copy
        tasks = {q: step.after("worker_hand", number, q) for q in range(self.requests)}
        batch = [(q, *self._chunk_of(task)) for q, task in tasks.items() if 0 < task < 2 * self.chunks]
        rank, forward = self.ranks[number], None
        if batch:
            if rank.begun == len(self.forwards):
                for q, chunk, _ in batch:
                    self.answers[q].version = self.versions[number] if chunk == 1 else self.answers[q].version
                self.forwards.append(Prefill(self.prefill, [(q, self._chunk(q, chunk)) for q, chunk, _ in batch], len(self.groups)))
            forward = self.forwards[rank.begun]
            rank.begun += 1
        rank.batch = Batch(forward, tuple(q for q, _, last in batch if last))

    def load(self, number: int) -> None:
        """A rank of P has the weights in force."""
        self.versions[number] = self.version
        self.prefill.shards[number].weights = weights(self.version).shard(number, len(self.ranks))

    def load_decode(self, number: int) -> None:
        """A D has them."""
        shards = self.instances[f"decode {number}"].shards
        for rank, shard in enumerate(shards):
            shard.weights = weights(self.version).shard(rank, len(shards))

    def _chunk_of(self, task: int) -> tuple[int, bool]:
        """The chunk, from 1, and whether it is the last; a last one has a number of its own."""
        return (task, False) if task < self.chunks else (task - self.chunks + 1, True)

    def _chunk(self, q: int, number: int) -> Chunk:
        size = self.chunk_blocks * BLOCK_SIZE
        return Chunk(self.answers[q].prompt[(number - 1) * size : number * size], (number - 1) * size, self.rows[q])

    # -- P's messagers -------------------------------------------------------------------------------------------------

    @after("registrar.fetch_task")
    def fetch(self, step: Step) -> None:
        """A rank has read the mailbox."""
        self.ranks[step.copy[0]].mail = self.mailbox

    @after("registrar.register", "registrar.register_and_forward")
    def file(self, step: Step) -> None:
        """The task is known."""
        rank = self.ranks[step.copy[0]]
        assert rank.mail is not None
        rank.tasks[step.before("registrar_hand", *step.copy)] = rank.mail

    @after("sender.find_layer")
    def find(self, step: Step) -> None:
        """The sender looks its task up."""
        rank = self.ranks[step.copy[0]]
        rank.writing = rank.tasks[step.before("sender_hand", *step.copy)]

    @after("sender.send_layer", "sender.send_last_layer")
    def send(self, step: Step) -> None:
        """A layer of the chunk at hand, from P's blocks into D's, whoever has them now."""
        (number,) = step.copy
        q, task = step.before("sender_hand", number), self.ranks[number].writing
        assert task is not None
        done = step.before("chunks_sent", number, q)
        part = slice(done * self.chunk_blocks, (done + 1) * self.chunk_blocks)
        layers = self.groups[step.before("sender_layer", number)]
        self.decode_of(q).receive(self.prefill, number, layers, task.here[part], task.there[part], q)

    # -- D -------------------------------------------------------------------------------------------------------------

    @after("decode_loop.reserve")
    def reserve(self, step: Step) -> None:
        """D takes blocks for the request; it does not remember those that it has taken for it before."""
        q = step.values["request"]
        decode = self.decode_of(q)
        decode.give((q, "overwritten"), decode.held_by(q))
        decode.hold(q, self.prompt_blocks + ANSWER_BLOCKS)

    @after("decode_loop.grant")
    def grant(self, step: Step) -> None:
        """The grant names them."""
        q = step.values["request"]
        self.grants[q, step.before("reply_due", q % self.decodes, q)] = tuple(self.decode_of(q).held_by(q))

    @after("listener.receive_commit")
    def begin(self, step: Step) -> None:
        """The first token: D decodes from the reservation."""
        q = step.values["request"]
        where = (q % self.decodes, q)
        if step.after("entry.state", *where) == Entry.DECODING != step.before("entry.state", *where):
            self.answers[q].add(self.commits[q])
            self.running[q] = tuple(self.decode_of(q).held_by(q))

    @after("decode_worker.start_step")
    def step(self, step: Step) -> None:
        """The requests of the step, with their block tables."""
        for q in range(self.requests):
            where = (*step.copy, q)
            if step.after("decode_batch", *where):
                self.stepping[where] = (self.answers[q], self.running[q])

    @after("decode_worker.credit_last_token")
    def credit(self, step: Step) -> None:
        """All tokens that are left."""
        q = step.values["request"]
        answer, table = self.stepping.pop((*step.copy, q))
        if answer is not self.answers[q]:
            self.noted["token of an earlier turn told"] += 1
        name = f"decode {q % self.decodes}"
        while len(self.answers[q].tokens) < ANSWER_TOKENS:
            self.decode(name, {q: table})

    @after("decode_worker.drop_token")
    def drop(self, step: Step) -> None:
        """The step has computed it all the same, in the blocks that it began with."""
        where = (*step.copy, step.values["request"])
        answer, table = self.stepping.pop(where)
        sequence = answer.sequence
        self.decode_of(where[1]).step([(where[1], Chunk(sequence[-1:], len(sequence) - 1, table))])

    @after("decode_worker.release")
    def release(self, step: Step) -> None:
        """D lets the reservation go."""
        q = step.values["request"]
        self.decode_of(q).free(q)

    # -- all ------------------------------------------------------------------------------------------------------------

    def settled(self, step: Step) -> None:
        """Whose slot is whose on P."""
        if not step.touches("slot_of"):
            return
        owners = {step.after("slot_of", q): q for q in range(self.requests)}
        for slot in range(self.slots):
            row = tuple(range(slot * self.prompt_blocks, (slot + 1) * self.prompt_blocks))
            for block in row:
                self.prefill.holder.pop(block, None)
            if slot in owners:
                self.rows[owners[slot]] = self.prefill.give(owners[slot], row)

    def lose_prefill(self) -> None:
        """Nothing that P knew is left, nor what its ranks were at."""
        self.prefill.holder.clear()
        self.forwards.clear()
        self.ranks = [Rank() for _ in self.ranks]
        self.mailbox = None

    def lose_decode(self, number: int) -> None:
        """A D holds nothing, and runs nothing."""
        self.instances[f"decode {number}"].holder.clear()
        for where in [w for w in self.stepping if w[0] == number]:
            del self.stepping[where]

    def turn(self) -> bool:
        """Everything is done by rows."""
        return False

    def roles(self) -> list[object]:
        """With the rows that some bounds have."""
        return [
            self,
            *(role(self) for role in (Waiting, Launched, LoadingRank, LoadingDevice, Turns, Again, Updates) if self.has(role)),
            *(role(self) for role in (Losses, PrefillCrash, PrefillEnd, PrefillStart, DecodeCrash, DecodeStart, DecodesTogether) if self.has(role)),
        ]


class Turns:
    """Numbers that are used again."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("router.post_next")
    def post(self, step: Step) -> None:
        """The next turn."""
        self._world.post(step)


class Again:
    """Without `reserves_once`."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("decode_loop.reserve_again")
    def reserve(self, step: Step) -> None:
        """The repeated ask takes blocks anew."""
        self._world.reserve(step)


class Updates:
    """An operator who brings new weights."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("control.update")
    def update(self, step: Step) -> None:
        """They are in force."""
        self._world.version = 1 - self._world.version

    @after("decode_worker.end_update")
    def load_decode(self, step: Step) -> None:
        """A D has loaded them."""
        self._world.load_decode(*step.copy)
