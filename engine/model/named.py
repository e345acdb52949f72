"""The models by their names: their shapes and their weights."""

from __future__ import annotations

from protocol import DefinitionError

from . import smollm2
from .config import TINY, TINY_EXPERTS, ModelConfig
from .weights import Weights, seeded

MODELS = {config.name: config for config in (TINY, TINY_EXPERTS, smollm2.SMOLLM2)}
WEIGHTS_SEED = 0
"""Of the tiny models' weights, everywhere: two deployments of one model answer the same."""


def config_of(model: str) -> ModelConfig:
    """The shape of a model.

    Raises:
        DefinitionError: no model has that name.
    """
    if model not in MODELS:
        raise DefinitionError(f"there is no model {model!r}; choose one of {', '.join(MODELS)}")
    return MODELS[model]


def weights_of(config: ModelConfig) -> Weights:
    """The weights of a model: seeded, or mapped from the user's cache.

    Raises:
        DefinitionError: smollm2 was not fetched.
    """
    return smollm2.load() if config == smollm2.SMOLLM2 else seeded(config, WEIGHTS_SEED)
