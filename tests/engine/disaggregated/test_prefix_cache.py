"""P's prefix cache in the engine: what is found is not computed again, the tokens stay the reference's, and early blocks do harm."""

from __future__ import annotations

import random

import pytest

from engine.disaggregated.crews import PrefillCrew
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.lockstep_memory import LockstepComputation
from engine.disaggregated.plant import Plant
from engine.disaggregated.prefill_engine import PrefillEngine
from engine.generation import Finish, Generation, PrefixUse
from engine.model.config import TINY
from engine.model.prefix_cache import PrefixCache
from engine.model.reference import greedy
from engine.model.weights import seeded

WEIGHTS = seeded(TINY, 0)
SYSTEM_PROMPT = tuple(range(70, 110))


def engine_of(seed: int = 0, **sizes: object) -> LockstepEngine:
    return LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=3, context_tokens=128, **sizes), seed=seed)  # type: ignore[arg-type]


def cache_of(engine: LockstepEngine) -> PrefixCache:
    crew = engine.ensemble._processes["prefill engine"].crew
    assert isinstance(crew, PrefillCrew)
    return crew._engine.cache


def ask(engine: LockstepEngine, *prompts: tuple[int, ...]) -> None:
    """Answer the prompts, all at once, and compare with the monolithic pass."""
    wanted = {engine.submit(Generation(prompt, 3)): prompt for prompt in prompts}
    engine.run(50_000)
    for key, prompt in wanted.items():
        answer = engine.records[key]
        assert answer.ends == [Finish.LENGTH]
        assert [token.id for token in answer.tokens] == greedy(WEIGHTS, prompt, 3)
    cache_of(engine).check()
    assert engine.leaks() == []


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens rank 0 of P has computed in each forward."""
    tokens, begin = [], LockstepComputation.begin

    def counting(self: LockstepComputation, number: int, batch: tuple) -> None:
        if self._rank == 0:
            tokens.append(sum(len(chunk.tokens) for chunk in batch))
        begin(self, number, batch)

    monkeypatch.setattr(LockstepComputation, "begin", counting)
    return tokens


def test_a_shared_system_prompt_is_computed_once(computed: list[int]) -> None:
    engine = engine_of()
    ask(engine, (*SYSTEM_PROMPT, 1, 2))
    assert sum(computed) == 42
    ask(engine, (*SYSTEM_PROMPT, 3), (*SYSTEM_PROMPT, 4, 5, 6))
    assert sum(computed) == 42 + (41 - 32) + (43 - 32), "two blocks of 16 tokens are found"
    assert engine.ledger.prefix == PrefixUse(queries=42 + 41 + 43, hits=64, evictions=0)


def test_a_later_round_finds_the_earlier_one(computed: list[int]) -> None:
    engine, prompt = engine_of(), tuple(range(50))
    for added in ((60, 61), tuple(range(100, 120)), (7,)):
        ask(engine, prompt)
        prompt = (*prompt, *greedy(WEIGHTS, prompt, 3), *added)
    assert engine.ledger.prefix.hits == 48 + 48 and sum(computed) == engine.ledger.prefix.queries - engine.ledger.prefix.hits


def test_a_repeated_prompt_is_computed_but_for_whole_blocks(computed: list[int]) -> None:
    engine, prompt = engine_of(), tuple(range(64))
    ask(engine, prompt)
    ask(engine, prompt)
    assert engine.ledger.prefix.hits == 48, "the last token is computed to choose the next, and its block with it"
    assert computed[-1] == 16 and len(computed) == 5, "three chunks of the repeated prompt cost rows and no forward"


def test_chunks_are_found_while_later_chunks_of_their_prompt_are_computed() -> None:
    engine = engine_of()
    first, second = tuple(range(100)), (*range(100), 9)
    engine.submit(Generation(first, 3))
    while not cache_of(engine).match(second):
        engine.turn()
    assert len(cache_of(engine).match(second)) < len(first) // 16
    ask(engine, second)
    assert engine.ledger.prefix.hits > 0


@pytest.mark.parametrize("seed", range(4))
def test_eviction_makes_room_and_tokens_stay_right(seed: int) -> None:
    engine, rng = engine_of(seed, slots=1), random.Random(seed)
    stems = [tuple(rng.randrange(256) for _ in range(90)) for _ in range(3)]
    for _ in range(3):
        ask(engine, *((*rng.choice(stems), rng.randrange(256)) for _ in range(3)))
    assert engine.ledger.prefix.hits > 0 and engine.ledger.prefix.evictions > 0


def test_an_abort_gives_its_share_of_a_block_back() -> None:
    engine = engine_of(seed=1)
    ask(engine, SYSTEM_PROMPT)
    for after_rows in range(40, 400, 40):
        doomed = engine.submit(Generation((*SYSTEM_PROMPT, after_rows % 256, *range(60)), 3))
        engine.step(engine.ensemble.fired + after_rows)
        engine.abort(doomed)
        ask(engine, (*SYSTEM_PROMPT, 1, after_rows % 256))


def test_without_it_nothing_is_found_or_told(computed: list[int]) -> None:
    engine = engine_of(prefix_cache=False)
    ask(engine, SYSTEM_PROMPT)
    ask(engine, SYSTEM_PROMPT)
    assert engine.ledger.prefix == PrefixUse() and sum(computed) == 80


@pytest.mark.parametrize("early", [False, True])
def test_what_an_aborted_request_has_not_computed_is_not_found(early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hazard H-08 in the engine: what preallocation publishes may never be computed, and is matched all the same."""
    hold = PrefillEngine.hold

    def publishing(self: PrefillEngine, q: int) -> PrefixUse | None:
        use = hold(self, q)
        self.cache.publish(self.jobs[q].key, len(self.jobs[q].prompt))
        return use

    if early:
        monkeypatch.setattr(PrefillEngine, "hold", publishing)
    engine, prompt = engine_of(), tuple(range(100))
    doomed = engine.submit(Generation(prompt, 3))
    while doomed not in cache_of(engine):
        engine.turn()
    engine.abort(doomed)
    engine.run(20_000)
    if early:
        with pytest.raises(AssertionError):
            ask(engine, prompt)
    else:
        ask(engine, prompt)
