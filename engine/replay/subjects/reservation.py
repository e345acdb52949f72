"""A reservation at D along `reservation`: D reserves places, P's messagers write into them, the first token commits, D decodes.

A place is a row of D's blocks, the same ones for as long as D lives. P computes when the request is added; its messagers write a
layer when their row fires, into the place that the task names by then.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .places import PLACE_BLOCKS, Places


class Reservation(Places):
    """One P, one D with places."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Asked for once, nobody frees but the end of decoding, nobody gives up or dies, nothing is lost, and there is room for all."""
        faults = ("time_outs", "aborts", "losses", "write_errors", "prefill_crashes", "decode_crashes", "rank_crashes")
        return {"variant": "single", "decode_places": config.get("requests", 1), "lives": 1, **dict.fromkeys(faults, 0)}

    def start(self) -> None:
        """Blocks on P for every request; on D, a place's blocks for every place."""
        requests, places = self.index("asker", "request").size, self.config.get("decode_places", 1)
        self.groups = layer_groups(self.config.get("layers", 2))
        self.instance("prefill", requests * PROMPT_BLOCKS, self.config.get("ranks", 1))
        self.instance("decode", places * PLACE_BLOCKS, self.config.get("ranks", 1))
        self.first: dict[int, Floats] = {}
        self.here: dict[int, tuple[int, ...]] = {}
        for q in range(requests):
            self.request(q, q)

    @after("asker.prepare")
    def prepare(self, step: Step) -> None:
        """P allocates."""
        (q,) = step.copy
        self.here[q] = self.instances["prefill"].hold(q, PROMPT_BLOCKS)

    @after("asker.add")
    def compute(self, step: Step) -> None:
        """P is free to compute, and does."""
        (q,) = step.copy
        chunk = Chunk(self.answers[q].prompt, 0, self.here[q])
        self.first[q] = self.instances["prefill"].step([(q, chunk)])[0]

    @after("decode_loop.reserve")
    def reserve(self, step: Step) -> None:
        """D reserves a place; a request that runs goes on from whatever entry it has now."""
        q, place = step.values["request"], self.place(step.values["place"])
        self.instances["decode"].give(q, place)
        if q in self.running:
            self.running[q] = place

    @after("sender.write")
    def write(self, step: Step) -> None:
        """A one-sided write of a layer into the place that the task names."""
        rank, q = step.copy
        _, place = step.before("cache_info", rank, q)
        layers = self.groups[step.before("layer_in_hand", rank, q)]
        self.instances["decode"].receive(self.instances["prefill"], rank, layers, self.here[q], self.place(place)[:PROMPT_BLOCKS], q)

    @after("first_token.send_token")
    def release(self, step: Step) -> None:
        """P is done with the request."""
        self.instances["prefill"].free(step.copy[0])

    @after("decode_loop.insert")
    def commit(self, step: Step) -> None:
        """The first token: D decodes from the request's place."""
        q = step.values["request"]
        if q not in self.running:
            self.answers[q].add(self.first[q])
            self.insert(q, self.place(step.before("request_place", q)))

    @after("decoding.finish")
    def end(self, step: Step) -> None:
        """The request has its last token, and its place goes back."""
        (q,) = step.copy
        self.complete(q)
        self.instances["decode"].free(q, self.place(step.before("request_place", q)))

    @after("decode_loop.fail")
    def fail(self, step: Step) -> None:
        """P says that the request has failed."""
        self._give_back(step, step.values["request"])

    @after("decode_loop.tell")
    def tell(self, step: Step) -> None:
        """The client gets an error."""
        self.answers[step.before("answered_request")].over = True

    def roles(self) -> list[object]:
        """With the monitor's and the aborts' rows, where they exist."""
        return [self, *(role(self) for role in (Aborts, Monitor) if self.has(role))]

    def _give_back(self, step: Step, request: int) -> None:
        place = step.before("request_place", request)
        if place is not None:
            self.instances["decode"].free(request, self.place(place))


class Aborts:
    """Clients that give up."""

    def __init__(self, world: Reservation):
        self._world = world

    @after("decoding.abort")
    def abort(self, step: Step) -> None:
        """D gives the place back and forgets the request; P is not told."""
        (q,) = step.copy
        self._world._give_back(step, q)
        self._world.answers[q].over = True
        self._world.running.pop(q, None)


class Monitor:
    """D.MON takes back what has waited long."""

    def __init__(self, world: Reservation):
        self._world = world

    @after("monitor.reclaim")
    def reclaim(self, step: Step) -> None:
        """The place goes back."""
        self._world._give_back(step, step.values["request"])

    @after("monitor.tell")
    def tell(self, step: Step) -> None:
        """The client gets an error, if it still waits."""
        self._world.answers[step.before("reclaimed")].over = True
