"""The rows of a worker's decode batch: which request lies in which, from its first step to its last, and how its tokens are drawn.

A request keeps its row while those below it are occupied. When one ends, its parameters are reset and the rows are condensed: the highest
request is swapped into the gap, so that a batch is the lowest rows. Every rank of an instance is given the same batches, so all have the
same rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from .sampling import Sampling
from .sampling_rows import SamplingRows


class BatchRows:
    """At most `rows` requests, of `tokens_per_row` tokens a step each; `sampling` has their parameters, row by row."""

    def __init__(self, rows: int, tokens_per_row: int = 1):
        self.sampling = SamplingRows(rows, tokens_per_row)
        self._requests: list[int] = []

    def update(self, requests: Mapping[int, Sampling]) -> list[int]:
        """A step's requests, each by its own key: those that are missing have ended, those that are new are inserted.

        Returns: the requests in the order of their rows.
        """
        held = self._requests
        for row in reversed(range(len(held))):
            if held[row] not in requests:
                self.sampling.finish(row)
                last = held.pop()
                if row < len(held):
                    self.sampling.swap(row, len(held))
                    held[row] = last
        for request in [request for request in requests if request not in held]:
            self.sampling.insert(len(held), requests[request])
            held.append(request)
        return list(held)
