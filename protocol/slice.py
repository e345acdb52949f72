"""Slices: a variable or a machine whose leading indices are given.

What belongs to one of several instances is so written as if there were no other: `queue[q]` stands for `queue[me(instance), q]`. A slice
makes cells, copies and moves of the language and is none of its own.
"""

from __future__ import annotations

from typing import Any

from .expr import Expr
from .machine import CopyRef, Machine
from .variable import Variable


class Slice:
    """The cells of a variable with these leading indices."""

    def __init__(self, variable: Variable, leading: tuple[Any, ...]):
        self._variable, self._leading = variable, leading

    def __getitem__(self, index: Any) -> Expr:
        return self._variable.cell(*self._leading, *_tuple(index))


class Copies:
    """The copies of a machine with these leading indices."""

    def __init__(self, machine: Machine, leading: tuple[Any, ...]):
        self._machine, self._leading = machine, leading

    def __getitem__(self, index: Any) -> CopyRef:
        return self._machine[(*self._leading, *_tuple(index))]

    def at(self, *indices: Any) -> Expr:
        """The control state of one of them."""
        return self._machine.at(*self._leading, *indices)


def slice_of(variable: Variable, leading: tuple[Any, ...]) -> Expr | Slice:
    """The variable with these leading indices: a cell, where that is all of them."""
    if len(leading) == len(variable.over):
        return variable.cell(*leading)
    return Slice(variable, leading) if leading else variable


def _tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)
