"""SmolLM2 in the live engine: every token and its probability beside those of one monolithic pass."""

from __future__ import annotations

import math

import pytest

from engine.audit import HEALTHY_K3
from engine.deployment import Deployment
from engine.load.bench import Answers, run_in_process
from engine.load.traffic import Traffic
from engine.workload import Request

from .fetched import needs_smollm2


@needs_smollm2
@pytest.mark.live
@pytest.mark.parametrize("ranks", [1, 3])
def test_an_audit_of_a_live_run_is_healthy(ranks: int) -> None:
    requests = [Request(0.0, 40, 4), Request(0.0, 21, 3)]
    wanted = Deployment("smollm2", tensor_parallel=ranks, sequences=2, context_tokens=64)
    measured, figures, found, _ = run_in_process(requests, Traffic(math.inf), wanted, Answers(), lambda _: None, audits=True)
    assert found is not None and found.healthy, found
    assert (found.requests, found.tokens) == (2, 7) and found.k3_kl_mean < HEALTHY_K3
    assert not measured.failed and figures["rows_fired"] > 100
