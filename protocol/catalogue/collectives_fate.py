"""Scenarios of the group "collectives": a rank or an engine dies among instances that share rounds, and somebody comes back.

| who comes back | the rank | its instance | all, each at once | all together |
|---|---|---|---|---|
| a collective joins ranks of two generations | yes | yes | yes | no |
| a rank waits in a collective for ever | yes | yes | yes | no |
| a batch that was read is never forwarded | yes | yes | yes | no |

Instances that share nothing come back one by one (group `repaired`: *crash-of-decode*); these are they that share their experts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..machines.collectives.expert_round import build as build_round
from . import Scenario, variant_scenario

VARIANTS = {"rank": "repaired-rank-alone", "instance": "repaired-instance-alone", "all_at_once": "repaired-all-at-once", "all": "repaired"}
"""What the versions are called, by who comes back."""

RANK = (
    "The rank is started again alone: it begins an iteration while the others are in the forward of the last, which waits for it, or is joined with "
    "them in another than theirs."
)
INSTANCE = (
    "Engine and ranks of the instance are started again, as those of one that shares nothing. The others are in a forward that waits for them, and "
    "they in the all_gather that begins the next."
)
AT_ONCE = (
    "All are ended, and each goes as soon as it is back: the first meets, in the place of one that is still to come, what the dead have left there, "
    "and begins a round with nobody."
)
TOGETHER = (
    "All are ended, what they share is made anew, every rank makes its own place in the collectives anew, and nobody goes before all have. Who is "
    "lost on the way is started again."
)
AGAIN = "It does happen that requests of the next generation are forwarded."
MIXED, WAITS, FORWARDED, CROSSED = "generations_mixed", "waits_end", "batch_is_forwarded", "no_crossed_collectives"


def _fate(name: str, asked: str, expected: str, distinct: int, path: int | None, about: str, fate: str, **bounds: Any) -> Scenario:
    sources = ("H6", "9.6")
    bounds["fate"] = fate
    found = variant_scenario("collectives", build_round, f"fate-{name}", asked, expected, distinct, path, sources, about, "repaired", **bounds)
    return replace(found, variant=VARIANTS[fate])


# fmt: off
FATE = [
    _fate("rank-alone-mixes-generations", MIXED, "violated", 18_415, 16, RANK, "rank"),
    _fate("rank-alone-waits-for-ever", WAITS, "violated", 15_961, 30, RANK, "rank"),
    _fate("rank-alone-crosses-collectives", CROSSED, "violated", 15_961, 26, RANK, "rank"),
    _fate("instance-alone-mixes-generations", MIXED, "violated", 23_589, 18, INSTANCE, "instance"),
    _fate("instance-alone-waits-for-ever", WAITS, "violated", 21_439, 36, INSTANCE, "instance"),
    _fate("instance-alone-never-forwards", FORWARDED, "violated", 21_439, 36, INSTANCE, "instance"),
    _fate("all-at-once-mix-generations", MIXED, "violated", 65_513, 17, AT_ONCE, "all_at_once"),
    _fate("all-at-once-wait-for-ever", WAITS, "violated", 50_394, 43, AT_ONCE, "all_at_once"),
    _fate("all-at-once-never-forward", FORWARDED, "violated", 50_394, 43, AT_ONCE, "all_at_once"),
    _fate("all-of-one-generation", MIXED, "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-wait-for-a-while", WAITS, "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-forward-what-was-read", FORWARDED, "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-read-what-was-put", "batch_is_read", "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-open-their-gates", "gate_opens", "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-schedule-behind-forwards", "no_schedule_during_forward", "holds", 18_344, None, TOGETHER, "all"),
    _fate("all-cross-no-collectives", CROSSED, "holds", 18_344, None, TOGETHER, "all"),
    _fate("some-forward-after-death", "some_forward_after_death", "holds", 18_344, 36, AGAIN, "all"),
    _fate("all-of-one-generation-twice", MIXED, "holds", 52_206, None, TOGETHER, "all", deaths=2),
    _fate("all-wait-for-a-while-twice", WAITS, "holds", 50_190, None, TOGETHER, "all", deaths=2),
    _fate("all-of-one-generation-balancing", MIXED, "holds", 20_548, None, TOGETHER, "all", collective="end"),
    _fate("all-wait-for-a-while-balancing", WAITS, "holds", 20_548, None, TOGETHER, "all", collective="end"),
    _fate("all-of-one-generation-tp2", MIXED, "holds", 932_000, None, TOGETHER, "all", ranks=2),
    replace(_fate("all-wait-for-a-while-tp2", WAITS, "holds", 932_000, None, TOGETHER, "all", ranks=2), deep=True),
]
# fmt: on
