"""D's that share their experts die and come back together; who was not with them goes on, and later answers are the reference's."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation, Handle
from engine.model.config import TINY_EXPERTS

from ..test_live import is_gone, segments
from .test_experts import WEIGHTS, generations

GROUP = [*(f"decode engine {d}" for d in range(2)), *(f"decode {d} worker {r}" for d in range(2) for r in range(2))]
"""The processes of both D's."""


def plant(redundant: int | None) -> Plant:
    return Plant(TINY_EXPERTS, 2, 2, sequences=3, context_tokens=128, expert_parallel=4, redundant_experts=redundant, mortal=True)


@pytest.mark.parametrize("redundant", [None, 1])
@pytest.mark.parametrize("victim", ["decode 0 worker 1", "decode engine 1"])
def test_all_end_with_one_and_come_back_with_the_experts_where_they_were_at_first(
    victim: str, redundant: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has numbers for 12 requests: those that have one end with an error, the others are posted to those who have come back."""
    monkeypatch.setattr("engine.disaggregated.balancing.INTERVAL_VISITS", 64)
    engine = LockstepEngine(WEIGHTS, plant(redundant), seed=2, logged=True)
    for generation in generations(16, seed=3, tokens=range(10, 11)):
        engine.submit(generation)
    while engine.open and (sum(len(answer.tokens) for answer in engine.records.values()) < 20 or (redundant and not engine.ledger.rebalances)):
        engine.turn()
    moved = len(engine.ledger.rebalances)
    assert set(engine.ensemble.kill(victim)) == set(GROUP)
    engine.run(80_000)
    ended = Counter(finish for answer in engine.records.values() for finish in answer.ends)
    assert ended.total() == 16 and ended[Finish.ERROR] + ended[Finish.LENGTH] == 16 and ended[Finish.LENGTH] >= 4 <= ended[Finish.ERROR]
    for generation in generations(6, seed=4, tokens=range(6, 12)):
        engine.submit(generation)
    engine.run(160_000)
    found = audit(WEIGHTS, engine.records.values(), engine.leaks())
    assert (found.mismatched, found.answered_twice, found.leaks, found.lost) == (0, 0, (), ended[Finish.ERROR])
    assert (len(engine.ledger.rebalances) > moved > 0) if redundant else not engine.ledger.rebalances
    engine.ensemble.write_log(tmp_path / "log")
    judged = conform(tmp_path / "log")
    assert judged.conforms, judged.reason


class Client:
    """Reads answers, and kills a process of the engine when so many tokens have come."""

    def __init__(self, service: Disaggregated):
        self.service, self.killed = service, list[int]()

    def kill(self, name: str) -> None:
        """As `kill -9` does."""
        pid = self.service.engine.children[name].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.killed.append(pid)

    async def play(self, asked: list[Generation], victim: str | None = None, tokens: int = 9) -> Counter[Finish | None]:
        """How the requests end."""
        seen = count(1)

        async def read(handle: Handle) -> Finish | None:
            async for _ in handle:
                if next(seen) == tokens and victim is not None:
                    self.kill(victim)
            return handle.finish

        return Counter(await asyncio.gather(*(read(self.service.submit(generation)) for generation in asked)))


@pytest.mark.live
def test_a_killed_rank_and_a_killed_engine_take_both_instances_with_them_and_nothing_else(tmp_path: Path) -> None:
    with closing(Disaggregated(plant(1), tmp_path / "log", keeps_records=True)) as service:
        client = Client(service)
        for seed, victim in enumerate(["decode 0 worker 1", "decode engine 1"]):
            others = {name: child.process.pid for name, child in service.engine.children.items() if name not in GROUP}
            ended = asyncio.run(client.play(generations(14, seed, range(6, 12)), victim))
            assert set(ended) == {Finish.ERROR, Finish.LENGTH} and ended[Finish.ERROR] <= 12
            assert asyncio.run(client.play(generations(6, seed, range(2, 5)))) == {Finish.LENGTH: 6}
            assert others == {name: child.process.pid for name, child in service.engine.children.items() if name not in GROUP}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9
        assert all(map(is_gone, client.killed))
        service.stop()
        judged = conform(tmp_path / "log")
        assert judged.conforms, judged.reason
    assert not segments()
