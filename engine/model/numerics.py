"""How far a number is kept after each operation: exactly as computed, in 32-bit floats, or rounded to bfloat16.

A bfloat16 engine stores its weights and what every operation gives with 8 bits of precision; sums inside a product are longer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .weights import Floats

Narrow = Callable[[Floats], Floats]
"""What becomes of an operation's result."""


def exact(x: Floats) -> Floats:
    """The same array: 32-bit floats as computed."""
    return x


def bfloat16(x: Floats) -> Floats:
    """The nearest bfloat16 of each number, as 32-bit floats; ties go to the even one. What is not finite stays as it is."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
