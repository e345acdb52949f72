"""Whether SmolLM2 can be run here: its weights are in the user's cache, and so is the package that reads its tokenizer."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from engine.model import smollm2

needs_smollm2 = pytest.mark.skipif(
    find_spec("tokenizers") is None or not all((smollm2.folder() / name).exists() for name in ("weights.json", "tokenizer.json")),
    reason="needs interlock[smollm2] and `interlock model fetch smollm2`",
)
