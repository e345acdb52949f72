"""A sample of the repaired protocol's mutants: each is refused, killed, equal, or known to do no harm."""

from __future__ import annotations

import os
import random

from checker.mutate import judge

from .mutation import BOUNDS, HARMLESS, LARGE, SEVERAL, all_mutants, of_several, trials

SEED = int(os.environ.get("MUTATION_SEED", "463"))
"""Give another one to look at other mutants; all of them: `python -m tests.protocol.mutation`."""
SAMPLE = 8


def test_no_mutant_of_a_sample_survives_unexplained() -> None:
    tried = trials()
    drawn = random.Random(SEED).sample(list(tried[0].mutants), SAMPLE)
    print(f"MUTATION_SEED={SEED}")
    found = {str(mutant): judge(mutant, tried).verdict for mutant in drawn if str(mutant) not in HARMLESS}
    assert found and {name: verdict for name, verdict in found.items() if verdict in ("survived", "undecided")} == {}


def test_what_does_no_harm_is_still_a_mutant() -> None:
    assert set(HARMLESS) - {str(mutant) for mutant in all_mutants(trials((*BOUNDS, *LARGE)))} == set()


def test_several_prefill_instances_have_mutants_where_requests_are_told_apart() -> None:
    found = of_several(trials(), trials(SEVERAL))
    assert {mutant.machine for mutant in found} == {"router", "connector"}
