"""Traces: paths with their states, and the file form that every reader shares.

A path found by the checker is only a list of instances; `trace_of` runs it again through the interpreter, so a path that
the semantics does not allow cannot be written, drawn or replayed. The file form is ITF JSON (the Informal Trace Format
of Apalache and Quint), with the step that led to each state under `#meta`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .action import Instance
from .errors import DefinitionError, OutOfRange, ProtocolError, TraceError
from .evaluate import Load, effects_of, loader, may_fire, successor
from .system import State, System
from .types import Value, all_values
from .variable import Lock, Medium, Variable

CLAIM_WIDTH = 300
"""Characters of a property's text in a trace: an expanded one can fill pages."""
UNSHARED = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)


@dataclass(frozen=True)
class Change:
    """One cell that a step changed, as text, with the name of its medium.

    A register or unlocked cell that is stored the value that it had is there, too (`before` equals `after`): whether a
    store was needless, or was lost, is what a trace is read for.
    """

    cell: str
    before: str
    after: str
    medium: str = ""


@dataclass(frozen=True)
class Step:
    """One step of a trace.

    `failure` says why a last step has no successor (a range error). `reads` are the shared cells that the step looked at,
    with the values it saw: what one copy learns from another goes through them.
    """

    machine: str
    copy: str
    event: str
    values: tuple[tuple[str, str], ...]
    actor: str
    cite: str
    changes: tuple[Change, ...]
    failure: str = ""
    reads: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """`worker[0].read(slot=1)`."""
        chosen = ", ".join(f"{n}={v}" for n, v in self.values)
        return f"{self.copy}.{self.event}" + (f"({chosen})" if chosen else "")


@dataclass
class Trace:
    """A path with its states.

    `loop_start`: the cycle of a lasso is `steps[loop_start:]`; one without steps means that the behaviour ends there.
    `claim`: what the property says. `about`: what happens, in the words of the scenario.
    """

    system: str
    property: str
    steps: list[Step]
    states: list[dict[str, Any]]
    loop_start: int | None = None
    scenario: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    claim: str = ""


def trace_of(system: System, path: Sequence[Instance], *, property: str = "", loop_start: int | None = None) -> Trace:
    """The trace of a path, every step fired again by the interpreter.

    Raises:
        ProtocolError: a step of the path is not enabled where it stands.
    """
    state = system.initial_state()
    states, steps = [readable_state(system, state)], []
    for number, instance in enumerate(path):
        failure, after, written = "", state, set()
        load, reads = _recorder(system, state)
        try:
            if not may_fire(instance, load):
                raise ProtocolError(f"step {number + 1} of the path, {instance}, is not enabled there")
            written = {(id(variable), where) for variable, where, _ in effects_of(_without_ghosts(instance), load)}
            after = successor(system, state, instance)
        except (OutOfRange, DefinitionError) as error:
            if number != len(path) - 1:
                raise
            failure = str(error)
        steps.append(_step(instance, _changes(system, state, after, written), failure, reads))
        if not failure:
            states.append(readable_state(system, after))
        state = after
    claim = next((f"{p} — {p.about}" if p.about else str(p) for p in system.properties if p.name == property), "")
    if len(claim) > CLAIM_WIDTH:
        claim = claim[: CLAIM_WIDTH - 1] + "…"
    return Trace(system.name, property, steps, states, loop_start, claim=claim)


def _without_ghosts(instance: Instance) -> Instance:
    """The instance as the real system takes it: what a ghost looks at, nobody has seen."""
    stores = [s for s in instance.action.stores if s.cell.variable.medium is not Medium.GHOST]
    return replace(instance, action=replace(instance.action, stores=stores))


def _recorder(system: System, state: State) -> tuple[Load, dict[str, str]]:
    """A loader, and the shared cells that it has been asked for, with their values."""
    plain, reads = loader(system, state), {}

    def load(variable: Variable, where: tuple[Value, ...]) -> Value:
        value = plain(variable, where)
        if variable.medium not in UNSHARED:
            reads[variable.cell_name(where)] = _shown(variable, value)
        return value

    return load, reads


def _shown(variable: Variable, value: Value) -> str:
    return variable.show_holder(value) if isinstance(variable, Lock) else variable.type.show(value)


def _changes(system: System, before: State, after: State, written: set[tuple[int, tuple[Value, ...]]]) -> tuple[Change, ...]:
    changes = []
    for variable, old, new in zip(system.variables, before, after):
        again = variable.medium in (Medium.REGISTER, Medium.UNLOCKED)
        for where, a, b in zip(all_values(variable.over), old, new):
            if a != b or (again and (id(variable), where) in written):
                changes.append(Change(variable.cell_name(where), _shown(variable, a), _shown(variable, b), variable.medium.value))
    return tuple(changes)


