"""Counterexamples of the hand-over, with tensors: who is answered from an unsent cache, who is stuck, and that ours does neither."""

from __future__ import annotations

import pytest

from .paths import replayed


@pytest.mark.parametrize("name", ["layer0-signal-answered-unsent-in-e1-one-layer", "layer0-signal-answered-unsent-in-e3a-one-layer"])
def test_answering_before_every_rank_has_sent_damages_tokens(name: str) -> None:
    outcome = replayed(name)
    assert outcome.before.harmless and outcome.before.k3_mean < 1e-9
    assert outcome.after.mismatched > 0 and outcome.after.hit >= outcome.after.mismatched
    assert outcome.ratio is not None and outcome.ratio > 50
    assert outcome.ratio_bfloat16 is not None and outcome.ratio_bfloat16 > 50
