"""Weights in a file that every process maps: the safetensors format, 32-bit floats, the names of `weights.shapes`.

Eight bytes (the length of the header, little-endian), a JSON header that says of each array its shape and where it lies, and the
arrays. A file is written beside its place and renamed, so that whoever maps it finds it whole.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from protocol import DefinitionError

from .config import ModelConfig
from .weights import Weights, shapes

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


def save(weights: Weights, path: Path) -> None:
    """Write the weights of a whole model.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    header, offset = {}, 0
    for name, shape in shapes(weights.config):
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)  # so that the arrays are aligned
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as out:
            out.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
            for name in header:
                out.write(np.ascontiguousarray(weights[name], np.float32).data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def mapped(path: Path, config: ModelConfig) -> Weights:
    """The weights in a file, mapped read-only: all processes that map it share its pages.

    Raises:
        DefinitionError: there is no such file, it is not of this format, or not of this model.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER else None
        if not isinstance(header, dict):
            raise ValueError("the header is no object")
        data = np.memmap(path, np.uint8, "r", offset=LENGTH_BYTES + length)
    except OSError as error:
        raise DefinitionError(f"the weights {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, OverflowError):  # no JSON, or nothing behind the header
        raise DefinitionError(f"{path} holds no weights; give a safetensors file") from None
    arrays = {}
    for name, shape in shapes(config):
        size = 4 * int(np.prod(shape))
        match header.get(name):
            case {"dtype": "F32", "shape": list(found), "data_offsets": [int(begin), int(end)]} if (
                tuple(found) == shape and 0 <= begin <= end <= len(data) and end - begin == size
            ):
                arrays[name] = data[begin:end].view(np.float32).reshape(shape)
            case _:
                wanted = "x".join(map(str, shape))
                raise DefinitionError(
                    f"{path} has no array {name} of {wanted} 32-bit floats, which model {config.name} needs; give weights of that model"
                )
    return Weights(config, arrays)
