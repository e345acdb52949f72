"""D's decode step: sampling rows with their mirror, draft tokens, captured buffers. Whatever a step does, answers are the reference's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.disaggregated import crews, decode_engine
from engine.disaggregated.decode_engine import DecodeEngine
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.generation import DraftUse, Finish, Generation
from engine.model import step_buffers
from engine.model.batch_rows import BatchRows
from engine.model.config import TINY
from engine.model.reference import log_probabilities
from engine.model.sampling import Sampling, choose
from engine.model.sampling_rows import SamplingRows
from engine.model.step_buffers import CapturedStep, IllegalAccess, capture_sizes
from engine.model.weights import Weights, seeded
from protocol.machines.buffers.sampling_mirror import MIRRORS
from protocol.machines.repaired.decode import DecodeWorker

WEIGHTS = seeded(TINY, 0)
REPEATING = seeded(replace(TINY, tied=True), 7)
"""Tied, seeded weights repeat their last token: a text that n-grams foresee."""
NARROW, WIDE = Sampling(1.0, 0.2, seed=3), Sampling(1.5, seed=4)


def reference(weights: Weights, generation: Generation) -> list[int]:
    """The tokens that one sequence alone draws from the monolithic pass."""
    tokens = list(generation.prompt)
    for drawn in range(generation.max_tokens):
        tokens.append(choose(log_probabilities(weights, tokens)[-1], generation.sampling, drawn)[0])
    return tokens[len(generation.prompt) :]


def answers(generations: Sequence[Generation], weights: Weights = WEIGHTS, **sizes: int) -> tuple[LockstepEngine, list[list[int]]]:
    engine = LockstepEngine(weights, Plant(weights.config, sequences=3, context_tokens=64, **sizes))  # type: ignore[arg-type]
    keys = [engine.submit(generation) for generation in generations]
    engine.run()
    assert all(engine.records[key].ends == [Finish.LENGTH] for key in keys) and engine.leaks() == []
    return engine, [[token.id for token in engine.records[key].tokens] for key in keys]


# -- sampling rows -------------------------------------------------------------------------------------------------------


def mixed() -> list[Generation]:
    """Requests of different lengths, so that rows are condensed while others decode; the narrow ones end first or last."""
    lengths = [(NARROW, 3), (WIDE, 12), (NARROW, 16), (WIDE, 5), (Sampling(), 9), (NARROW, 14), (WIDE, 16)]
    return [Generation((256, *range(k, k + 7)), length, sampling) for k, (sampling, length) in enumerate(lengths)]


@pytest.mark.parametrize("ranks", [1, 2])
def test_drawn_tokens_are_those_of_the_monolithic_pass(ranks: int) -> None:
    _, found = answers(mixed(), ranks=ranks)
    assert found == [reference(WEIGHTS, generation) for generation in mixed()]


def test_a_mirror_that_is_not_swapped_with_its_rows_draws_other_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """In some order of arrival: who shares a row's place with whom is a matter of the schedule."""
    monkeypatch.setattr(SamplingRows.__init__, "__defaults__", (1, MIRRORS["unswapped"]))
    orders = [mixed()[k:] + mixed()[:k] for k in range(len(mixed()))]
    assert any(answers(order)[1] != [reference(WEIGHTS, generation) for generation in order] for order in orders)


def test_the_fast_path_is_taken_when_nobody_narrows_his_nucleus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow and wide decode together, then wide alone."""
    taken: list[bool] = []
    effective = SamplingRows.effective

    def recording(self: SamplingRows, row: int) -> Sampling:
        taken.append(self.takes_fast_path)
        return effective(self, row)

    monkeypatch.setattr(SamplingRows, "effective", recording)
    answers([Generation((256, 1), 4, NARROW), Generation((256, 2), 20, WIDE)])
    assert not all(taken) and taken[-1]


def test_rows_are_condensed_and_reset() -> None:
    rows = BatchRows(3)
    assert rows.update({10: NARROW, 11: WIDE, 12: NARROW}) == [10, 11, 12]
    assert rows.update({11: WIDE, 12: NARROW}) == [12, 11] and rows.sampling.top_p_list == [0.2, 1.0, 1.0]
    assert rows.update({11: WIDE, 13: WIDE}) == [11, 13] and rows.sampling.takes_fast_path
    assert rows.update({}) == [] and rows.sampling.batch_rows == 0


# -- drafts --------------------------------------------------------------------------------------------------------------


def greedy_and_drawn() -> list[Generation]:
    return [Generation((256, 72, 101, 72, 101), 12), Generation((9, 8, 9, 8, 9), 12, Sampling(1.0, 0.9, 5)), Generation((256, 1, 2), 1)]


def test_answers_with_drafts_are_those_without() -> None:
    engine, found = answers(greedy_and_drawn(), REPEATING, drafts=3, ranks=2)
    assert found == [reference(REPEATING, generation) for generation in greedy_and_drawn()]
    assert engine.ledger.drafts.accepted > 0


def test_accepted_drafts_save_steps() -> None:
    fired = []
    for drafts, wanted in ((0, DraftUse()), (3, DraftUse(10, 10))):
        engine, _ = answers([Generation((256, 72, 101, 101), 16)], REPEATING, drafts=drafts)
        assert engine.ledger.drafts == wanted
        fired.append(engine.ensemble.fired)
    assert fired[1] < fired[0]


class Liar:
    """Proposes what is never right, and more than there is room for."""

    most = 3

    def propose(self, tokens: Sequence[int]) -> tuple[int, ...]:
        return ((tokens[-1] + 1) % 256, 7, 8)


def test_wrong_drafts_change_nothing_and_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt and its answer fill the context to the last token: drafts beyond it would lie in nobody's block."""
    monkeypatch.setattr(decode_engine, "proposer_of", lambda most: Liar())
    wanted = [Generation(tuple(range(50)), 14), Generation((256, 3), 9, NARROW)]
    engine, found = answers(wanted, drafts=3)
    assert found == [reference(WEIGHTS, generation) for generation in wanted]
    assert engine.ledger.drafts.proposed > 20 and engine.ledger.drafts.acceptance_rate < 0.2


