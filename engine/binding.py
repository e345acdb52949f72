"""Binding: which method of a role is called for which row.

One rule: a handler is bound to a row by its name, `machine.event`, and sees shared state only through the step it gets. Where several
machines have the same rows, a role that serves one of them says which, `machine`, and its handlers name the event alone: `.event`.
`after` acts on the world once the row has committed, and what it returns is delivered to the engine; `decides` picks one
of the decided rows that are open to a copy; `carries` gives the contents that a row puts along with its message, or None: it may be
asked for rows that then turn out not to be enabled. A name without a row, and a decided row without a decision, are errors at start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from protocol import DefinitionError
from protocol.system import System
from protocol.types import Value

from .meter import Meter

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Outcome:
    """A row that may be taken: its event, and the values of its choices."""

    event: str
    values: tuple[Value, ...] = ()


def after(*rows: str, finds: bool = True, rests: bool = False) -> Callable[[Method], Method]:
    """Marks a method called with the step once one of these rows has fired.

    Args:
        finds: whether it looks at the step's cargo. rests: whether it does nothing but let the copy rest, which concerns nobody else.
    """

    def mark(method: Method) -> Method:
        method.finds, method.rests = finds, rests  # type: ignore[attr-defined]
        return _mark("after", rows)(method)

    return mark


def decides(*rows: str) -> Callable[[Method], Method]:
    """Marks a method that gets the Outcomes that are open, and returns one of them, or None for "not now"."""
    return _mark("decides", rows)


def carries(*rows: str) -> Callable[[Method], Method]:
    """Marks a method that gets an Outcome of one of these rows, and returns what it puts along with its message."""
    return _mark("carries", rows)


def _mark(kind: str, rows: tuple[str, ...]) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        method.bound_to = (kind, rows)  # type: ignore[attr-defined]
        return method

    return mark


def bound_to(role: type, name: str) -> tuple[str, tuple[str, ...]]:
    """What a role's attribute of that name is bound to: as what, and to which rows; to none if it is no handler."""
    kind, rows = getattr(getattr(role, name), "bound_to", ("", ()))
    return kind, tuple(f"{getattr(role, 'machine', '')}{row}" if row.startswith(".") else row for row in rows)


def bound_rows(role: type) -> set[str]:
    """The rows that handlers of a role are bound to."""
    return {row for name in dir(role) for row in bound_to(role, name)[1]}


@dataclass(frozen=True)
class Handlers:
    """What is called for a row. `finds`: whether `after` looks at the step's cargo; `rests`: whether it only lets the copy rest."""

    after: Callable[..., Any] | None = None
    decides: Callable[[Sequence[Outcome]], Outcome | None] | None = None
    carries: Callable[[Outcome], Any] | None = None
    finds: bool = False
    rests: bool = False

    @property
    def acts(self) -> bool:
        """Whether somebody acts behind the row."""
        return self.after is not None and not self.rests


NOBODY = Handlers()


class Bindings:
    """The handlers of some roles over one system.

    Args:
        machines: those whose rows they are to serve. meter: counts the time that the handlers take.

    Raises:
        DefinitionError: a handler for a row that does not exist, two for one row, or a decided row without one.
    """

    def __init__(self, system: System, roles: Iterable[object], machines: Iterable[str], meter: Meter | None = None):
        self._bound: dict[str, Handlers] = {}
        rows = {action.name for action in system.actions}
        for role in roles:
            for name in dir(type(role)):
                kind, named = bound_to(type(role), name)
                # One object for all its rows: rows that one handler decides are offered to it together.
                method = meter.metered(getattr(role, name)) if meter is not None and named else getattr(role, name)
                for row in named:
                    if row not in rows:
                        raise DefinitionError(f"{type(role).__name__}.{name} is bound to {row}, which system {system.name} has not; rename it")
                    if getattr(self.of(row), kind) is not None:
                        raise DefinitionError(f"{row} has two handlers ({kind}); remove {type(role).__name__}.{name} or the other")
                    given: dict[str, Any] = {kind: method}
                    if kind == "after":
                        given |= {"finds": getattr(type(role), name).finds, "rests": getattr(type(role), name).rests}
                    self._bound[row] = replace(self.of(row), **given)
        wanted = set(machines)
        for action in system.actions:
            if action.machine.name in wanted and action.row.decided == "decided" and self.of(action.name).decides is None:
                raise DefinitionError(f"{action.name} is decided by a handler and has none; bind one with @decides({action.name!r})")

    def of(self, row: str) -> Handlers:
        """The handlers of the row, by its name."""
        return self._bound.get(row, NOBODY)
