"""Scenarios of the group "decode-ranks": D's tensor-parallel ranks, where the repaired protocol has one worker.

The composition takes a decode step for one thing: it is taken of a batch, works on it alone, ends, and its result belongs to that batch.
`ranks_covered` says that gate and ranks do no more than that, by exhaustive inclusion of what D's engine process sees of them; then what
the half of D answers beside that stand-in holds with ranks, and `decode_covered` says that P sees nothing new (docs/semantics.md,
"Environments"). New weights are a step without requests, and `step_ends` says that the ranks report each step, which the composition takes
for granted (`hear_report` and `end_update` are fair). Which version of the gate does it, by who says that a step is over (at two ranks; what
the engine does is the first cell):

| | rank 0 says it | the gate says it |
|---|---|---|
| forwards end in a collective | all: repaired, A, B, B' | repaired, B (A, B' not asked) |
| forwards end without regard to the others | neither repaired nor B (A, B' not asked) | repaired only |
"""

from __future__ import annotations

from typing import Any

from ..machines.repaired.decode_ranks import build
from . import Scenario, is_deep
from .decode_rounds import ROUNDS
from .hazard import Hazard
from .repaired_asked import ASKED
from .repaired_bounds import ALL_FAULTS
from .repaired_scenario import PULLS

SAYS = {
    "ranks_covered": "Gate and ranks do what D's worker believes of a step: it is taken, every rank works on it, once, and then it is reported.",
    "engine_covered": "D's engine process gives its ranks one step after the other.",
    "decode_covered": "P sees nothing of D that it does not see of a D without ranks.",
}
ASYNC: dict[str, Any] = {"forward": "async"}
UPDATES: dict[str, Any] = {"control": True}
GATE: dict[str, Any] = {"reporter": "gate"}
TWO: dict[str, Any] = {"requests": 2, "room": 2}

EARLY_REPORT = "Rank 0 is through its forward and reports; rank 1 has yet to begin, and will write into blocks that D's engine process may free."
EARLY_LOAD = "Rank 0 has loaded and reports; rank 1 has yet to when D begins the next step."
EARLY_ZERO = "The gate finds the forward over, by the first zero of two (H1), and reports; the other rank still works."
HASTY = "D's worker credits tokens before it has heard that the step is over, and gives the next one."
ABORTED = "Without `drains_before_cancel` D sees a request end that it has given up while its step runs."
ANY_READ = "A asks only whether every rank has read the step, and reports at once."
SLIPPED = (
    "Rank 1 looks before rank 0 has announced the step, skips, and meets rank 0 at a barrier that rank 0 takes for the one behind reading; "
    "one iteration later it waits there for rank 0, which waits for the next step."
)
DIVIDED = "Without the meetings rank 0 lowers the signal in the next iteration while the other rank still works."


def _scenario(name: str, part: str, asked: str, expected: str, distinct: int, path: int | None, about: str = "", /, **config: Any) -> Scenario:
    variant = config.get("variant", "repaired")
    variant += "-launched" if config.get("forward") == "async" else ""
    if "without" in config:
        variant += f"-without-{config['without'].replace('_', '-')}"
    variant += "" if config.get("waits", True) else "-hasty"
    config = {"part": part, **config}
    said = f"{({**ASKED, **SAYS})[asked]} {about}".rstrip()
    return Scenario(
        f"decode-ranks-{name}", "decode-ranks", build, asked, expected, PULLS, variant, said, config, distinct, path, is_deep(distinct, expected)
    )


