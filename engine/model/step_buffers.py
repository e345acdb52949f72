"""Captured step buffers: the inputs of a step at addresses that do not change, so that a captured graph can be replayed over them.

A graph replays with the addresses and sizes of its capture. The invariant at every replay, for every buffer: tokens, padded to a captured
size, are at most that size, which is at most the buffer's capacity; padded entries hold sentinels. Where it is broken a device writes past
the end of the buffer (CUDA error 700); here the replay raises.

The draft model's buffers are created again after a clear (reinforcement learning), and the graph is captured again; how they are
created, a `Recreation` of `protocol/machines/buffers/graph_buffers.py` says (#7934, #7933).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.machines.buffers.graph_buffers import Recreation

from ..errors import EngineError
from .layers import Integers
from .shard import Chunk, Rows

NO_ROW = -1
"""`batch_id_per_token` of a padded entry."""


class IllegalAccess(EngineError):
    """A replay would write or read outside its buffers."""


class StepBuffers:
    """The inputs of a step: ids, positions and the batch row of every token. `capacity`: tokens."""

    def __init__(self, capacity: int):
        self.ids: Integers = np.zeros(capacity, np.int64)
        self.positions: Integers = np.zeros(capacity, np.int64)
        self.batch_row: Integers = np.full(capacity, NO_ROW, np.int64)

    @property
    def capacity(self) -> int:
        """Tokens that there is room for."""
        return len(self.ids)

    @property
    def rows_left(self) -> int:
        """Entries that the last step has left."""
        return int(np.count_nonzero(self.batch_row != NO_ROW))

    def reshape(self, batch: Sequence[Chunk]) -> None:
        """A step of the target model, which is not captured: its buffers take the shape of the step."""
        rows = Rows.of(batch)
        self.ids, self.positions, self.batch_row = rows.ids, rows.positions, _batch_rows(rows)

    def recreated(self, how: Recreation, first_capacity: int) -> StepBuffers:
        """New buffers for the draft model, from these of the target."""
        made = StepBuffers(first_capacity if how.full_size else self.capacity)
        if not how.zeroed:
            kept = min(made.capacity, self.capacity)
            made.ids[:kept], made.positions[:kept], made.batch_row[:kept] = self.ids[:kept], self.positions[:kept], self.batch_row[:kept]
        return made


MOST_CAPTURED_TOKENS = 512
"""A step of more tokens is not captured: what it computes takes far longer than what a replay saves."""


def capture_sizes(most_tokens: int) -> list[int]:
    """The sizes that are captured for steps of up to so many tokens: 1, 2, 4, 8, then multiples of 16, as in the field."""
    sizes = [1, 2, 4, 8, *range(16, MOST_CAPTURED_TOKENS + 1, 16)]
    return [size for place, size in enumerate(sizes) if place == 0 or sizes[place - 1] < most_tokens]


class CapturedStep:
    """A step captured over some buffers for some numbers of tokens. `stale_rows`: entries of an earlier step that the capture saw."""

    def __init__(self, buffers: StepBuffers, sizes: Sequence[int]):
        self._buffers, self._sizes = buffers, sorted(sizes)
        self.stale_rows = buffers.rows_left

    @classmethod
    def for_decoding(cls, most_tokens: int) -> CapturedStep:
        """What a decode instance captures at its start: every size up to its largest step, over buffers of the largest size."""
        sizes = capture_sizes(most_tokens)
        return cls(StepBuffers(sizes[-1]), sizes)

    def takes(self, batch: Sequence[Chunk]) -> bool:
        """Whether a captured size is large enough for the batch; another is run without the graph."""
        return len(Rows.of(batch).ids) <= self._sizes[-1]

    def replay(self, batch: Sequence[Chunk]) -> Rows:
        """Put the batch into the buffers and read it back as the graph does: the batch that is computed.

        Raises:
            IllegalAccess: the invariant of this file is broken.
        """
        rows, buffers = Rows.of(batch), self._buffers
        padded = next((size for size in self._sizes if size >= len(rows.ids)), None)
        if padded is None:
            raise IllegalAccess(f"a step of {len(rows.ids)} tokens; captured are {self._sizes}: run it without the graph")
        if padded > buffers.capacity:
            text = f"error 700, illegal memory access: the graph of {padded} tokens writes into buffers of {buffers.capacity}"
            raise IllegalAccess(f"{text}; create them at full size before capturing")
        used = slice(0, len(rows.ids))
        buffers.ids[used], buffers.positions[used], buffers.batch_row[used] = rows.ids, rows.positions, _batch_rows(rows)
        rest = slice(len(rows.ids), padded)
        buffers.ids[rest], buffers.positions[rest], buffers.batch_row[rest] = 0, 0, NO_ROW
        return Rows([self._read(number, chunk, padded) for number, chunk in enumerate(rows)])

    def _read(self, number: int, chunk: Chunk, padded: int) -> Chunk:
        own = self._buffers.batch_row[:padded] == number
        ids, positions = self._buffers.ids[:padded][own], self._buffers.positions[:padded][own]
        return Chunk(tuple(map(int, ids)), int(positions[0]), chunk.table, chunk.outputs)


def _batch_rows(rows: Rows) -> Integers:
    return np.repeat(np.arange(len(rows)), [len(chunk.tokens) for chunk in rows])
