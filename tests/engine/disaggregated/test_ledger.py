"""The ledger: what is kept of requests, and what their clients hear."""

from __future__ import annotations

import pytest

from engine.disaggregated.ledger import End, Heard, Ledger
from engine.disaggregated.letters import Begun, Closed, GivenUp, Produced
from engine.disaggregated.loss import Loss
from engine.disaggregated.plant import Plant
from engine.generation import DraftUse, Finish, Generation, PrefixUse, Token
from engine.model.config import TINY

TOKEN = Token(7, -0.5)


def ledger(*, keeps: bool) -> tuple[Ledger, list[tuple[int, Heard]]]:
    heard: list[tuple[int, Heard]] = []
    made = Ledger(lambda key, what: heard.append((key, what)), keeps=keeps)
    made.submit(1, Generation((1, 2), 2))
    return made, heard


@pytest.mark.parametrize("keeps", [True, False])
def test_a_request_is_open_until_it_ends_and_kept_if_asked(keeps: bool) -> None:
    made, heard = ledger(keeps=keeps)
    made.note(Produced(1, TOKEN))
    assert list(made.open) == [1]
    made.note(Closed(1, Finish.LENGTH))
    assert heard == [(1, TOKEN), (1, End(Finish.LENGTH))] and not made.open
    assert [(record.tokens, record.ends) for record in made.records.values()] == ([([TOKEN], [Finish.LENGTH])] if keeps else [])


def test_what_is_given_up_before_it_had_a_number_is_an_abort_and_not_lost() -> None:
    made, heard = ledger(keeps=True)
    made.note(GivenUp(1))
    assert heard == [(1, End(Finish.ABORT))] and made.records[1].ends == [Finish.ABORT]


def test_of_a_second_end_the_record_tells_and_the_client_hears_nothing() -> None:
    made, heard = ledger(keeps=True)
    for _ in range(2):
        made.note(Closed(1, Finish.LENGTH))
    made.note(Produced(1, TOKEN))
    assert heard == [(1, End(Finish.LENGTH))]
    assert made.records[1].ends == [Finish.LENGTH] * 2 and made.records[1].tokens == [TOKEN]


@pytest.mark.parametrize(
    ("loss", "tokens", "told"),
    [
        (Loss.QUEUED, 0, "its prefill instance died while it was queued"),
        (Loss.PREFILLING, 0, "its prefill instance died before all of its KV cache was in decode"),
        (Loss.DECODING, 0, "its decode instance died before its first token"),
        (Loss.DECODING, 1, "its decode instance died after 1 token"),
        (Loss.DECODING, 3, "its decode instance died after 3 tokens"),
        (None, 0, "it ended without an answer"),
    ],
)
def test_a_client_whose_request_is_lost_is_told_where(loss: Loss | None, tokens: int, told: str) -> None:
    made, heard = ledger(keeps=False)
    for _ in range(tokens):
        made.note(Produced(1, TOKEN))
    made.note(Closed(1, Finish.ERROR, loss))
    assert heard[-1] == (1, End(Finish.ERROR, f"{told}; send it again"))


def test_uses_add_up() -> None:
    made, _ = ledger(keeps=False)
    for _ in range(2):
        made.note(PrefixUse(10, 4, 1))
        made.note(DraftUse(3, 1))
    assert (made.prefix, made.drafts) == (PrefixUse(20, 8, 2), DraftUse(6, 2))


def test_a_request_runs_from_its_first_chunk_to_its_end() -> None:
    plant = Plant(TINY, sequences=4, context_tokens=64)
    made, _ = ledger(keeps=False)
    made.submit(2, Generation((1, 2), 20))
    blocks = plant.shape.blocks_for
    seen = []
    for content in (Begun((1, 3)), Begun((1,)), Produced(2, TOKEN), Closed(1, Finish.LENGTH)):
        made.note(content)
        seen.append((made.stats(plant).running, made.stats(plant).waiting, made.stats(plant).kv_usage * plant.decode_blocks))
    assert seen == [(1, 1, blocks(4)), (1, 1, blocks(4)), (2, 0, blocks(4) + blocks(22)), (1, 0, blocks(22))]
