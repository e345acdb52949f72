"""Scenarios of the group "decode-rounds": a step of a D that shares its experts, which is D's part of a round of all who share them.

The stand-in of gate and ranks is that of the group *decode-ranks*, so what is shown there about the half of D beside it holds here, too: the
other instances add nothing that D's engine process could see, however their batches fall, and whether experts move behind every forward or not.
What the report rests on is the forward's last exchange between the ranks of D, for they compute behind the all_to_all that all have entered.
"""

from __future__ import annotations

from typing import Any

from ..machines.repaired.decode_rounds import build
from . import Scenario, is_deep

COVERED = (
    "Gate and ranks, in rounds with those of others, do what D's worker believes of a step: it is taken, every rank works on it, once, and reported."
)
ENDS = "A step that D's worker begins ends, whatever batches the others have."
ALONE = "D's rank waits in the forward for that of the other instance, which has no batch and rests."
EARLY = "Rank 0 is through and reports; rank 1 has left the all_to_all as well, and will write into blocks that D's engine process may free."


def _scenario(name: str, expected: str, distinct: int, path: int | None, about: str = COVERED, /, **config: Any) -> Scenario:
    variant = "repaired-launched" if config.get("forward") == "async" else "repaired" if config.get("asks", True) else "repaired-without-asking"
    config, name, sources = {"part": "ranks", **config}, f"decode-rounds-{name}", ("#6680", "P13")
    asked, deep = "ranks_covered" if config["part"] == "ranks" else "step_ends", is_deep(distinct, expected)
    return Scenario(name, "decode-rounds", build, asked, expected, sources, variant, about, config, distinct, path, deep)


# fmt: off
ROUNDS = [
    _scenario("tp1", "holds", 18_903, None, ranks=1),
    _scenario("tp2", "holds", 239_075, None, ranks=2),
    _scenario("tp2-balancing", "holds", 215_231, None, ranks=2, balances=True),
    _scenario("tp3", "holds", 2_504_897, None, ranks=3),
    _scenario("three-instances", "holds", 1_056_095, None, instances=3, ranks=1),
    _scenario("async-tp1", "holds", 16_078, None, ranks=1, forward="async"),
    _scenario("async-tp2", "violated", 425_847, 34, EARLY, ranks=2, forward="async"),
    _scenario("whole-tp1-step-ends", "holds", 190_584, None, ENDS, ranks=1, part="whole"),
    _scenario("whole-tp1-step-without-asking", "violated", 222_408, 41, ALONE, ranks=1, part="whole", asks=False),
    _scenario("updates-tp1", "holds", 61_584, None, f"{COVERED} Or it is new weights.", ranks=1, control=True),
    _scenario("updates-tp2", "holds", 781_456, None, f"{COVERED} Or it is new weights.", ranks=2, control=True),
    _scenario("whole-updates-tp1-step-ends", "holds", 963_006, None, ENDS, ranks=1, part="whole", control=True),
    _scenario("without-asking-tp2", "holds", 316_918, None, f"{COVERED} It need not end.", ranks=2, asks=False),
]
# fmt: on
