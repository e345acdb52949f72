"""What one row does in one state, read off the table as it is written: sentence by sentence from docs/semantics.md.

A copy remembers itself at which barriers it waits, and a lock who holds it; who has loaded what a copy stored is written down when it is
loaded. The lowering knows neither: it finds them out from the control states, numbers the holders, and looks for loads in the expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.combine import conjuncts
from protocol.effect import Arrive, BreakOpen, Crash, Effect, Receive, Restart, Send, Store
from protocol.errors import OutOfRange
from protocol.evaluate import evaluate
from protocol.expr import TRUE, At, Cell, Edited, Expr, Field, Item, Passed
from protocol.machine import Machine, Process, Row
from protocol.types import Record, Value, all_values, flat_index
from protocol.variable import Barrier, Channel, Lock, Variable

if TYPE_CHECKING:
    from tests.checker.written_tables import Tables

Copy = tuple[str, tuple[Value, ...]]
"""Machine and index values."""
Key = tuple[str, tuple[Value, ...]]
"""A cell: name of its variable and index values."""
Values = dict[Key, Any]
DEAD = "held by a copy that is no more"


class TwoStores(Exception):
    """Two stores of one step meet in one place."""


class Firing:
    """One row of one copy, with its choices, in one state."""

    def __init__(self, tables: Tables, state: Values, machine: Machine, row: Row, copy: tuple[Value, ...], chosen: tuple[Value, ...]):
        self.tables, self.state, self.machine, self.row, self.chosen = tables, state, machine, row, chosen
        self.at, self.copy = copy, (machine.name, copy)
        self.bind = dict(zip(machine.copies, copy)) | {p.name: v for p, v in zip(row.choose, chosen)}
        self.loaded: set[Key] = set()
        self.changes: list[tuple[Key, tuple[Any, ...], Any]] = []
        """Cell, place inside it, new value."""
        self.stored: list[tuple[Key, tuple[Any, ...], Any]] = []
        """Those of `changes` that are plain stores."""

    def _load(self, variable: Variable, at: tuple[Value, ...]) -> Value:
        self.loaded.add((variable.name, at))
        return self.state[variable.name, at]

    def _ask(self, expr: Expr, bind: dict[Any, Value] | None = None) -> Any:
        return evaluate(expr, self.bind if bind is None else bind, self._load)

    def _key(self, cell: Expr, bind: dict[Any, Value] | None = None) -> Key:
        assert isinstance(cell, Cell)
        return cell.variable.name, self._within(cell.variable.over, cell.indices, bind)

    def _within(self, dims: Any, indices: tuple[Expr, ...], bind: dict[Any, Value] | None) -> tuple[Value, ...]:
        at = tuple(self._ask(i, bind) for i in indices)
        if not all(d.contains(i) for d, i in zip(dims, at)):
            raise OutOfRange(f"no such index: {at}")
        return at

    # -- the guard ---------------------------------------------------------------------------------------------------

    def may_fire(self) -> bool:
        """Whether the instance is enabled; OutOfRange where its guard cannot be evaluated."""
        row, state = self.row, self.state
        if state[self.machine.state.name, self.at] not in row.sources or not self.tables.lives(state, self.machine, self.at):
            return False
        for lock, holders in ((row.under, (None, self.copy)), (row.acquire, (None,)), (row.release, (self.copy,))):
            if isinstance(lock, Cell) and lock.variable.name in self.tables.acquired and state[self._key(lock)] not in holders:
                return False
        waits = _waiting(row)
        return (
            all(self._lets_go(p.barrier) for p in conjuncts(row.guard) if isinstance(p, Passed))
            and all(self._ready(e, self.bind) for e in waits if e.condition is TRUE)
            and all(self._ask(p) for p in conjuncts(row.guard) if not isinstance(p, Passed))
            and all(not self._ask(e.condition) or self._ready(e, self.bind) for e in waits if e.condition is not TRUE)
            and all(any(self._takes(r, m.machine, self._place(m)) for r in self._moved(m)) for m in row.moves)
        )

    def _lets_go(self, barrier: Cell) -> bool:
        shared, key = barrier.variable, self._key(barrier)
        assert isinstance(shared, Barrier)
        if self.state[shared.broken.name, key[1]]:
            return False
        if shared.kind == "draining":
            return bool(self.state[key] >= shared.parties)
        return self.state[f"waits at {shared.name}", self.copy] is None

    def _ready(self, effect: Effect, bind: dict[Any, Value]) -> bool:
        if isinstance(effect, (Receive, Send)):
            channel, content = effect.channel.variable, self.state[self._key(effect.channel, bind)]
            assert isinstance(channel, Channel)
            if isinstance(effect, Receive):
                return bool(len(content) if effect.message is None else content[self._message(channel, effect.message, bind)])
            return channel.on_full != "block" or self._messages(channel, content) < channel.capacity
        if isinstance(effect, Arrive) and effect.barrier.variable.kind == "draining":  # type: ignore[attr-defined]
            return bool(self.state[self._key(effect.barrier, bind)] < effect.barrier.variable.parties)  # type: ignore[attr-defined]
        return True

    def _messages(self, channel: Channel, content: Any) -> int:
        return len(content) if channel.kind == "fifo" else sum(content)

    def _message(self, channel: Channel, message: Expr, bind: dict[Any, Value]) -> int:
        """The place of a message in a bag."""
        value = self._ask(message, bind)
        if not channel.message.contains(value):
            raise OutOfRange(f"no message of {channel.name}: {value}")
        return flat_index(channel.type.dims, value if isinstance(channel.message, Record) else (value,))  # type: ignore[attr-defined]

    def _moved(self, move: Any) -> list[Row]:
        return [r for r in move.machine.rows if r.event == move.event]

    def _place(self, move: Any) -> dict[Any, Value]:
        return dict(zip(move.machine.copies, self._within(move.machine.copies, move.indices, None)))

    def _takes(self, row: Row, machine: Machine, bind: dict[Any, Value]) -> bool:
        here = self.state[machine.state.name, tuple(bind[d] for d in machine.copies)] in row.sources
        ready = (not self._ask(e.condition, bind) or self._ready(e, bind) for e in _waiting(row))
        return here and all(self._ask(p, bind) for p in conjuncts(row.guard)) and all(ready)

    # -- the effects -------------------------------------------------------------------------------------------------

    def fire(self) -> Values:
        """The state after the step; OutOfRange where it has none."""
        row = self.row
        for lock, holder in ((row.acquire, self.copy), (row.release, None)):
            if lock is not None:
                self._change(self._key(lock), holder)
        for part in conjuncts(row.guard):
            if isinstance(part, Passed):
                self._leave(part.barrier)
        for effect in row.effects:
            self._apply(effect, self.bind)
        for move in row.moves:
            rows, bind = self._moved(move), self._place(move)
            for taken in rows:
                if len(rows) == 1 or self._takes(taken, move.machine, bind):
                    for effect in taken.effects:
                        self._apply(effect, bind)
                    key = (move.machine.state.name, tuple(bind[d] for d in move.machine.copies))
                    if taken.destination is not None or len(rows) > 1:
                        self._change(key, self.state[key] if taken.destination is None else taken.destination)
        if row.destination is not None and row.sources != (row.destination,):
            self._change((self.machine.state.name, self.at), row.destination)
        self._remember()
        after = dict(self.state)
        for key, path, value in self.changes:
            after[key] = _with(after[key], path, value)
        return after

    def _change(self, key: Key, value: Any, path: tuple[Any, ...] = ()) -> None:
        for other, theirs, _ in self.changes:
            if other == key and (theirs[: len(path)] == path or path[: len(theirs)] == theirs):
                raise TwoStores(f"{key} {path}")
        self.changes.append((key, path, value))

    def _leave(self, barrier: Cell) -> None:
        shared, key = barrier.variable, self._key(barrier)
        assert isinstance(shared, Barrier)
        if shared.kind == "draining":
            self._change(key, 0 if self.state[key] == shared.parties else self.state[key] - 1)
            self._change((f"waits at {shared.name}", self.copy), None)

    def _apply(self, effect: Effect, bind: dict[Any, Value]) -> None:
        if isinstance(effect, Store) and effect.cell.variable.name not in self.tables.names:
            return  # a ghost that nobody asks about
        if not self._ask(effect.condition, bind):
            return
        if isinstance(effect, Store):
            self._store(effect, bind)
        elif isinstance(effect, (Send, Receive)):
            self._exchange(effect, bind)
        elif isinstance(effect, Arrive):
            self._arrive(effect.barrier, bind)
        elif isinstance(effect, BreakOpen):
            self._change((effect.barrier.variable.broken.name, self._key(effect.barrier, bind)[1]), True)  # type: ignore[attr-defined]
        elif isinstance(effect, (Restart, Crash)):
            at = self._within(effect.process.over, effect.indices, bind)
            self._change((effect.process.alive.name, at), isinstance(effect, Restart))
            if isinstance(effect, Crash):
                self._crash(effect.process, at)

    def _store(self, effect: Store, bind: dict[Any, Value]) -> None:
        key, path = self._located(effect.target, bind)
        value = self._ask(effect.value, bind)
        if not effect.target.type.contains(value):
            raise OutOfRange(f"{key} {path}: {value}")
        self._change(key, value, path)
        if not isinstance(effect.value, Edited):
            self.stored.append((key, path, value))

    def _located(self, target: Expr, bind: dict[Any, Value]) -> tuple[Key, tuple[Any, ...]]:
        if isinstance(target, Cell):
            return self._key(target, bind), ()
        assert isinstance(target, (Field, Item, At))
        key, path = self._located(target.base, bind)
        if isinstance(target, Field):
            return key, (*path, target.position)
        if isinstance(target, Item):
            dims = target.base.type.dims  # type: ignore[attr-defined]
            return key, (*path, flat_index(dims, self._within(dims, target.indices, bind)))
        place, whole = self._ask(target.position, bind), self.state[key]
        for step in path:
            whole = whole[step]
        if not 0 <= place < len(whole):
            raise OutOfRange(f"{key} {path}: no element {place}")
        return key, (*path, place)

    def _exchange(self, effect: Send | Receive, bind: dict[Any, Value]) -> None:
        channel, key = effect.channel.variable, self._key(effect.channel, bind)
        assert isinstance(channel, Channel)
        content = self.state[key]
        if isinstance(effect, Send) and self._messages(channel, content) == channel.capacity:
            if channel.on_full == "drop":
                return
            raise OutOfRange(f"{key} is full")
        if channel.kind == "bag":
            assert effect.message is not None
            place = self._message(channel, effect.message, bind)
            self._change(key, content[place] + (1 if isinstance(effect, Send) else -1), (place,))
        elif isinstance(effect, Receive):
            self._change(key, content[1:])
        else:
            message = self._ask(effect.message, bind)
            if not channel.message.contains(message):
                raise OutOfRange(f"no message of {key}: {message}")
            self._change(key, (*content, message))

    def _arrive(self, barrier: Cell, bind: dict[Any, Value]) -> None:
        shared, key = barrier.variable, self._key(barrier, bind)
        assert isinstance(shared, Barrier)
        waiting, gone, last = f"waits at {shared.name}", (shared.abandoned.name, key[1]), self.state[key] == shared.parties - 1
        if shared.kind == "draining":
            self._change(key, 2 * shared.parties - 1 - self.state[gone] if last else self.state[key] + 1)
            self._change((waiting, self.copy), key[1])
            if last:
                self._change(gone, 0)
            return
        self._change(key, 0 if last else self.state[key] + 1)
        self._change((waiting, self.copy), None if last else key[1])
        for where, cell in self.state.items():
            if last and where[0] == waiting and cell == key[1] and where[1] != self.copy:
                self._change(where, None)

    def _crash(self, process: Process, at: tuple[Value, ...]) -> None:
        def dies(dims: Any, indices: tuple[Value, ...]) -> bool:
            own = dict(reversed(list(zip(dims, indices))))  # the first of a type is the process's
            return all(own[d] == i for d, i in zip(process.over, at) if d in own)

        system = self.tables.system
        gone = {(m.name, c): m for m in system.machines if m.process is process for c in all_values(m.copies) if dies(m.copies, c)}
        for (_, copy), machine in gone.items():
            self._change((machine.state.name, copy), machine.restart)
        for variable in self.tables.variables:
            if isinstance(variable, Lock):
                for where in all_values(variable.over):
                    if self.state[variable.name, where] in gone:
                        self._change((variable.name, where), DEAD)
            if isinstance(variable, Barrier):
                self._desert(variable, set(gone), variable.process is process)
        for variable in self.tables.memory(process):
            for where, initial in zip(all_values(variable.over), variable.initial):
                if dies(variable.over, where):
                    self._change((variable.name, where), initial)
                    if isinstance(variable, Barrier):
                        self._change((variable.broken.name, where), False)
                        self._change((variable.abandoned.name, where), 0)

    def _desert(self, shared: Barrier, gone: set[Copy], anew: bool) -> None:
        """Copies that are no more leave the barrier, and their arrivals stay counted, unless the barrier is made anew."""
        left = [copy for copy in gone if self.state[f"waits at {shared.name}", copy] is not None]
        for at in () if anew else all_values(shared.over):
            number, value = sum(self.state[f"waits at {shared.name}", c] == at for c in left), self.state[shared.name, at]
            if shared.kind == "draining" and number:
                if value < shared.parties:
                    self._change((shared.abandoned.name, at), self.state[shared.abandoned.name, at] + number)
                else:
                    self._change((shared.name, at), 0 if value - number == shared.parties - 1 else value - number)
        for copy in left:
            self._change((f"waits at {shared.name}", copy), None)

    # -- what is watched ---------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Who stored last what nobody else has loaded, and whether a store was lost."""
        for variable in self.tables.watched:
            name = f"last writer of {variable}"
            stored = {key for key, _, _ in self.stored if key[0] == variable}
            for key in self.loaded - stored:
                if key[0] == variable and self.state[name, key[1]] != self.copy:
                    self._change((name, key[1]), None)
            for key in stored:
                by_other = self.state[name, key[1]] not in (None, self.copy) and key not in self.loaded
                if by_other and any(part_of(self.state[key], path) != value for other, path, value in self.stored if other == key):
                    self.changes.append(((f"lost store to {variable}", ()), (), True))
                self._change((name, key[1]), self.copy)


def _waiting(row: Row) -> list[Effect]:
    """The effects that a row may have to wait for."""
    return [e for e in row.effects if isinstance(e, (Receive, Send, Arrive))]


def part_of(value: Any, path: tuple[Any, ...]) -> Any:
    """The part of a value at that place inside it."""
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """The value with one of its parts replaced."""
    if not path:
        return part
    return (*value[: path[0]], _with(value[path[0]], path[1:], part), *value[path[0] + 1 :])
