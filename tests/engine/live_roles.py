"""Roles without tensors for live runs of the repaired composition, and its placement; a module of its own, for children to import."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from engine.binding import Outcome, after, decides
from engine.clock import Clock
from engine.runtime.placement import OUTSIDE, Composition, Crew, Desk, Letter, Part, Placement, Station
from engine.step import Step
from protocol.types import Value

BUILDER = "protocol.machines.repaired.protocol:build"
SIZES = {"requests": 4, "turns": 2, "ranks": 2, "slots": 2, "layers": 2, "chunks": 2, "decodes": 2, "room": 2, "threads": 2}
IDLE_S = 0.2


class Client:
    """A client of the router: posts when it is told to, with one chunk at first and two later, and tells how it ended."""

    def __init__(self, desk: Desk, request: int, posts: int):
        self._desk, self._request, self.posts = desk, request, posts

    @decides("router.post_to_decode", "router.post_next", "router.register")
    def choose(self, outcomes: Sequence[Outcome]) -> Outcome | None:
        if outcomes[0].event == "register":
            return outcomes[self.posts % len(outcomes)]
        return outcomes[0] if self.posts > 0 else None

    @after("router.post_to_decode", "router.post_next")
    def count(self, step: Step) -> None:
        self.posts -= 1

    @after("router.receive_answer")
    def tell(self, step: Step) -> None:
        self._desk.post(OUTSIDE, ("answered", self._request))


class UnluckyClient(Client):
    """A client that may also hear that its request was lost."""

    @after("router.report_lost")
    def lose(self, step: Step) -> None:
        self._desk.post(OUTSIDE, ("lost", self._request))


class RouterCrew(Crew):
    """The clients. A letter to the router is how many more requests each of them posts."""

    def __init__(self, posts: int, unlucky: bool, desk: Desk):
        self._desk, self._posts, self._kind = desk, posts, UnluckyClient if unlucky else Client
        self._clients: list[Client] = []

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        self._clients.append(self._kind(self._desk, copy[0], self._posts))
        return self._clients[-1:]

    def receive(self, letter: Letter) -> None:
        for client in self._clients:
            client.posts += letter.content


class Rank:
    """Rests while there is no batch."""

    def __init__(self, clock: Clock):
        self._clock = clock

    @after("worker.see_no_batch")
    def rest(self, step: Step) -> None:
        self._clock.doze(IDLE_S, "queue_filled")


class Decoder:
    """Decodes one token, then the last one."""

    @decides("decode_worker.credit_token", "decode_worker.credit_last_token", "decode_worker.drop_token")
    def choose(self, outcomes: Sequence[Outcome]) -> Outcome:
        return outcomes[-1]


class EngineCrew(Crew):
    """A process whose rows need no handlers, but for decoding."""

    def __init__(self, desk: Desk):
        self._desk = desk

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "worker":
            return [Rank(self._desk.clock(machine, copy))]
        return [Decoder()] if machine == "decode_worker" else []


def broken_crew(desk: Desk) -> Crew:
    """A crew that cannot be made."""
    raise ValueError(f"no weights for {desk.name}")


def repaired(posts: int, broken: str | None = None, **config: Any) -> Placement:
    """The repaired composition: a process for the router, P's engine, each D, each worker and each messager."""
    config = {**SIZES, **config}
    composition = Composition(BUILDER, config)
    present = {m.name for m in composition.system().active}
    prefill = ("prepare", "gate", "token_processor", "completer", "connector", "timer")
    lossy = config.get("crash", "none") == "decode"

    def station(name: str, *parts: Part) -> Station:
        return Station(name, parts, broken_crew if name == broken else EngineCrew)

    stations = [
        Station("router", (Part("router"),), partial(RouterCrew, posts, lossy)),
        station("prefill engine", *(Part(m) for m in prefill if m in present)),
        *(station(f"decode engine[{d}]", *(Part(m, (d,)) for m in ("listener", "decode_loop", "decode_worker"))) for d in range(config["decodes"])),
        *(station(f"worker[{r}]", Part("worker", (r,))) for r in range(config["ranks"])),
        *(station(f"messager[{r}]", *(Part(m, (r,)) for m in ("registrar", "consumer", "sender"))) for r in range(config["ranks"])),
    ]
    return Placement(composition, tuple(stations), dict.fromkeys(("timer.ask_once_more", "timer.commit_again", "timer.cancel_again"), 0.05))
