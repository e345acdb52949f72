"""The sampling parameters of a worker's batch, row by row, and their mirror on the host.

The device keeps `top_p` and `temperature` a row. A list on the host mirrors `top_p`, so that "is every top_p 1.0?" needs no
synchronisation with the device; if the list says yes, sampling takes the fast path, which ignores top_p (FastDeploy's `top_p_list`,
#7892). The list must be written at insert, swapped with its rows, reset at the end of a request, and have an entry for every token of
a step. A `Mirror` of `protocol/machines/buffers/sampling_mirror.py` says which of these are done.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocol import DefinitionError
from protocol.machines.buffers.sampling_mirror import MIRRORS, Mirror

from ..errors import EngineError
from .reference import log_softmax
from .sampling import Sampling, distribution
from .weights import Doubles, Floats


class SamplingRows:
    """The parameters of at most `rows` requests, of `tokens_per_row` tokens a step each (more than one with drafts)."""

    def __init__(self, rows: int, tokens_per_row: int = 1, mirror: Mirror = MIRRORS["repaired"]):
        self._kept, self._tokens = mirror, tokens_per_row
        self._sampling: list[Sampling | None] = [None] * rows
        self._top_p: Doubles = np.ones(rows)
        self.top_p_list = [1.0] * (rows * tokens_per_row if mirror.long else rows)

    @property
    def batch_rows(self) -> int:
        """FastDeploy's `real_bsz`: the highest occupied row plus one; an ended row may lie among those below."""
        return max((row + 1 for row, sampling in enumerate(self._sampling) if sampling is not None), default=0)

    def insert(self, row: int, sampling: Sampling) -> None:
        """A request takes a free row.

        Raises:
            DefinitionError: the row is taken.
        """
        if self._sampling[row] is not None:
            raise DefinitionError(f"row {row} is taken; end its request first")
        self._sampling[row], self._top_p[row] = sampling, sampling.top_p
        self._mirror(row, sampling.top_p)

    def finish(self, row: int) -> None:
        """The row's request has ended."""
        self._sampling[row], self._top_p[row] = None, 1.0
        if self._kept.resets:
            self._mirror(row, 1.0)

    def swap(self, one: int, other: int) -> None:
        """`swap_states`: two rows change places, as when rows are condensed."""
        self._sampling[one], self._sampling[other] = self._sampling[other], self._sampling[one]
        self._top_p[[one, other]] = self._top_p[[other, one]]
        if self._kept.swaps:
            first, second = self._mirrored(one), self._mirrored(other)
            self._mirror(one, second)
            self._mirror(other, first)

    @property
    def takes_fast_path(self) -> bool:
        """Whether the mirror says that no row of the batch has a top_p below 1.

        Raises:
            EngineError: the list has no entry for a token of the batch.
        """
        needed = self.batch_rows * self._tokens
        if needed > len(self.top_p_list):
            raise EngineError(f"IndexError: top_p_list has {len(self.top_p_list)} entries for {needed} tokens; give it an entry a token")
        return all(top_p == 1.0 for top_p in self.top_p_list[:needed])

    def effective(self, row: int) -> Sampling:
        """How the row's next token is drawn: as its request asked, without top_p on the fast path, which no sorting slows down."""
        top_p = 1.0 if self.takes_fast_path else float(self._top_p[row])
        return replace(self._occupied(row), top_p=top_p)

    def drawn_from(self, row: int, logits: Floats) -> Floats:
        """The distribution that the row's next token is drawn from: what the mirror makes of it. Logits: (vocabulary,)."""
        sampling = self.effective(row)
        return _distribution(logits, sampling.temperature, sampling.top_p)

    def asked_for(self, row: int, logits: Floats) -> Floats:
        """The distribution that the row's request asked for."""
        sampling = self._occupied(row)
        return _distribution(logits, sampling.temperature, sampling.top_p)

    def _occupied(self, row: int) -> Sampling:
        sampling = self._sampling[row]
        if sampling is None:
            raise DefinitionError(f"row {row} has no request; insert one first")
        return sampling

    def _mirrored(self, row: int) -> float:
        return self.top_p_list[row * self._tokens if self._kept.long else row]

    def _mirror(self, row: int, top_p: float) -> None:
        width = self._tokens if self._kept.long else 1
        self.top_p_list[row * width : (row + 1) * width] = [top_p] * width


def total_variation(one: Floats | Doubles, other: Floats | Doubles) -> float:
    """The distance of two distributions: the most by which they differ about any set of tokens; 0 alike, 1 disjoint."""
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).sum() / 2)


def _distribution(logits: Floats, temperature: float, top_p: float) -> Floats:
    if temperature > 0:
        return distribution(logits, temperature, top_p)
    chosen = np.zeros_like(logits)
    chosen[int(np.argmax(log_softmax(logits)))] = 1
    return chosen