def test_a_stop_token_among_the_drafts_ends_the_answer() -> None:
    engine = LockstepEngine(REPEATING, Plant(REPEATING.config, sequences=1, context_tokens=64, drafts=3))
    generation = Generation((256, 72, 101, 72, 101), 16)
    stop = reference(REPEATING, generation)[6]
    key = engine.submit(replace(generation, stop_tokens=frozenset([stop])))
    engine.run()
    record = engine.records[key]
    assert record.ends == [Finish.STOP] and [token.id for token in record.tokens].index(stop) == len(record.tokens) - 1


@pytest.mark.parametrize("after_rows", range(0, 240, 40))
def test_an_abort_between_the_tokens_of_a_step_harms_nobody(after_rows: int) -> None:
    engine = LockstepEngine(REPEATING, Plant(REPEATING.config, sequences=2, context_tokens=64, drafts=3), seed=after_rows)
    doomed, other = Generation((256, 5, 5, 5), 40), Generation((256, 6, 6, 6), 12)
    keys = engine.submit(doomed), engine.submit(other)
    while not engine.records[keys[0]].tokens:
        if not engine.turn():
            engine.ensemble.pass_time()
    engine.step(engine.ensemble.fired + after_rows)
    engine.abort(keys[0])
    engine.run()
    assert engine.records[keys[1]].ends == [Finish.LENGTH] and engine.leaks() == []
    assert [token.id for token in engine.records[keys[1]].tokens] == reference(REPEATING, other)


# -- captured steps ------------------------------------------------------------------------------------------------------


def test_steps_are_replayed_and_what_is_too_large_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    takes = CapturedStep.takes

    def recording(self: CapturedStep, batch: Sequence) -> bool:
        taken.append(takes(self, batch))
        return taken[-1]

    monkeypatch.setattr(CapturedStep, "takes", recording)
    monkeypatch.setattr(step_buffers, "MOST_CAPTURED_TOKENS", 2)
    monkeypatch.setattr(step_buffers, "capture_sizes", lambda most: [1, 2])
    _, found = answers(mixed())
    assert set(taken) == {True, False} and found == [reference(WEIGHTS, generation) for generation in mixed()]


def test_buffers_that_are_too_small_are_noticed_at_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The capacity invariant is checked where D decodes, not only in the model."""
    whole = CapturedStep.for_decoding

    def halved(most_tokens: int) -> CapturedStep:
        captured = whole(most_tokens)
        captured._buffers = step_buffers.StepBuffers(captured._buffers.capacity // 2)
        return captured

    monkeypatch.setattr(CapturedStep, "for_decoding", halved)
    with pytest.raises(IllegalAccess, match="error 700"):
        answers(mixed())


def test_captured_sizes_are_those_of_the_field() -> None:
    assert capture_sizes(3) == [1, 2, 4] and capture_sizes(8) == [1, 2, 4, 8] and capture_sizes(33) == [1, 2, 4, 8, 16, 32, 48]
    assert capture_sizes(10_000)[-1] == 512


@pytest.mark.parametrize("seed", range(4))
def test_an_abort_during_a_step_frees_nothing_before_the_forward_is_over(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The forward still writes into the request's blocks: whoever got them meanwhile would decode from another's cache."""
    made: list[DecodeEngine] = []

    class Watched(DecodeEngine):
        def __init__(self, *arguments: Any):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(crews, "DecodeEngine", Watched)
    engine = LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=2, context_tokens=64), seed=seed)
    key = engine.submit(Generation(tuple(range(40)), 20))
    rows = 0
    worker = engine.ensemble.driver.copies["decode_worker", (0,)]
    while worker.state is not DecodeWorker.STEPPING:
        engine.step(rows := rows + 1)
    engine.abort(key)
    held, rows_in_forward = made[0].pool.free, 0
    while worker.state is DecodeWorker.STEPPING:
        assert made[0].pool.free == held
        engine.step(rows := rows + 1)
        rows_in_forward += 1
    engine.run()
    assert rows_in_forward > 10 and engine.leaks() == []
