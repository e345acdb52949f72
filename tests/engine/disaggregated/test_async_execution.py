"""Asynchronous execution: P's ranks launch their forwards on devices of theirs; the answers are the monolithic pass's all the same."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from checker.conform import conform
from engine.audit import audit
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.lockstep_memory import Cost
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.weight_file import save
from engine.model.weights import seeded
from engine.routing.reader import RoutingReader
from engine.runtime.policy import Priorities, RoundRobin
from interlock import app

from .clients import read

WEIGHTS = seeded(TINY, 0)
PLANT = Plant(TINY, 2, sequences=3, context_tokens=128, mortal=True, asynchronous=True)
PAIR = LockstepEngine(WEIGHTS, PLANT)
"""Whose compiled rows are used by those like it."""


def generations(count: int, seed: int) -> list[Generation]:
    """Prompts of one to seven chunks."""
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 100))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(1, 6)) for prompt in prompts]


def answered(engine: LockstepEngine, wanted: list[Generation]) -> None:
    """Have them answered, as the monolithic pass does."""
    for generation in wanted:
        engine.submit(generation)
    engine.run(40_000)
    found = audit(WEIGHTS, engine.records.values(), engine.leaks())
    assert found.healthy and found.tokens == sum(generation.max_tokens for generation in wanted)


@pytest.mark.parametrize(("ranks", "prefills"), [(1, 1), (3, 1), (2, 2)])
def test_the_tokens_are_those_of_the_monolithic_pass(ranks: int, prefills: int) -> None:
    plant = Plant(TINY, ranks, sequences=3, context_tokens=128, prefills=prefills, asynchronous=True)
    answered(LockstepEngine(WEIGHTS, plant, seed=ranks), generations(6, seed=ranks))


def test_the_loop_goes_on_while_the_device_computes_and_the_log_is_a_behaviour(tmp_path: Path) -> None:
    policy, cost = Priorities(4, changes=3, rows=3000), Cost(forward_s=0.01, row_s=1e-4)
    engine = LockstepEngine(WEIGHTS, PLANT, policy=policy, cost=cost, logged=True, like=PAIR)
    answered(engine, generations(5, seed=4))
    log = tmp_path / "log"
    engine.ensemble.write_log(log)
    judged = conform(log)
    assert judged.conforms and judged.events > 500, judged.reason
    fired = [f"{line['copy']}.{line['event']}" for line in map(json.loads, log.read_text().splitlines()[:-1])]
    forwards = "\n".join(fired).split("device[0].take_work")[1:]
    assert any("worker[0].leave_top_barrier" in forward.split("device[0].lower_forward")[0] for forward in forwards)


def test_abort_at_any_time_harms_no_other() -> None:
    for after_rows in range(40, 240, 40):
        engine = LockstepEngine(WEIGHTS, PLANT, seed=after_rows, cost=Cost(forward_s=0.01, row_s=1e-4), like=PAIR)
        doomed, *others = [engine.submit(generation) for generation in generations(4, seed=9)]
        engine.step(after_rows)
        engine.abort(doomed)
        engine.run(40_000)
        assert {engine.records[key].finish for key in others} == {Finish.LENGTH}
        assert audit(WEIGHTS, [engine.records[key] for key in others], engine.leaks()).healthy


def test_a_device_begins_anew_with_its_worker_and_the_weights_in_force(tmp_path: Path) -> None:
    new = seeded(TINY, 1)
    save(new, tmp_path / "new.safetensors")
    engine = LockstepEngine(WEIGHTS, PLANT, policy=RoundRobin(), like=PAIR)
    engine.submit(generations(1, seed=2)[0])
    engine.update_weights(tmp_path / "new.safetensors")
    assert {"prefill device 0", "prefill worker 0", "prefill engine"} <= set(engine.ensemble.kill("prefill device 1"))
    engine.ensemble.advance(engine.ensemble.time.now + 1.0)
    key = engine.submit(generations(2, seed=3)[1])
    engine.run(40_000)
    assert audit(new, [engine.records[key]], engine.leaks()).healthy


def test_routes_come_from_the_device(tmp_path: Path) -> None:
    plant = Plant(TINY_EXPERTS, 2, sequences=2, context_tokens=128, routing=str(tmp_path), asynchronous=True)
    weights = seeded(TINY_EXPERTS, 0)
    engine = LockstepEngine(weights, plant, seed=1)
    prompt = generations(3, seed=6)[2].prompt
    engine.submit(Generation(prompt, 3, rollout="one"))
    engine.run(40_000)
    assert audit(weights, engine.records.values(), engine.leaks()).healthy
    assert len(RoutingReader(tmp_path).read("one", TINY_EXPERTS.layers)[0]) == len(prompt) + 2


def test_a_run_says_that_its_forwards_were_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--lockstep", "--async-execution", "--limit", "3", "--input-len", "20", "--output-len", "3", "--request-rate", "inf", "--audit")
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 0 and "decode 1, async execution True, turns round-robin" in done.output and "audit: healthy" in done.output
    assert '"copy": "device[1]", "event": "take_work"' in (tmp_path / "events.ndjson").read_text()


def test_in_processes_a_killed_device_comes_back_and_the_log_is_a_behaviour(tmp_path: Path) -> None:
    log = tmp_path / "events.ndjson"
    service = Disaggregated(PLANT, log, keeps_records=True)

    async def run(wanted: list[Generation], victim: str = "") -> set[Finish | None]:
        handles = [service.submit(generation) for generation in wanted]
        if victim:
            await anext(aiter(handles[0]))
            service.engine.children[victim].process.kill()
        return set(await asyncio.wait_for(asyncio.gather(*map(read, handles)), 60))

    with closing(service):
        assert asyncio.run(run(generations(6, seed=5))) == {Finish.LENGTH}
        assert asyncio.run(run([Generation((k,) * 90, 20) for k in range(1, 7)], "prefill device 1")) <= {Finish.LENGTH, Finish.ERROR}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9
        service.stop()
    judged = conform(log)
    assert judged.conforms and judged.events > 1000, judged.reason
