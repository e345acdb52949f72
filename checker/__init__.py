"""The checker: can anything go wrong in any interleaving of a system? `check` answers.

Nothing heavy is imported before a check asks for it: numpy and numba cost a third of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol.errors import DefinitionError

from .result import Finding, Limits, Result, Verdict

if TYPE_CHECKING:
    from protocol.system import System

__all__ = ["Finding", "Limits", "Result", "Verdict", "check"]

UNLIMITED = Limits()


def check(
    system: System,
    *,
    limits: Limits = UNLIMITED,
    explorer: str = "table",
    first: bool = False,
    workers: int = 1,
    reduced: bool = False,
    progress: Callable[[int, int, float, int], None] | None = None,
    phase: Callable[[str], None] | None = None,
) -> Result:
    """Explore every state of the system and answer each of its properties, `range` always among them.

    Args:
        limits: budgets; running out of one makes what is not yet decided inconclusive.
        explorer: "table" (compiled, packed states) or "reference" (the interpreter and a queue; slow).
        first: stop at the first violation instead of exploring the whole space.
        workers: threads that may be used; the table explorer uses two at most. A completed search answers alike with any
            number; how far a budget reaches may depend on it.
        reduced: leave out interleavings that no asked property can tell apart, and keep one state of those that differ in the names of
            interchangeable copies; verdicts stay, counts shrink, and a path need not be shortest. The table explorer only; refused for
            properties that it might not preserve.
        progress: called now and then with (states, depth, states per second, states waiting).
        phase: called now and then, by the table explorer, with what it does when all states are known: judging hang and leads_to.

    Raises:
        DefinitionError: the system is wrong in a way that only tabulating or exploring it shows; with a path. Or the reduction
            is not sound for a property that is asked.
    """
    if workers < 1:
        raise DefinitionError(f"workers={workers}: a search needs at least one")
    if explorer == "reference":
        if reduced:
            raise DefinitionError("--reduce: the reference explorer leaves nothing out; use the table explorer")
        from . import reference

        return reference.explore(system, limits=limits, first=first, progress=progress)
    if explorer == "table":
        from . import search

        return search.explore(system, limits=limits, first=first, workers=workers, reduced=reduced, progress=progress, phase=phase)
    raise DefinitionError(f"there is no explorer {explorer!r}; choose 'table' or 'reference'")
