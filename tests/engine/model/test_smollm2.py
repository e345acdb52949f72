"""SmolLM2: what needs no download, and, where the model is in the cache, that it answers as one whole model at any number of ranks.

`smollm2_llama_cpp.json` has greedy answers of llama.cpp (llama-cpp-python, temperature 0, no repeat penalty, the same GGUF file
and chat template, at most 32 tokens). It multiplies the 4-bit weights by activations that it rounds to 8 bits, so that near ties
fall the other way: its token need not be ours, but must be near our likeliest everywhere along its own answer.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from engine.model import smollm2
from engine.model.kv_cache import KvCache
from engine.model.reference import log_probabilities, log_softmax
from engine.model.shard import Chunk, Shard, forward
from protocol import DefinitionError
from tests.engine.fetched import needs_smollm2

REFERENCE = Path(__file__).with_name("smollm2_llama_cpp.json")
NEAR_TIE = 0.5
"""In log-probability; measured: at most 0.22."""


def test_a_missing_model_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_CACHE", str(tmp_path))
    with pytest.raises(DefinitionError, match="interlock model fetch smollm2"):
        smollm2.load()


def test_a_missing_extra_is_told_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "find_spec", lambda package: None)
    with pytest.raises(DefinitionError, match=re.escape("the package gguf is missing; install interlock[smollm2]")):
        smollm2.fetch()
    assert list(tmp_path.iterdir()) == []


def test_the_chat_template_begins_with_the_system_prompt() -> None:
    prompt = smollm2.ChatTokenizer.chat([("user", "Hello")])
    assert prompt == f"<|im_start|>system\n{smollm2.SYSTEM}<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert smollm2.ChatTokenizer.chat([("system", "Be brief"), ("user", "Hello")]).startswith("<|im_start|>system\nBe brief<|im_end|>")


def test_rotary_pairs_are_brought_together() -> None:
    width = smollm2.SMOLLM2.head_dim
    rows = np.arange(2 * width, dtype=np.float32)[:, None]
    unpermuted = smollm2._unpermuted(rows)[:, 0]
    assert list(unpermuted[:3]) == [0, 2, 4] and list(unpermuted[width // 2 : width // 2 + 3]) == [1, 3, 5]
    assert unpermuted[width] == width


@needs_smollm2
def test_three_ranks_agree_with_the_whole_model() -> None:
    weights, tokenizer = smollm2.load(), smollm2.ChatTokenizer()
    prompt = tokenizer.encode(tokenizer.chat([("user", "What is the capital of France?")]))
    shards = [Shard(weights.shard(r, 3), KvCache(weights.config, 3, 4, 16)) for r in range(3)]
    table = tuple(range(4))
    forward(shards, [Chunk(tuple(prompt[:20]), 0, table)])
    logits = forward(shards, [Chunk(tuple(prompt[20:]), 20, table)])
    assert np.abs(log_softmax(logits[0]) - log_probabilities(weights, prompt)[-1]).max() < 1e-3


@needs_smollm2
def test_no_rank_copies_the_mapped_weights() -> None:
    weights = smollm2.load()
    for shard in (weights.shard(rank, 3) for rank in range(3)):
        for name, array in shard.arrays.items():
            assert np.shares_memory(array, weights[name]) and not array.flags.writeable and _mapped(array), name


def _mapped(array: np.ndarray | None) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = array.base  # type: ignore[assignment]
    return array is not None


@needs_smollm2
def test_the_capital_of_france() -> None:
    weights, tokenizer = smollm2.load(), smollm2.ChatTokenizer()
    prompt = tokenizer.encode(tokenizer.chat([("user", "What is the capital of France?")]))
    shards, table, answer = [Shard(weights, KvCache(weights.config, 1, 4, 16))], tuple(range(4)), []
    logits = forward(shards, [Chunk(tuple(prompt), 0, table)])
    while (token := int(np.argmax(logits[0]))) != weights.config.last_token and len(answer) < 12:
        answer.append(token)
        logits = forward(shards, [Chunk((token,), len(prompt) + len(answer) - 1, table)])
    assert b"".join(map(tokenizer.bytes_of, answer)).decode() == "The capital of France is Paris."


@needs_smollm2
@pytest.mark.parametrize("case", json.loads(REFERENCE.read_text()), ids=lambda case: case["question"])
def test_llama_cpp_finds_the_same_tokens_likely(case: dict) -> None:
    weights, tokenizer = smollm2.load(), smollm2.ChatTokenizer()
    prompt, answer = tokenizer.encode(tokenizer.chat([("user", case["question"])])), case["answer"]
    logs = log_probabilities(weights, [*prompt, *answer])[len(prompt) - 1 : -1]
    behind = logs.max(axis=-1) - logs[np.arange(len(answer)), answer]
    assert behind.max() < NEAR_TIE
    assert np.mean(behind == 0) > 0.9
