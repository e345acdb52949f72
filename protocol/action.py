"""Actions and instances: rows in the only form that the interpreter, the checker, the engine and the exports know.

An `Action` is one row of one machine: a guard whose conjuncts are evaluated left to right, and a list of `Store` effects that read the
state before it. An `Instance` is an action for one copy and one value of each choice; instances are ordered by (row, copy, values),
which is also how ties among shortest paths are broken. `lower.py` makes actions of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .combine import substitute
from .effect import Store
from .expr import Expr, Literal, Me, Param
from .machine import Machine, Row
from .types import Value, all_values


@dataclass(eq=False)
class Action:
    """One row in plain form. `number` is its place in the order of all rows of the system."""

    number: int
    machine: Machine
    row: Row
    guard: Expr
    stores: list[Store]
    unit: tuple[str, ...] = field(default=())
    """Name of its fairness unit within a copy: () when unfair."""

    @cached_property
    def name(self) -> str:
        """`machine.event`."""
        return f"{self.machine.name}.{self.row.event}"

    @property
    def environment(self) -> bool:
        """Whether it belongs to the environment."""
        return self.machine.environment

    @property
    def fairness(self) -> str:
        """none, weak or strong."""
        return self.machine.row_fairness(self.row)

    def instances(self) -> Iterator[Instance]:
        """Every instance, ordered by copy and then by the values of its choices."""
        for copy in all_values(self.machine.copies):
            for values in all_values(tuple(p.type for p in self.row.choose)):  # type: ignore[misc]
                yield Instance(self, copy, values)

    def __repr__(self) -> str:
        return f"<action {self.number} {self.name}>"


@dataclass(frozen=True)
class Instance:
    """An action for one copy and one value of each choice."""

    action: Action
    copy: tuple[Value, ...]
    values: tuple[Value, ...]

    def environment(self) -> dict[Any, Value]:
        """What `Me` (by index type) and `Param` (by name) stand for."""
        env: dict[Any, Value] = dict(zip(self.action.machine.copies, self.copy))
        env.update((p.name, v) for p, v in zip(self.action.row.choose, self.values))
        return env

    @property
    def copy_name(self) -> str:
        """`worker[0]`."""
        return self.action.machine.copy_name(self.copy)

    def ground(self, expr: Expr) -> Expr:
        """The expression with the copy and the choices put in as literals."""
        env = self.environment()

        def change(e: Expr) -> Expr | None:
            if isinstance(e, Me):
                return Literal(env[e.type], e.type)
            if isinstance(e, Param) and e.name in env:
                return Literal(env[e.name], e.type)
            return None

        return substitute(expr, change)

    def __str__(self) -> str:
        row = self.action.row
        chosen = ", ".join(f"{p.name}={p.type.show(v)}" for p, v in zip(row.choose, self.values))
        return f"{self.copy_name}.{row.event}" + (f"({chosen})" if chosen else "")
