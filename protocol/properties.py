"""Properties: what a scenario asks of a system.

`always`, `never`, `sometimes` and `leads_to` are stated by the author; `deadlock`, `hang`, `write_conflict` and
`lost_store` are free: a scenario only names them; `covers` is asked by a `Split`. `range` needs no name, it is always checked. Exact meanings:
docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import DefinitionError
from .expr import FALSE, Expr, Literal
from .operators import boolean
from .types import Scalar, all_values
from .variable import Medium, Variable

if TYPE_CHECKING:
    from .machine import Machine


@dataclass(frozen=True)
class Cover:
    """What a `covers` asks about: machines of the system, those that stand for them elsewhere, and the variables that others see of them."""

    machines: tuple[Machine, ...]
    stand_in: tuple[Machine, ...]
    shared: tuple[Variable, ...]
    unseen: tuple[Variable, ...] = ()
    """Those of the shared that the system does not keep: a step must do to them the same whatever they are."""


@dataclass(frozen=True, eq=False)
class Property:
    """A named property. `kind`: always, never, sometimes, leads_to, deadlock, hang, write_conflict, lost_store, covers, range, illegal."""

    kind: str
    name: str
    expr: Expr = FALSE
    cases: tuple[tuple[str, Expr, Expr], ...] = ()
    """For leads_to: (label, p, q) per value of `each`."""
    variable: Variable | None = None
    """For write_conflict and lost_store: the variable that is watched."""
    cover: Cover | None = None
    """For covers: who stands for whom."""
    about: str = ""

    @property
    def expressions(self) -> list[Expr]:
        """All that it reads."""
        return [self.expr, *(e for _, p, q in self.cases for e in (p, q))]

    def __str__(self) -> str:
        if self.kind in ("always", "never", "sometimes"):
            return f"{self.kind} {self.expr}"
        if self.kind == "leads_to":
            return "; ".join(f"{p} leads to {q}" for _, p, q in self.cases)
        if self.cover is not None:
            one, other = (", ".join(m.name for m in machines) for machines in (self.cover.stand_in, self.cover.machines))
            return f"{one} covers {other}"
        return self.kind + (f" on {self.variable.name}" if self.variable is not None else "")


def always(name: str, expr: Any, about: str = "") -> Property:
    """Holds in every reachable state."""
    return Property("always", name, boolean(expr, "always"), about=about)


def never(name: str, expr: Any, about: str = "") -> Property:
    """Holds in no reachable state."""
    return Property("never", name, boolean(expr, "never"), about=about)


def sometimes(name: str, expr: Any, about: str = "") -> Property:
    """Holds in at least one reachable state: the twin that keeps an `always` from holding vacuously."""
    return Property("sometimes", name, boolean(expr, "sometimes"), about=about)


def leads_to(name: str, p: Any, q: Any, *, each: Scalar | tuple[Scalar, ...] | None = None, about: str = "") -> Property:
    """Whenever p holds, q holds then or later, under the declared fairness.

    With `each`, p and q are functions of its index values and the property is asked for all of them, each by itself.
    """
    if each is None:
        return Property("leads_to", name, cases=(("", boolean(p, "leads_to"), boolean(q, "leads_to")),), about=about)
    cases, dims = [], each if isinstance(each, tuple) else (each,)
    for values in all_values(dims):
        bound = [Literal(value, dim) for value, dim in zip(values, dims)]
        label = ", ".join(f"{dim}={dim.show(value)}" for value, dim in zip(values, dims))
        cases.append((label, boolean(p(*bound), "leads_to"), boolean(q(*bound), "leads_to")))
    return Property("leads_to", name, cases=tuple(cases), about=about)


def deadlock(name: str = "deadlock", about: str = "") -> Property:
    """Violated where no row but environment rows is enabled and some living copy is not in a final state."""
    return Property("deadlock", name, about=about)


def hang(name: str = "hang", about: str = "") -> Property:
    """Violated where from now on only poll and environment rows can ever fire and some living copy is not final."""
    return Property("hang", name, about=about)


def write_conflict(variable: Variable, name: str = "", about: str = "") -> Property:
    """Violated where two copies are able to store different values to one cell of a register or unlocked variable."""
    return Property("write_conflict", name or f"no_write_conflict_on_{variable.name}", variable=_plain(variable), about=about)


def lost_store(variable: Variable, name: str = "", about: str = "") -> Property:
    """Violated where a store replaces a different value, stored by another copy, that no other copy has loaded."""
    return Property("lost_store", name or f"no_lost_store_on_{variable.name}", variable=_plain(variable), about=about)


def covers(name: str, cover: Cover, about: str = "") -> Property:
    """Violated by a step of the machines that changes shared variables in a way in which the stand-in cannot change them there."""
    return Property("covers", name, cover=cover, about=about)


def _plain(variable: Variable) -> Variable:
    if not isinstance(variable, Variable) or variable.medium not in (Medium.REGISTER, Medium.UNLOCKED):
        raise DefinitionError(f"`{variable}`: write conflicts and lost stores are asked of register and unlocked variables")
    return variable