def _step(instance: Instance, changes: tuple[Change, ...], failure: str, reads: dict[str, str]) -> Step:
    row = instance.action.row
    values = tuple((p.name, p.type.show(v)) for p, v in zip(row.choose, instance.values))
    seen = tuple(reads.items())
    return Step(instance.action.machine.name, instance.copy_name, row.event, values, row.actor, row.cite, changes, failure, seen)


def readable_state(system: System, state: State) -> dict[str, Any]:
    """The state as names and plain JSON values: a scalar per single cell, an object per indexed variable."""
    shown: dict[str, Any] = {}
    for variable, cells in zip(system.variables, state):
        if not variable.over:
            shown[variable.name] = _plain(variable.type, cells[0])
        else:
            keys = (",".join(d.show(w) for d, w in zip(variable.over, where)) for where in all_values(variable.over))
            shown[variable.name] = {k: _plain(variable.type, v) for k, v in zip(keys, cells)}
    return shown


def _plain(kind: Any, value: Value) -> Any:
    return value if isinstance(value, bool) or (isinstance(value, int) and type(value) is int) else kind.show(value)


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the trace as ITF JSON: whole or not at all.

    Raises:
        TraceError: the file cannot be written; nothing is left behind.
    """
    states: list[dict[str, Any]] = []
    for number, state in enumerate(trace.states):
        meta: dict[str, Any] = {"index": number}
        if number:
            meta["step"] = _step_json(trace.steps[number - 1])
        states.append({"#meta": meta, **state})
    meta = {
        "format": "ITF",
        "format-description": "https://apalache-mc.org/docs/adr/015adr-trace.html",
        "system": trace.system,
        "property": trace.property,
        "scenario": trace.scenario,
        "config": trace.config,
        "about": trace.about,
        "claim": trace.claim,
    }
    if len(trace.steps) == len(trace.states):
        meta["failed-step"] = _step_json(trace.steps[-1])
    document: dict[str, Any] = {"#meta": meta, "vars": list(trace.states[0]), "states": states}
    if trace.loop_start is not None:
        document["loop"] = trace.loop_start
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace that `save_trace` wrote.

    Raises:
        TraceError: naming the file, and the line or the part that is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; give a file that `interlock check --trace` wrote") from error
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise TraceError(f"{path}:{line}: not JSON ({error}); give a file that `interlock check --trace` wrote") from error
    try:
        meta, states = document["#meta"], document["states"]
        steps = [_step_of(s["#meta"]["step"]) for s in states[1:]]
        if "failed-step" in meta:
            steps.append(_step_of(meta["failed-step"]))
        plain = [{k: v for k, v in s.items() if k != "#meta"} for s in states]
        if not plain or len(steps) - len(plain) not in (-1, 0):
            raise TraceError(f"{path}: {len(steps)} steps do not fit {len(plain)} states; give a file that `interlock check --trace` wrote")
        said = {key: meta.get(key, "") for key in ("scenario", "about", "claim")}
        return Trace(meta["system"], meta["property"], steps, plain, document.get("loop"), config=meta.get("config", {}), **said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        lacks = f"{error} is missing" if isinstance(error, KeyError) else "its parts are of other kinds"
        raise TraceError(f"{path}: not a trace of ours, {lacks}; give a file that `interlock check --trace` wrote") from error


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a file that `write_whole` could not write, before the work whose answer it is to hold.

    Raises:
        TraceError: it is a directory, or lies where nothing can be written.
    """
    target = Path(path)
    # A file is replaced, which asks its directory; a device or a pipe is written to.
    place = target if target.exists() and not target.is_file() else target.parent
    if target.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise TraceError(f"{path}: no file can be written there; choose a file in a directory that exists and can be written")


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        TraceError: it cannot be written; nothing half-written is left.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        # A device or a pipe cannot be replaced, only written to.
        try:
            with open(target, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise TraceError(f"{path}: {error.strerror or error}; choose another file") from error
        return
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise TraceError(f"{path}: {error.strerror or error}; choose a file that can be written") from error


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "machine": step.machine,
        "copy": step.copy,
        "event": step.event,
        "values": dict(step.values),
        "actor": step.actor,
        "cite": step.cite,
        "changes": [[c.cell, c.before, c.after, c.medium] for c in step.changes],
        "failure": step.failure,
        "reads": [list(read) for read in step.reads],
    }


def _step_of(data: dict[str, Any]) -> Step:
    changes = tuple(Change(*c) for c in data["changes"])
    values, reads = tuple(data["values"].items()), tuple((cell, value) for cell, value in data["reads"])
    return Step(data["machine"], data["copy"], data["event"], values, data["actor"], data["cite"], changes, data["failure"], reads)
