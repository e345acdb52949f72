"""Effects: what a row does, as data.

All effects of a row read the state before it and commit at once. The system lowers channels, barriers, locks and crashes
to plain stores (`Store`), which is the only kind that the checker, the exports and the interpreter know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .combine import conjunction, over_name
from .errors import DefinitionError
from .expr import TRUE, At, Cell, Edited, Expr, Field, Item, Param
from .operators import boolean, coerce, lift
from .types import Record, Scalar

if TYPE_CHECKING:
    from .machine import Process


@dataclass(frozen=True, eq=False)
class Effect:
    """Base: an effect that happens when its condition holds in the state before the row."""

    condition: Expr


@dataclass(frozen=True, eq=False)
class Store(Effect):
    """Store `value` into `target` (a cell, or a part of one); `operation` names the built-in operation it stands for."""

    target: Expr
    value: Expr
    operation: str = "store"

    @property
    def cell(self) -> Cell:
        """The cell that is written."""
        return cell_of(self.target)

    def __str__(self) -> str:
        if isinstance(self.value, Edited):
            text = f"{self.target}.{self.operation}({', '.join(map(str, self.value.arguments))})"
        else:
            text = f"{self.target} := {self.value}"
        return text if self.condition is TRUE else f"if {self.condition}: {text}"


@dataclass(frozen=True, eq=False)
class Send(Effect):
    """Send a message into a channel."""

    channel: Cell
    message: Expr

    def __str__(self) -> str:
        return _conditional(self, f"{self.channel} ! {self.message}")


@dataclass(frozen=True, eq=False)
class Receive(Effect):
    """Take the head of a FIFO, or one message of a bag."""

    channel: Cell
    message: Expr | None

    def __str__(self) -> str:
        return _conditional(self, f"{self.channel} ? {self.message if self.message is not None else 'head'}")


@dataclass(frozen=True, eq=False)
class Arrive(Effect):
    """Arrive at a barrier."""

    barrier: Cell

    def __str__(self) -> str:
        return _conditional(self, f"arrive at {self.barrier}")


@dataclass(frozen=True, eq=False)
class BreakOpen(Effect):
    """Break a barrier for good."""

    barrier: Cell

    def __str__(self) -> str:
        return _conditional(self, f"break {self.barrier}")


@dataclass(frozen=True, eq=False)
class Crash(Effect):
    """A process dies: its rows are disabled, its private state is lost, the locks it held stay held."""

    process: Process
    indices: tuple[Expr, ...]

    def __str__(self) -> str:
        return _conditional(self, f"crash {_copy(self.process, self.indices)}")


@dataclass(frozen=True, eq=False)
class Restart(Effect):
    """A dead process runs again, from its machines' restart states."""

    process: Process
    indices: tuple[Expr, ...]

    def __str__(self) -> str:
        return _conditional(self, f"restart {_copy(self.process, self.indices)}")


def when(condition: Any, *effects: Effect) -> tuple[Effect, ...]:
    """The effects, happening only where the condition holds."""
    guard = boolean(condition, "when")
    return tuple(replace(e, condition=conjunction([guard, e.condition])) for e in flatten(effects))


def each(index: Scalar, body: Callable[[Any], Any]) -> tuple[Effect, ...]:
    """The effects of the body for every value of the index type, in one step."""
    from .expr import Literal

    return tuple(e for value in index.values() for e in flatten((body(Literal(value, index)),)))


def store(target: Any, value: Any, operation: str = "store") -> Store:
    """Store a value into a cell or a part of one."""
    place = lift(target)
    cell = cell_of(place)
    if cell.variable.is_channel or cell.variable.is_barrier:
        raise DefinitionError(f"`{place}`: use send and receive on a channel, arrive on a barrier")
    if isinstance(place.type, Record) and isinstance(value, dict):
        value = place.type(**value)
    return Store(TRUE, place, coerce(value, place.type), operation)


def send(target: Any, message: Any) -> Send:
    """Send into a channel."""
    cell = _channel(target)
    return Send(TRUE, cell, coerce(message, cell.variable.message))  # type: ignore[arg-type]


def receive(target: Any, message: Any) -> Receive:
    """Receive from a channel."""
    cell = _channel(target)
    bag = cell.variable.kind == "bag"  # type: ignore[attr-defined]
    if bag == (message is None):
        raise DefinitionError(f"`{cell}`: a bag names the message it gives, receive(message); a FIFO gives its head, receive()")
    return Receive(TRUE, cell, coerce(message, cell.variable.message) if bag else None)  # type: ignore[arg-type]


def arrive(target: Any) -> Arrive:
    """Arrive at a barrier."""
    return Arrive(TRUE, _barrier(target))


def break_open(target: Any) -> BreakOpen:
    """Break a barrier."""
    return BreakOpen(TRUE, _barrier(target))


def flatten(effects: Iterable[Any]) -> list[Effect]:
    """The effects with nested tuples and lists (from `when` and `each`) opened."""
    flat: list[Effect] = []
    for effect in effects:
        if isinstance(effect, (tuple, list)):
            flat.extend(flatten(effect))
        elif isinstance(effect, Effect):
            flat.append(effect)
        else:
            raise DefinitionError(f"`{effect}` is not an effect; use cell.set(...), channel.send(...), when(...), each(...)")
    return flat


def cell_of(target: Expr) -> Cell:
    """The cell that a place lies in; a DefinitionError when the expression is no place."""
    place = target
    while isinstance(place, (Item, Field, At)):
        place = place.base
    if not isinstance(place, Cell):
        raise DefinitionError(f"`{target}` is no place to store into; name a variable, an element or a field")
    return place


def bound(index: Scalar) -> Param:
    """A bound variable over an index type, for building effects by hand."""
    return Param(over_name(index), index)


def _channel(target: Any) -> Cell:
    cell = lift(target)
    if not isinstance(cell, Cell) or not cell.variable.is_channel:
        raise DefinitionError(f"`{cell}` is not a channel")
    return cell


def _barrier(target: Any) -> Cell:
    cell = lift(target)
    if not isinstance(cell, Cell) or not cell.variable.is_barrier:
        raise DefinitionError(f"`{cell}` is not a barrier")
    return cell


def _conditional(effect: Effect, text: str) -> str:
    return text if effect.condition is TRUE else f"if {effect.condition}: {text}"


def _copy(process: Process, indices: tuple[Expr, ...]) -> str:
    return process.name + (f"[{', '.join(map(str, indices))}]" if indices else "")
