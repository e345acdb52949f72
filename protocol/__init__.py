"""The vocabulary: what a protocol is written with.

`from protocol import Machine, Row, System, register, always ...` is all that a file of machines needs.
"""

from .combine import all_of, any_of, choice, count, if_else, me, passed, sum_of
from .effect import each, when
from .errors import DefinitionError, DoubleWrite, GuardFailed, OutOfRange, ProtocolError, TraceError
from .expr import FALSE, TRUE
from .machine import Machine, Process, Row, ignored, illegal
from .properties import Property, always, deadlock, hang, leads_to, lost_store, never, sometimes, write_conflict
from .system import System
from .types import BOOL, Array, Enum, Index, Optional, Range, Record, Sequence, SetOf
from .variable import Lock, Medium, barrier, channel, ghost, locked, private, register, unlocked, world

__all__ = [
    "BOOL", "FALSE", "TRUE", "Array", "DefinitionError", "DoubleWrite", "Enum", "GuardFailed", "Index", "Lock", "Machine",
    "Medium", "Optional", "OutOfRange", "Process", "Property", "ProtocolError", "Range", "Record", "Row", "Sequence",
    "SetOf", "System", "TraceError", "all_of", "always", "any_of", "barrier", "channel", "choice", "count", "deadlock",
    "each", "ghost", "hang", "if_else", "ignored", "illegal", "leads_to", "locked", "lost_store", "me", "never", "passed",
    "private", "register", "sometimes", "sum_of", "unlocked", "when", "world", "write_conflict",
]  # fmt: skip
