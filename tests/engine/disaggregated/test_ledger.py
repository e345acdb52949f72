"""The ledger: what is kept of requests, and what their clients hear."""

from __future__ import annotations

import pytest

from engine.disaggregated.ledger import Heard, Ledger
from engine.disaggregated.letters import Closed, GivenUp, Produced
from engine.generation import DraftUse, Finish, Generation, PrefixUse, Token

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
    assert heard == [(1, TOKEN), (1, Finish.LENGTH)] and not made.open
    assert [(record.tokens, record.ends) for record in made.records.values()] == ([([TOKEN], [Finish.LENGTH])] if keeps else [])


def test_what_is_given_up_before_it_had_a_number_is_an_abort_and_not_lost() -> None:
    made, heard = ledger(keeps=True)
    made.note(GivenUp(1))
    assert heard == [(1, Finish.ABORT)] and made.records[1].ends == [Finish.ABORT]


def test_of_a_second_end_the_record_tells_and_the_client_hears_nothing() -> None:
    made, heard = ledger(keeps=True)
    for _ in range(2):
        made.note(Closed(1, Finish.LENGTH))
    made.note(Produced(1, TOKEN))
    assert heard == [(1, Finish.LENGTH)]
    assert made.records[1].ends == [Finish.LENGTH] * 2 and made.records[1].tokens == [TOKEN]


def test_uses_add_up() -> None:
    made, _ = ledger(keeps=False)
    for _ in range(2):
        made.note(PrefixUse(10, 4, 1))
        made.note(DraftUse(3, 1))
    assert (made.prefix, made.drafts) == (PrefixUse(20, 8, 2), DraftUse(6, 2))
