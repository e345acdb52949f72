"""A path that the checker has found, as rows of a driver: a trace names copies, events and values in words."""

from __future__ import annotations

from collections.abc import Iterator

from protocol import TraceError
from protocol.action import Instance
from protocol.trace import Trace
from protocol.types import Boolean, Enum, Optional, Type, Value

from ..driver import Copy, Driver


def steps_of(trace: Trace, driver: Driver) -> Iterator[tuple[Copy, list[Instance]]]:
    """Of each step in turn, the copy and the rows of its name that can leave the copy's state, at most one of which is enabled.

    Whoever asks fires it before it asks for the next.

    Raises:
        TraceError: a step names no row that could be taken where it stands.
    """
    copies = {copy.name: copy for copy in (*driver.copies.values(), *driver.environment.values())}
    for number, step in enumerate(trace.steps, 1):
        copy = copies.get(step.copy)
        rows = [] if copy is None else [a for a in copy.rows[copy.state] if a.row.event == step.event]
        if copy is None or not rows:
            text = f"step {number} of the trace, {step.name}, is no row that {step.copy} could take there"
            raise TraceError(f"{text}; find the trace anew with `interlock check --trace`")
        chosen = dict(step.values)
        yield copy, [Instance(a, copy.indices, tuple(value_of(p.type, chosen[p.name]) for p in a.row.choose)) for a in rows]


def value_of(kind: Type, text: str) -> Value:
    """The value of a scalar type that is shown as this text.

    Raises:
        TraceError: there is none.
    """
    try:
        if isinstance(kind, Optional):
            return None if text == "-" else value_of(kind.inner, text)
        if isinstance(kind, Enum):
            return kind.cls[text]
        value: Value = {"False": False, "True": True}[text] if isinstance(kind, Boolean) else int(text)
    except (KeyError, ValueError):
        value = None
    if not kind.contains(value):
        raise TraceError(f"{text!r} is no value of {kind}; find the trace anew with `interlock check --trace`")
    return value
