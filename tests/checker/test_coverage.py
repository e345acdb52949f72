"""Nothing in the catalogue is dead: every row of every builder fires in some everyday scenario of that builder.

A row that cannot fire proves nothing: what it was meant to show never happens. Scenarios are explored cheapest first and
only until all rows of their builder have fired.
"""

from collections.abc import Callable

import pytest

from checker import check
from checker.result import row_names
from protocol import System
from protocol.catalogue import Scenario, scenarios

ONE_RANK = "needs a second tensor-parallel rank under this loop, which no everyday scenario has"
EVERY_VALUE = "the table has a row for every value of the word; it is never looked at while it holds step 0"
IDLE_RANK = "a rank of A that is idle and finds the queue empty: not reached at the catalogue's bounds"
KNOWN_EARLY = "that a report is known before its token is read, and that another of the step is left, takes more requests than two"

EXEMPT: dict[tuple[str, str], str] = {
    ("collectives.expert_round", "worker.see_batch from AT_FLAG (2)"): ONE_RANK,
    ("collectives.expert_round", "worker.accompany from AT_MEETING (2)"): ONE_RANK,
    ("hand_over.layer0_signal", "sender.abandon from SENDING"): "not reached at three requests on two slots either (1,113,091 states)",
    ("hand_over.layer0_signal", "token_processor.answer_known from COLLECTING"): KNOWN_EARLY,
    ("repaired.protocol", "decode_worker.drop_token from STEPPING"): "an abort in a step over two requests: 3,427,796 states, deep",
    ("sending.chunked_send", "token_processor.answer_known from COLLECTING"): KNOWN_EARLY,
    ("sending.step_layer_words", "messager.read_0_0"): EVERY_VALUE,
    ("sending.step_layer_words", "messager.read_0_1"): EVERY_VALUE,
    ("sending.step_layer_words", "messager.read_0_2"): EVERY_VALUE,
    ("signalling.forward_signal", "worker.reset_flag from RESETTING (2)"): IDLE_RANK,
}
"""(module of the builder, row) to the reason why it may never fire."""


def builders() -> dict[str, list[Scenario]]:
    """The everyday scenarios by the module of their builder, cheapest first."""
    found: dict[str, list[Scenario]] = {}
    for scenario in sorted(scenarios().values(), key=lambda s: s.distinct or 0):
        if not scenario.deep:
            found.setdefault(_name(scenario.build), []).append(scenario)
    return found


def _name(build: Callable[..., System]) -> str:
    return build.__module__.removeprefix("protocol.machines.")


def dead_rows(builder: str) -> list[str]:
    """The rows without an excuse that fire in no everyday scenario of the builder."""
    systems: dict[str, System] = {}
    for scenario in builders()[builder]:
        # What fires depends on the bounds only, so the cheapest property asked at them will do.
        if repr(scenario.config) not in systems:
            systems[repr(scenario.config)] = scenario.system()
    rows = dict.fromkeys(name for system in systems.values() for name in row_names(system))
    excused = {row for module, row in EXEMPT if module == builder}
    assert excused <= rows.keys()
    waiting = rows.keys() - excused
    for system in systems.values():
        mine = set(row_names(system))
        if waiting & mine:
            waiting -= mine.difference(check(system).never_fired)
    return [row for row in rows if row in waiting]


@pytest.mark.parametrize("builder", builders())
def test_every_row_fires_somewhere(builder: str) -> None:
    dead = dead_rows(builder)
    assert not dead, f"{builder}: never fires in an everyday scenario: {', '.join(dead)}"