# fmt: off
SCENARIOS = [
    # -- what D's worker believes of gate and ranks ---------------------------------------------------------------------------
    _scenario("tp1", "ranks", "ranks_covered", "holds", 336, None, ranks=1),
    _scenario("tp2", "ranks", "ranks_covered", "holds", 1230, None, ranks=2),
    _scenario("tp3", "ranks", "ranks_covered", "holds", 4056, None, ranks=3),
    _scenario("a-tp2", "ranks", "ranks_covered", "holds", 711, None, variant="A"),
    _scenario("b-tp2", "ranks", "ranks_covered", "holds", 1164, None, variant="B"),
    _scenario("b-prime-tp2", "ranks", "ranks_covered", "holds", 1431, None, variant="B'"),
    _scenario("without-barriers-tp2", "ranks", "ranks_covered", "holds", 1377, None, loop_top_barrier=False),
    _scenario("async-tp1", "ranks", "ranks_covered", "holds", 330, None, ranks=1, **ASYNC),
    _scenario("async-tp2", "ranks", "ranks_covered", "violated", 2466, 18, EARLY_REPORT, **ASYNC),
    _scenario("b-async-tp2", "ranks", "ranks_covered", "violated", 4731, 14, EARLY_REPORT, variant="B", **ASYNC),
    _scenario("gate-async-tp2", "ranks", "ranks_covered", "holds", 1563, None, ranks=2, **ASYNC, **GATE),
    _scenario("gate-async-tp3", "ranks", "ranks_covered", "holds", 5325, None, ranks=3, **ASYNC, **GATE),
    _scenario("a-gate-async-tp2", "ranks", "ranks_covered", "violated", 7020, 14, ANY_READ, variant="A", **ASYNC, **GATE),
    _scenario("b-gate-async-tp2", "ranks", "ranks_covered", "violated", 8208, 21, EARLY_ZERO, variant="B", **ASYNC, **GATE),
    _scenario("b-prime-gate-async-tp2", "ranks", "ranks_covered", "violated", 4134, 28, EARLY_ZERO, variant="B'", **ASYNC, **GATE),
    _scenario("b-gate-tp2", "ranks", "ranks_covered", "holds", 1623, None, variant="B", **GATE),
    _scenario("gate-async-without-barriers-tp2", "ranks", "ranks_covered", "violated", 5976, 21, DIVIDED, loop_top_barrier=False, **ASYNC, **GATE),
    # -- D with ranks, beside that belief; and without a split ---------------------------------------------------------------
    _scenario("one-engine-covered", "engine", "engine_covered", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("one-decode-covered", "engine", "decode_covered", "holds", 10_369, None, **ALL_FAULTS),
    _scenario("one-rank-works-after-step", "engine", "rank_works_after_step", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("one-report-of-another-step", "engine", "report_of_another_step", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("one-step-on-freed-reservation", "engine", "step_on_freed_reservation", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("one-reservations-counted", "engine", "reservations_counted", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("one-hasty-engine-covered", "engine", "engine_covered", "violated", 154_332, 18, HASTY, waits=False, **ALL_FAULTS),
    _scenario("one-hasty-report-of-another-step", "engine", "report_of_another_step", "violated", 232_452, 23, HASTY, waits=False, **ALL_FAULTS),
    _scenario("one-decode-not-covered", "engine", "decode_covered", "violated", 10_831, 12, ABORTED, without="drains_before_cancel", **ALL_FAULTS),
    _scenario("one-step-on-freed-reservation-without-ends-steps", "engine", "step_on_freed_reservation", "violated", 17_064, 18,
              without="ends_steps", **ALL_FAULTS),
    _scenario("one-answered-at-most-once", "engine", "answered_at_most_once", "holds", 10_368, None, **ALL_FAULTS),
    _scenario("whole-rank-works-after-step", "whole", "rank_works_after_step", "holds", 12_768, None),
    _scenario("whole-async-rank-works-after-step", "whole", "rank_works_after_step", "violated", 25_104, 36, EARLY_REPORT, **ASYNC),
    _scenario("whole-step-ends", "whole", "step_ends", "holds", 12_768, None),
    _scenario("two-engine-covered", "engine", "engine_covered", "holds", 295_370, None, aborts=True, **TWO),
    _scenario("two-decode-covered", "engine", "decode_covered", "holds", 295_780, None, aborts=True, **TWO),
    _scenario("two-rank-works-after-step", "engine", "rank_works_after_step", "holds", 295_370, None, aborts=True, **TWO),
    _scenario("two-report-of-another-step", "engine", "report_of_another_step", "holds", 295_370, None, aborts=True, **TWO),
    _scenario("two-step-on-freed-reservation", "engine", "step_on_freed_reservation", "holds", 295_370, None, aborts=True, **TWO),
    _scenario("two-hasty-tp1-engine-covered", "engine", "engine_covered", "violated", 1_746_890, 18, HASTY, waits=False, aborts=True, ranks=1, **TWO),
    _scenario("two-whole-step-ends", "whole", "step_ends", "holds", 999_810, None, **TWO),
    _scenario("b-prime-without-barriers-whole-step-ends", "whole", "step_ends", "violated", 17_976, 40, SLIPPED,
              variant="B'", loop_top_barrier=False),
    # -- new weights, which D's worker gives its ranks as a step without requests ------------------------------------------------
    _scenario("updates-tp2", "ranks", "ranks_covered", "holds", 4_320, None, ranks=2, **UPDATES),
    _scenario("updates-async-tp2", "ranks", "ranks_covered", "violated", 13_140, 18, EARLY_REPORT, **ASYNC, **UPDATES),
    _scenario("updates-one-engine-covered", "engine", "engine_covered", "holds", 75_729, None, **ALL_FAULTS, **UPDATES),
    _scenario("updates-one-decode-covered", "engine", "decode_covered", "holds", 75_870, None, **ALL_FAULTS, **UPDATES),
    _scenario("updates-one-step-with-other-weights", "engine", "step_with_other_weights", "holds", 151_458, None, **ALL_FAULTS, **UPDATES),
    _scenario("updates-one-rank-works-after-step", "engine", "rank_works_after_step", "holds", 75_729, None, **ALL_FAULTS, **UPDATES),
    _scenario("updates-whole-step-ends", "whole", "step_ends", "holds", 61_410, None, **UPDATES),
    _scenario("updates-whole-async-step-with-other-weights", "whole", "step_with_other_weights", "violated", 329_652, 45, EARLY_LOAD,
              **ASYNC, **UPDATES),
    *ROUNDS,
]
# fmt: on

HAZARDS: list[Hazard] = []
