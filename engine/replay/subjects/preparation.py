"""Preparation along `preparation`: P's blocks and D's are taken and given back as the stages say; a grant carries D's blocks to P.

A request of size two holds twice the blocks, and uses the first half. What P writes goes to the blocks of the grant that it took last; D
decodes from the blocks that it has reserved last. Where a second reservation overwrites the first, the first one's blocks are nobody's.
"""

from __future__ import annotations

from typing import Any

from protocol.machines.preparation.instances import VARIANTS, Place, Stage

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import Instance, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World

TABLE_BLOCKS = PROMPT_BLOCKS + ANSWER_BLOCKS
HOLDING = (Stage.HELD, Stage.RUNNING, Stage.COMPUTED)


class Preparation(World):
    """Some P, some D."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with refusals that are told."""
        return {"variant": "repaired", "waits": "continuous", "refusals": "told"}

    def start(self) -> None:
        """As much room as the builder has, in blocks."""
        config = self.config
        self.variant = VARIANTS[config.get("variant", "repaired")]
        goals: str = config.get("decodes", "01")
        self.goal = dict(enumerate(map(int, goals)))
        self.home = dict(enumerate(map(int, config.get("prefills") or "0" * len(goals))))
        self.size = dict(enumerate(map(int, config.get("sizes") or "1" * len(goals))))
        early = self.variant.splits and not self.variant.decode_first
        self.holding = (*HOLDING, Stage.ASKED, Stage.GRANTED) if early else HOLDING
        for p in range(max(self.home.values()) + 1):
            self.instance(f"prefill {p}", config.get("prefill_room", 2) * PROMPT_BLOCKS)
        for d, room in enumerate(config.get("decode_room", "11")):
            self.instance(f"decode {d}", int(room) * TABLE_BLOCKS)
        self.grants: dict[int, list[tuple[int, ...]]] = {q: [] for q in self.goal}
        self.there: dict[int, tuple[int, ...]] = {}
        self.first: dict[int, Floats] = {}
        for q in self.goal:
            self.request(q, q)

    def prefill(self, q: int) -> Instance:
        """The P that the request is for."""
        return self.instances[f"prefill {self.home[q]}"]

    def decode_of(self, q: int) -> Instance:
        """The D that the request is for."""
        return self.instances[f"decode {self.goal[q]}"]

    @after("decode_loop.grant")
    def grant(self, step: Step) -> None:
        """The answer names the blocks that D has reserved."""
        q = step.values["request"]
        self.grants[q].append(tuple(self.decode_of(q).held_by(q)))

    def learn(self, q: int) -> None:
        """P takes a grant: these are the blocks to write to."""
        self.there[q] = self.grants[q].pop(0)

    def compute(self, q: int) -> None:
        """P computes the prompt."""
        prefill = self.prefill(q)
        self.first[q] = prefill.step([(q, Chunk(self.answers[q].prompt, 0, self._here(q)))])[0]

    def send(self, q: int) -> None:
        """P's blocks go into those of the grant."""
        decode, prefill = self.decode_of(q), self.prefill(q)
        for rank in range(len(prefill.shards)):
            decode.receive(prefill, rank, layer_groups(1)[0], self._here(q), self.there[q][:PROMPT_BLOCKS], q)

    def _here(self, q: int) -> tuple[int, ...]:
        return tuple(self.prefill(q).held_by(q))[:PROMPT_BLOCKS]

    def settled(self, step: Step) -> None:
        """Whose block is whose, and which client has an answer."""
        if step.touches("request_stage"):
            for q, p in self.home.items():
                holds = step.after("request_stage", p, q) in self.holding
                self._account(self.prefill(q), q, holds, self.size[q] * PROMPT_BLOCKS)
        if step.touches("decode_place"):
            self._reserve(step)
        refusal_told = self.variant.both_tell or self.config.get("refusals") == "client_too"
        told = {"prepare.put_error": self.variant.told, "split_phase.put_error": self.variant.told, "decode_loop.refuse": refusal_told}
        if told.get(step.name):
            self.answers[step.values["request"]].over = True

    @after("decoder.decode")
    def end(self, step: Step) -> None:
        """The first token, all the others, and the end."""
        q = step.values["request"]
        table, answer = tuple(self.decode_of(q).held_by(q)), self.answers[q]
        if table:
            answer.add(self.first[q])
            self.insert(q, table)
            self.complete(q, f"decode {self.goal[q]}")
        else:
            self.noted["first token for a request that D does not hold"] += 1
            answer.over = True

    def _reserve(self, step: Step) -> None:
        for q, d in self.goal.items():
            reserved = step.after("decode_place", d, q) == Place.RESERVED
            if reserved and step.name == "decode_loop.reserve" and step.values.get("request") == q and self.decode_of(q).held_by(q):
                self.noted["reservation overwritten by another of the same request"] += 1
                self.decode_of(q).give((q, "overwritten"), self.decode_of(q).held_by(q))
            self._account(self.decode_of(q), q, reserved, self.size[q] * TABLE_BLOCKS)

    def _account(self, instance: Instance, q: int, holds: bool, blocks: int) -> None:
        """Take the blocks or give them back, if that has changed."""
        if holds and not instance.held_by(q):
            instance.hold(q, blocks)
        elif not holds:
            instance.free(q)

    def turn(self) -> bool:
        """Decoding is a row."""
        return False

    def roles(self) -> list[object]:
        """With the rows of the version, and of P's messager where there is one."""
        return [self, *(role(self) for role in (Handlers, Replies, Unwanted, Service, Messager) if self.has(role))]


class Handlers:
    """P.IO before the repair."""

    def __init__(self, world: Preparation):
        self._world = world

    @after("decode_answer.take_grant")
    def take(self, step: Step) -> None:
        """The answer is taken, whoever waits for it."""
        self._world.learn(step.copy[0])


class Replies:
    """P.IO, ours."""

    def __init__(self, world: Preparation):
        self._world = world

    @after("reply.accept_grant")
    def accept(self, step: Step) -> None:
        """The grant of the attempt that P asks for."""
        self._world.learn(step.copy[0])

    @after("reply.ignore_grant")
    def ignore(self, step: Step) -> None:
        """The same grant again, or one too many."""
        self._world.grants[step.copy[0]].pop(0)


class Unwanted:
    """P.IO, ours: grants that are cancelled."""

    def __init__(self, world: Preparation):
        self._world = world

    @after("reply.find_unwanted")
    def drop(self, step: Step) -> None:
        """Nobody waits for it."""
        self._world.grants[step.copy[0]].pop(0)


class Service:
    """The rest of P in one row."""

    def __init__(self, world: Preparation):
        self._world = world

    @after("prefill_service.serve")
    def serve(self, step: Step) -> None:
        """Computed and sent."""
        q = step.values["request"]
        self._world.compute(q)
        self._world.send(q)


class Messager:
    """P's worker and its messager."""

    def __init__(self, world: Preparation):
        self._world = world

    @after("forward.compute")
    def compute(self, step: Step) -> None:
        """The forward."""
        self._world.compute(step.values["request"])

    @after("sender.send")
    def send(self, step: Step) -> None:
        """What is registered is sent."""
        self._world.send(step.values["request"])
