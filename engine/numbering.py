"""Numbers for the variables of a system, and which of them are sparse.

Rows, stores and steps name a cell by the number of its variable and its place among the variable's cells.
"""

from __future__ import annotations

from protocol.system import System
from protocol.types import Value
from protocol.variable import Variable

SPARSE_CELLS = 256
"""Variables with more cells are sparse: nobody goes through all of them."""

Place = tuple[int, int]
"""A cell: its variable's number, and its place."""


class Numbering:
    """The variables of a system, by number; the same in every store and driver of it.

    A variable is *sparse* when it has many cells, all of which start alike: only what has changed of it is kept and looked at.
    """

    def __init__(self, system: System):
        self.variables = system.variables
        self._sparse = [v.cells > SPARSE_CELLS and v.initial.count(v.initial[0]) == v.cells for v in self.variables]
        self._position = system.position

    def number(self, variable: Variable) -> int:
        """The variable's number."""
        return self._position[id(variable)]

    def is_sparse(self, variable: Variable) -> bool:
        """Whether only what has changed of it is kept."""
        return self._sparse[self._position[id(variable)]]


def indices_at(variable: Variable, place: int) -> tuple[Value, ...]:
    """The indices of the cell at that place."""
    indices: list[Value] = []
    for dim in reversed(variable.over):
        place, ordinal = divmod(place, dim.size)
        indices.append(dim.value(ordinal))
    return tuple(reversed(indices))
