"""Ghosts that matter: those on which a question depends. A store to any other one only splits states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .action import Action
from .effect import Store
from .expr import Cell, Expr
from .variable import Medium


def drop_unread_ghosts(actions: Sequence[Action], asked: Iterable[Expr], wanted: Iterable[int] = ()) -> None:
    """Drop the stores to ghosts on which nothing depends: neither what is asked nor what stays.

    Args:
        asked: what properties read. wanted: ghosts that matter anyhow, by identity.
    """
    read = ghosts_behind(actions, asked, wanted)
    for action in actions:
        action.stores = [s for s in action.stores if not _is_ghost(s) or id(s.cell.variable) in read]


def ghosts_behind(actions: Sequence[Action], asked: Iterable[Expr], wanted: Iterable[int] = ()) -> set[int]:
    """The ghosts, by identity, on which what is asked depends, or what the actions do but for ghosts.

    What stands for others may read ghosts where real rows may not, in its guards and in whatever it stores: those matter as well.
    """
    read = set(wanted).union(*map(_ghosts_in, asked), *(_ghosts_in(action.guard) for action in actions))
    for action in actions:
        if action.machine.stands_for:
            read = read.union(*(_seen_by(s) for s in action.stores if not _is_ghost(s)))
    stores = [(id(s.cell.variable), _seen_by(s)) for a in actions for s in a.stores if _is_ghost(s)]
    grown = True
    while grown:
        before = len(read)
        for target, seen in stores:
            if target in read:
                read |= seen
        grown = len(read) > before
    return read


def _is_ghost(store: Store) -> bool:
    return store.cell.variable.medium is Medium.GHOST


def _seen_by(store: Store) -> set[int]:
    return _ghosts_in(store.condition) | _ghosts_in(store.value) | _ghosts_in(store.target)


def _ghosts_in(expr: Expr) -> set[int]:
    """The ghosts that the expression reads, by identity."""
    return {id(e.variable) for e in expr.nodes() if isinstance(e, Cell) and e.variable.medium is Medium.GHOST}
