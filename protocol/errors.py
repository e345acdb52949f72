"""What can go wrong, as types.

One rule: an error says what, where and the remedy, and its text is one line. Anything that a correct deployment can
meet (a lost link, a full pool, a crash) is an event in a table and never an exception; a violated property is a value
with a path and never an exception. What is left is here.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of every error that this project raises on purpose.

    `machine`, `row` and `step` say where it happened when that is known.
    """

    def __init__(self, message: str, *, machine: str = "", row: str = "", step: str = ""):
        self.machine, self.row, self.step = machine, row, step
        where = ".".join(part for part in (machine, row) if part)
        super().__init__(f"{where}: {message}" if where else message)


class DefinitionError(ProtocolError, ValueError):
    """A system is defined wrongly; the message names the machine, the row and the remedy."""


class GuardFailed(ProtocolError):
    """A row was fired whose guard is false: ask `may_fire` first."""


class OutOfRange(ProtocolError):
    """Firing a row would leave a type: an index outside its type, the head of an empty queue, a value too large."""


class DoubleWrite(DefinitionError):
    """Two effects of one step write the same cell (found while exploring, hence with a path)."""


class TraceError(ProtocolError):
    """A trace or workload file is malformed; the message names the file and the line."""
