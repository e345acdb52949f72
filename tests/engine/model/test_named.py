"""Models by their names."""

from __future__ import annotations

import pickle

import pytest

from engine.model import named, smollm2
from engine.model.config import TINY
from engine.model.weights import seeded


def test_a_shape_that_came_from_another_process_has_the_models_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live rank gets its plant by pickle: it must not compute with seeded weights in place of the fetched ones."""
    fetched = seeded(TINY, 1)
    monkeypatch.setattr(smollm2, "load", lambda: fetched)
    assert named.weights_of(pickle.loads(pickle.dumps(smollm2.SMOLLM2))) is fetched
    assert named.weights_of(pickle.loads(pickle.dumps(TINY))).config == TINY
