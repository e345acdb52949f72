"""What clients are told whose requests are lost, wherever those are when a process dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from engine.disaggregated.crews import DecodeCrew
from engine.disaggregated.ledger import End, Heard
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.loss import Loss, loss_text
from engine.disaggregated.plant import Plant
from engine.generation import Finish, Generation
from engine.model.config import TINY

from .test_lockstep import WEIGHTS

PLANT = Plant(TINY, sequences=2, context_tokens=128, mortal=True, turns=8)
LIKE = LockstepEngine(WEIGHTS, PLANT)
REQUESTS = [Generation((k, 7, 9) * 20, 40) for k in range(1, 4)]


class Clients:
    """Three clients of a D that has room for two."""

    def __init__(self) -> None:
        self.heard: dict[int, list[Heard]] = {}
        self.engine = LockstepEngine(WEIGHTS, PLANT, like=LIKE, told=lambda key, what: self.heard.setdefault(key, []).append(what))
        for request in REQUESTS:
            self.engine.submit(request)

    @property
    def reserved(self) -> int:
        """Requests that D has blocks for."""
        crew = self.engine.ensemble._processes["decode engine 0"].crew
        assert isinstance(crew, DecodeCrew)
        return len(crew._engine.answers)

    @property
    def tokens(self) -> list[int]:
        """What those have got who have got something."""
        return [len(mine) for mine in self.heard.values()]

    def step_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            assert self.engine.turn()

    def ends_without(self, victim: str) -> Counter[tuple[int, End]]:
        """How many tokens they get, and how their answers end, if that process is killed now."""
        self.engine.ensemble.kill(victim)
        self.engine.run(20_000)
        assert self.engine.leaks() == [] and len(self.heard) == 3
        return Counter((len(mine) - 1, end) for mine in self.heard.values() if isinstance(end := mine[-1], End))


@pytest.fixture
def clients() -> Clients:
    return Clients()


def lost(loss: Loss, tokens: int = 0) -> tuple[int, End]:
    return tokens, End(Finish.ERROR, loss_text(loss, tokens))


@pytest.mark.parametrize("victim", ["prefill engine", "prefill worker 0", "messager 0"])
def test_when_p_dies_d_tells_who_had_a_reservation(clients: Clients, victim: str) -> None:
    clients.step_until(lambda: clients.reserved == 2)
    assert clients.ends_without(victim) == Counter({lost(Loss.PREFILLING): 2, lost(Loss.QUEUED): 1})


def test_what_d_decodes_outlives_p(clients: Clients) -> None:
    clients.step_until(lambda: len(clients.tokens) == 2)
    assert clients.ends_without("messager 0") == Counter({(40, End(Finish.LENGTH)): 2, lost(Loss.QUEUED): 1})


@pytest.mark.parametrize("victim", ["decode engine 0", "decode 0 worker 0"])
def test_when_d_dies_the_tokens_tell_how_far_it_was(clients: Clients, victim: str) -> None:
    clients.step_until(lambda: len(clients.tokens) == 2 and min(clients.tokens) >= 3)
    got = clients.tokens
    assert clients.ends_without(victim) == Counter([*(lost(Loss.DECODING, tokens) for tokens in got), lost(Loss.DECODING)])


def test_when_d_dies_before_it_decodes_no_token_has_come(clients: Clients) -> None:
    clients.step_until(lambda: clients.reserved == 2)
    assert clients.ends_without("decode engine 0") == Counter({lost(Loss.DECODING): 3})
