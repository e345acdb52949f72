"""Several prefill instances that share the decode instances, in lockstep: the tokens are the reference's, and one P's end is nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import Audit, audit
from engine.disaggregated.crews import RouterCrew
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.generation import Finish
from engine.model.config import TINY
from engine.model.reference import greedy
from engine.model.weight_file import save
from engine.model.weights import seeded

from .test_lockstep import WEIGHTS, generations

PLANTS = {
    "2P1D": Plant(TINY, 2, 1, sequences=2, context_tokens=128, prefills=2, mortal=True, turns=8),
    "2P2D": Plant(TINY, 1, 2, sequences=2, context_tokens=128, prefills=2, mortal=True, turns=8),
}
FIRST = {name: LockstepEngine(WEIGHTS, plant) for name, plant in PLANTS.items()}
"""Whose compiled rows are used by those like them."""


def engine_of(name: str, seed: int = 0) -> LockstepEngine:
    return LockstepEngine(WEIGHTS, PLANTS[name], seed, logged=True, like=FIRST[name])


def audited(engine: LockstepEngine) -> Audit:
    return audit(WEIGHTS, engine.records.values(), engine.leaks())


def home_of(engine: LockstepEngine, key: int) -> int | None:
    """The P that has the request at the moment; None when it has none yet, or is over."""
    crew = engine.ensemble._processes["router"].crew
    assert isinstance(crew, RouterCrew)
    lines = crew._router.lines
    return next((engine.plant.homes.prefill_of(n) for n, line in enumerate(lines) if line.job is not None and line.job.key == key), None)


@pytest.mark.parametrize("name", PLANTS)
def test_the_tokens_are_those_of_the_monolithic_pass_and_the_log_is_a_behaviour(name: str, tmp_path: Path) -> None:
    engine = engine_of(name)
    wanted = {engine.submit(generation): generation for generation in generations(8, seed=1)}
    served = set()
    while engine.open:
        if not engine.turn():
            engine.ensemble.pass_time()
        served |= {home_of(engine, key) for key in engine.open}
    engine.run(20_000)
    assert served >= {0, 1}
    for key, generation in wanted.items():
        assert [token.id for token in engine.records[key].tokens] == greedy(WEIGHTS, generation.prompt, generation.max_tokens)
    assert audited(engine).healthy
    engine.ensemble.write_log(tmp_path / "log")
    judged = conform(tmp_path / "log")
    assert judged.conforms and judged.events > 500, judged.reason


@pytest.mark.parametrize("after_rows", range(0, 360, 60))
def test_an_abort_at_any_time_harms_no_other(after_rows: int) -> None:
    engine = engine_of("2P1D", seed=after_rows)
    keys = [engine.submit(generation) for generation in generations(3, seed=5)]
    engine.step(after_rows)
    engine.abort(keys[0])
    engine.run(20_000)
    found = audited(engine)
    assert (found.mismatched, found.leaks) == (0, ())
    assert [engine.records[key].finish for key in keys[1:]] == [Finish.LENGTH] * 2


@pytest.mark.parametrize(("name", "victim"), [("2P1D", "prefill 1 engine"), ("2P1D", "prefill 0 messager 1"), ("2P2D", "prefill 0 worker 0")])
def test_the_death_of_one_harms_no_request_of_the_other(name: str, victim: str, tmp_path: Path) -> None:
    engine = engine_of(name, seed=4)
    keys = [engine.submit(generation) for generation in generations(6, seed=2)]
    while not {0, 1} <= {home_of(engine, key) for key in keys}:
        assert engine.turn()
    dying = int(victim.split()[1])
    others = [key for key in keys if home_of(engine, key) == 1 - dying]
    dead = engine.ensemble.kill(victim)
    assert dead and all(process.startswith(f"prefill {dying}") for process in dead)
    engine.run(20_000)
    assert {engine.records[key].finish for key in others} == {Finish.LENGTH}
    late = [engine.submit(generation) for generation in generations(6, seed=3)]
    engine.run(20_000)
    found = audited(engine)
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ())
    assert {engine.records[key].finish for key in late} == {Finish.LENGTH}
    engine.ensemble.write_log(tmp_path / "log")
    assert conform(tmp_path / "log").conforms


def test_new_weights_reach_every_instance(tmp_path: Path) -> None:
    fresh = seeded(TINY, 7)
    save(fresh, tmp_path / "weights")
    engine = engine_of("2P2D", seed=1)
    before = [engine.submit(generation) for generation in generations(4, seed=8)]
    engine.step(200)
    engine.update_weights(tmp_path / "weights")
    assert [engine.records[key].finish for key in before if engine.records[key].ends] != []
    wanted = {engine.submit(generation): generation for generation in generations(6, seed=9)}
    engine.run(20_000)
    for key, generation in wanted.items():
        assert [token.id for token in engine.records[key].tokens] == greedy(fresh, generation.prompt, generation.max_tokens)
    assert engine.leaks() == []


@pytest.mark.parametrize("name", PLANTS)
def test_nothing_is_posted_to_a_p_that_is_dead_and_nobody_else_waits_for_it(name: str) -> None:
    engine = engine_of(name, seed=1)
    engine.ensemble.kill("prefill 0 engine")
    keys = [engine.submit(generation) for generation in generations(12, seed=6)]
    homes = set[int | None]()
    while engine.turn():
        homes |= {home_of(engine, key) for key in engine.open}
    assert homes == {None, 1} and not engine.open
    assert {engine.records[key].finish for key in keys} == {Finish.LENGTH}
