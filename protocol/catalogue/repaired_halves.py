"""Scenarios of the group "repaired-halves": the repaired protocol split in two, for two requests with all faults at once.

That composition is too large to be explored whole. Here P runs beside a machine that stands for D, the router with its clients and the
network, and these beside a machine that stands for P. `prefill_covered` and `decode_covered` say that each stand-in can do all that the
other half sees of what it replaces; so what a half answers holds in the whole, at the same bounds (docs/semantics.md,
"Environments"). It is proven for two requests, two rooms, one rank, one layer, prompts of one chunk, no crash, each half for the properties that
are about it; nothing is said of what a half does not see. Of progress a half keeps what it brings about whatever the other does or leaves
undone: the gate opens again, and a prepare thread comes back. That a slot comes back is not among it: what stands for D may open and close
the key for ever, which D does not. Nor that a request is answered: for that D must reply. The same is asked of one request, where the
whole can be asked as well; of one with an operator, who pauses, resumes and gives new weights; and of one that ranks launch and go on
(EW-ASYNC). Each stand-in with a row left out, and each half with a rule left out, is told.
"""

from __future__ import annotations

from typing import Any

from ..machines.repaired.halves import build
from . import Scenario, is_deep
from .hazard import Hazard
from .repaired_asked import ASKED
from .repaired_bounds import ALL_FAULTS
from .repaired_scenario import PULLS

SPLIT = "reservations_counted,answered_at_most_once,step_on_freed_reservation"
"""What the half of D answers: both halves are about the same question."""
OF_PREFILL = (
    "slots_owned_once,freed_block_read,freed_block_written,leaks_when_over,taken_twice,schedule_during_forward,foreign_written,"
    "uncomputed_sent,token_miscredited,misread_batch"
)
"""What the half of P answers, as one question."""
BOTH: dict[str, Any] = {"asked": f"{SPLIT},{OF_PREFILL}", "joined": OF_PREFILL}
PROGRESS: dict[str, Any] = {"asked": "gate_opens,threads_come_back"}
"""What P brings about whatever D does, or does not do."""

COVERED = {
    "prefill_covered": "What stands for P can do all that D, the router and the network see of P.",
    "decode_covered": "What stands for D, the router and the network can do all that P sees of them.",
    "joined": f"P does nothing wrong: {OF_PREFILL.replace(',', ', ')}.",
}


def _scenario(
    name: str, half: str, asked: str, expected: str, distinct: int, path: int | None, variant: str = "repaired", /, **bounds: Any
) -> Scenario:
    says = {**COVERED, **ASKED}[asked]
    part = "the whole, unsplit" if half == "whole" else f"the half of {half}"
    left = f" Left out: {variant.removeprefix('without ')}." if variant != "repaired" else ""
    about = f"{says} Asked of {part}, with aborts, time-outs, failed writes, suspicions, repetitions and losses.{left}"
    config = {"half": half, "asked": SPLIT if half != "whole" else "", **ALL_FAULTS, **bounds}
    name = f"repaired-halves-{name}-{asked.replace('_', '-')}"
    return Scenario(name, "repaired-halves", build, asked, expected, PULLS, variant, about, config, distinct, path, is_deep(distinct, expected))


TWO: dict[str, Any] = {"requests": 2, "room": 2}

SCENARIOS = [
    _scenario("one", "whole", "some_request_is_answered", "holds", 449_865, 3),
    _scenario("one", "prefill", "prefill_covered", "holds", 75_216, None),
    _scenario("one", "decode", "decode_covered", "holds", 2_371, None),
    _scenario("one", "decode", "reservations_counted", "holds", 2_370, None),
    _scenario("one", "decode", "answered_at_most_once", "holds", 2_370, None),
    _scenario("one", "decode", "step_on_freed_reservation", "holds", 2_370, None),
    _scenario("one-both", "prefill", "prefill_covered", "holds", 76_112, None, **BOTH),
    _scenario("one-both", "prefill", "joined", "holds", 76_688, None, **BOTH),
    _scenario("one-both", "decode", "decode_covered", "holds", 2_371, None, **BOTH),
    _scenario("one-progress", "prefill", "prefill_covered", "holds", 75_216, None, **PROGRESS),
    _scenario("one-progress", "decode", "decode_covered", "holds", 2_371, None, **PROGRESS),
    _scenario("one-progress", "prefill", "gate_opens", "holds", 75_216, None, **PROGRESS),
    _scenario("one-progress", "prefill", "threads_come_back", "holds", 75_216, None, **PROGRESS),
    _scenario("full", "prefill", "prefill_covered", "holds", 75_216, None, full=True),
    _scenario("full", "decode", "decode_covered", "holds", 758, None, full=True),
    _scenario("control", "prefill", "prefill_covered", "holds", 301_760, None, control=True),
    _scenario("control", "decode", "decode_covered", "holds", 10_518, None, control=True),
    _scenario("two", "prefill", "prefill_covered", "holds", 41_871_360, None, **TWO),
    _scenario("two", "decode", "decode_covered", "holds", 5_648_449, None, **TWO),
    _scenario("two", "decode", "reservations_counted", "holds", 5_623_789, None, **TWO),
    _scenario("two", "decode", "answered_at_most_once", "holds", 5_623_789, None, **TWO),
    _scenario("two", "decode", "step_on_freed_reservation", "holds", 5_623_789, None, **TWO),
    _scenario("two-both", "prefill", "prefill_covered", "holds", 47_056_896, None, **BOTH, **TWO),
    _scenario("two-both", "decode", "decode_covered", "holds", 5_628_530, None, **BOTH, **TWO),
    _scenario("two-both", "prefill", "joined", "holds", 51_899_392, None, **BOTH, **TWO),
    _scenario("one-launched", "prefill", "prefill_covered", "holds", 155_568, None, **BOTH, asynchronous=True),
    _scenario("one-launched", "prefill", "joined", "holds", 156_144, None, **BOTH, asynchronous=True),
    _scenario("one-launched", "decode", "decode_covered", "holds", 2_371, None, **BOTH, asynchronous=True),
    _scenario(
        "one-launched-without-speaks-in-stream",
        "prefill",
        "joined",
        "violated",
        172_944,
        27,
        "without speaks_in_stream",
        **BOTH,
        asynchronous=True,
        without="speaks_in_stream",
    ),  # fmt: skip
    _scenario(
        "one-without-drains-before-cancel",
        "prefill",
        "joined",
        "violated",
        107_584,
        11,
        "without drains_before_cancel",
        **BOTH,
        without="drains_before_cancel",
    ),  # fmt: skip
    _scenario("one-without-ignore-refusal", "prefill", "prefill_covered", "violated", 150_432, 2, "without ignore_refusal", forgets="ignore_refusal"),
    _scenario("one-without-revoke", "decode", "decode_covered", "violated", 2_612, 9, "without revoke", forgets="revoke"),
    _scenario(
        "one-without-reserves-once", "decode", "reservations_counted", "violated", 4_536, 8, "without reserves_once", without="reserves_once", room=2
    ),
    _scenario(
        "one-without-reserves-posted", "decode", "answered_at_most_once", "violated", 11_992, 5, "without reserves_posted", without="reserves_posted"
    ),
    _scenario("one-without-ends-steps", "decode", "step_on_freed_reservation", "violated", 2_556, 18, "without ends_steps", without="ends_steps"),
]

HAZARDS: list[Hazard] = []
