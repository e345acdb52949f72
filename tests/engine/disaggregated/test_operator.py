"""Pause, resume and new weights: who is under way ends with the old weights, who waits gets the new ones, and nobody gets a mixture."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import Record
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation
from engine.model.config import TINY
from engine.model.reference import greedy
from engine.model.weight_file import save
from engine.model.weights import Weights, seeded
from protocol import DefinitionError

from .clients import read

OLD, NEW = seeded(TINY, 0), seeded(TINY, 1)


@pytest.fixture(scope="module")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "new.safetensors"
    save(NEW, path)
    return path


def generations(count: int, seed: int) -> list[Generation]:
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 60))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(2, 6)) for prompt in prompts]


def is_of(weights: Weights, record: Record) -> bool:
    """Whether an answer is that of these weights, to its last token."""
    wanted = record.generation
    return [token.id for token in record.tokens] == greedy(weights, wanted.prompt, wanted.max_tokens)


@pytest.mark.parametrize("after_rows", [0, 60, 400])
def test_new_weights_in_the_middle_split_the_requests_and_none_of_them(after_rows: int, new_file: Path) -> None:
    engine = LockstepEngine(OLD, Plant(TINY, 2, 2, sequences=1, context_tokens=96), seed=after_rows)
    for generation in generations(6, seed=1):
        engine.submit(generation)
    engine.step(after_rows)
    engine.update_weights(new_file)
    ended = {key for key, record in engine.records.items() if record.ends}
    engine.run(40_000)
    of_old = {key for key, record in engine.records.items() if is_of(OLD, record)}
    of_new = {key for key, record in engine.records.items() if is_of(NEW, record)}
    assert of_old | of_new == set(engine.records) and not of_old & of_new
    assert of_old >= ended or not ended
    assert of_new and (of_old or after_rows == 0)
    assert engine.leaks() == []


def test_a_pause_that_waits_for_nobody_mixes_the_weights_of_a_request(new_file: Path) -> None:
    """What `drains_before_pause` is for: P has computed the prompt with the old weights, and D goes on with the new ones."""
    engine = LockstepEngine(OLD, Plant(TINY, sequences=2, context_tokens=96, without="drains_before_pause"), seed=1)
    for generation in generations(4, seed=1):
        engine.submit(generation)
    engine.step(120)
    engine.update_weights(new_file)
    engine.run(40_000)
    mixed = [record for record in engine.records.values() if not is_of(OLD, record) and not is_of(NEW, record)]
    assert mixed and all(record.ends == [Finish.LENGTH] for record in mixed)


def test_a_paused_engine_begins_nothing_and_goes_on_when_resumed() -> None:
    engine = LockstepEngine(OLD, Plant(TINY, 2, sequences=2, context_tokens=96))
    begun = engine.submit(generations(1, seed=2)[0])
    engine.step(100)
    engine.pause()
    assert engine.is_paused and engine.records[begun].ends == [Finish.LENGTH]
    waiting = engine.submit(generations(2, seed=3)[1])
    while engine.turn():
        pass
    assert not engine.records[waiting].tokens
    engine.resume()
    engine.run(20_000)
    assert is_of(OLD, engine.records[begun]) and is_of(OLD, engine.records[waiting])


def test_an_abort_during_a_pause_ends_the_request_and_the_pause(new_file: Path) -> None:
    engine = LockstepEngine(OLD, Plant(TINY, sequences=2, context_tokens=96), seed=3)
    first, second = (engine.submit(Generation(generation.prompt, 20)) for generation in generations(2, seed=4))
    engine.step(120)
    engine.pause(abort=True)
    assert all(engine.records[key].ends for key in (first, second)) and engine.leaks() == []
    engine.update_weights(new_file)
    assert engine.is_paused
    third = engine.submit(generations(1, seed=5)[0])
    engine.resume()
    engine.run(20_000)
    assert is_of(NEW, engine.records[third])


def test_a_rank_that_died_begins_with_the_weights_in_force(new_file: Path) -> None:
    engine = LockstepEngine(OLD, Plant(TINY, 2, sequences=2, context_tokens=96, mortal=True))
    engine.update_weights(new_file)
    for victim in ("prefill worker 1", "decode engine 0"):
        engine.ensemble.kill(victim)
        engine.ensemble.advance(engine.ensemble.time.now + 1.0)
    key = engine.submit(generations(1, seed=6)[0])
    engine.run(20_000)
    assert is_of(NEW, engine.records[key])


def test_a_file_of_something_else_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    engine = LockstepEngine(OLD, Plant(TINY, context_tokens=96))
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"\x02\0\0\0\0\0\0\0{}" + bytes(8))
    for path, message in ((wrong, "has no array embedding of 264x96 32-bit floats"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(DefinitionError, match=message):
            engine.update_weights(path)
    assert not engine.is_paused


@pytest.mark.live
def test_processes_map_the_new_weights_and_the_log_is_a_behaviour(new_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.ndjson"
    service = Disaggregated(Plant(TINY, ranks=2, sequences=2, context_tokens=128, mortal=True), log, keeps_records=True)

    async def run() -> list[Finish | None]:
        handles = [service.submit(Generation(generation.prompt, 12)) for generation in generations(10, seed=7)]
        await anext(handles[0])
        await asyncio.to_thread(service.update_weights, new_file)
        handles.append(service.submit(generations(1, seed=8)[0]))
        return list(await asyncio.gather(*map(read, handles)))

    with closing(service):
        assert set(asyncio.run(run())) == {Finish.LENGTH}
        of_old, of_new = ({key for key, record in service.records.items() if is_of(weights, record)} for weights in (OLD, NEW))
        assert len(of_old) + len(of_new) == 11 and 1 in of_old and 11 in of_new and service.leaks() == []
        service.stop()
    judged = conform(log)
    assert judged.conforms, judged.reason
