"""Unlucky timing: a seeded run in which processes are killed with requests and aborts under way. `INTERLOCK_KILLS=40` kills as often."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.disaggregated.plant import Plant
from engine.disaggregated.succession import Succession
from engine.generation import Finish, Generation, Handle
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.named import weights_of
from engine.model.sampling import Sampling
from engine.runtime.household import PATIENCE

from ..test_live import is_gone, segments

KILLS = int(os.environ.get("INTERLOCK_KILLS", "4"))
REQUESTS_A_KILL, TOKENS_A_KILL = 5, 30
PATIENCE_S = 60 + 20 * KILLS

OWN = Plant(TINY, ranks=2, decodes=2, sequences=3, context_tokens=128, mortal=True)
SHARED = replace(OWN, config=TINY_EXPERTS, expert_parallel=4, redundant_experts=1)

pytestmark = pytest.mark.live


class Players:
    """Clients that ask, read and give up, and somebody who kills; every choice is drawn from one seed."""

    def __init__(self, service: Succession, seed: int):
        self.service, self.rng = service, random.Random(seed)
        self.handles: list[Handle] = []
        self.tokens = 0
        self.killed: list[int] = []

    def ask(self) -> Handle:
        """One more request; some of them draw their tokens."""
        rng = self.rng
        prompt = tuple(rng.randrange(256) for _ in range(rng.randrange(1, 90)))
        sampling = Sampling(rng.choice((0.0, 0.0, 0.8)), seed=rng.randrange(99))
        self.handles.append(self.service.submit(Generation(prompt, rng.randrange(1, 30), sampling)))
        return self.handles[-1]

    async def read(self, handle: Handle) -> None:
        """To the end, or to the moment when its client gives up."""
        patience = self.rng.choice((1, 3, 99, 99))
        async for _ in handle:
            self.tokens += 1
            patience -= 1
            if patience == 0:
                self.service.abort(handle)

    def kill(self) -> None:
        """Any process but those whose end is the engine's; perhaps one that is just coming back."""
        engines = self.service.engines
        if not engines:
            return  # its processes were killed once too often on their way back, and a fresh one is being started
        engine = self.rng.choice(engines).engine
        child = engine.children.get(self.rng.choice([s.name for s in engine.placement.stations if s.name != "router"]))
        if child is not None and child.process.pid is not None:
            with suppress(ProcessLookupError):  # it has just been ended with another one
                os.kill(child.process.pid, signal.SIGKILL)
                self.killed.append(child.process.pid)

    async def play(self) -> None:
        """A kill, or two at once, after every so many tokens, or when nothing is under way any more."""
        readers: set[asyncio.Task[None]] = set()
        for _ in range(KILLS):
            readers |= {asyncio.create_task(self.read(self.ask())) for _ in range(REQUESTS_A_KILL)}
            wanted = self.tokens + self.rng.randrange(TOKENS_A_KILL)
            while self.tokens < wanted and readers:
                done, readers = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(self.rng.choice((1, 1, 2))):
                self.kill()
        await asyncio.gather(*readers)


async def answers(players: Players, count: int) -> list[Finish | None]:
    handles = [players.ask() for _ in range(count)]
    for handle in handles:
        async for _ in handle:
            pass
    return [handle.finish for handle in handles]


@pytest.mark.parametrize(("plant", "seed"), [(OWN, 1), (SHARED, 2)], ids=["own-experts", "shared-experts"])
def test_whoever_is_killed_whenever_every_request_ends_once_and_nothing_is_left(tmp_path: Path, plant: Plant, seed: int) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with closing(Succession(plant, tmp_path / "events.ndjson", keeps_records=True)) as service:
        players = Players(service, seed)
        asyncio.run(asyncio.wait_for(players.play(), PATIENCE_S))
        assert players.killed and all(map(is_gone, players.killed))
        while set(ended := asyncio.run(answers(players, 6))) != {Finish.LENGTH}:
            assert set(ended) <= {Finish.LENGTH, Finish.ERROR} and service.failure is None
        assert {handle.finish for handle in players.handles} <= {Finish.LENGTH, Finish.ABORT, Finish.ERROR}
        assert all(bool(handle.message) == (handle.finish is Finish.ERROR) for handle in players.handles)
        found = audit(weights_of(plant.config), service.records, service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9
        assert all(len(record.ends) == 1 for record in service.records) and (service.lost == 0 or KILLS > PATIENCE.attempts)
        service.stop()
        for log in service.written:
            judged = conform(log)
            assert judged.conforms, (log, judged)
    assert not segments() and len(os.listdir("/proc/self/fd")) <= descriptors + 2  # the fork server's and the resource tracker's
