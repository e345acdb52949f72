"""The repaired protocol in two halves: P beside what stands for D, and D beside what stands for P.

Neither half has the other's machines, so two requests with all faults fit where the whole does not. What holds in a half holds in the
whole, as far as both halves' stand-ins cover what they replace (`prefill_covered`, `decode_covered`), at the same bounds and for the
same question: `asked` names the properties that matter, because ghosts that nobody asks about need not be matched.
"""

from __future__ import annotations

from typing import Any

from ...combine import conjunction
from ...properties import always
from ...split import Side, Split
from ...system import System
from .bounds import Bounds, Rules
from .environment import decoding_side, prefilling_side
from .plane import Plane
from .protocol import compose

DECODING = ("router", "listener", "decode_loop", "decode_worker", "control", "faults")
"""The machines of D's side: D, the router with its clients, the operator, and the network's losses."""


def build(
    half: str = "prefill",
    asked: str = "",
    joined: str = "",
    forgets: str = "",
    without: str | None = None,
    requests: int = 1,
    turns: int = 1,
    ranks: int = 1,
    slots: int = 1,
    layers: int = 1,
    chunks: int = 1,
    decodes: int = 1,
    room: int = 1,
    full: bool = False,
    threads: int = 1,
    copies: int = 1,
    aborts: bool = False,
    deadlines: bool = False,
    repeats: bool = False,
    losses: bool = False,
    errors: bool = False,
    suspicions: bool = False,
    asynchronous: bool = False,
    control: bool = False,
) -> System:
    """One half of the repaired protocol at these bounds; see `plane.Bounds`.

    Args:
        half: prefill or decode; or whole, which is not split, for the witnesses.
        asked: the properties that are split, separated by commas; all that can be when empty. joined: those of them (`always` and `never`)
            that are asked once more as one, `joined`: one exploration where each by itself would take as long.
        forgets: a row that both stand-ins leave out. without: one of `bounds.Rules` that the machines leave out.

    Raises:
        DefinitionError: an unknown half or property, or a bound outside its choices.
    """
    sizes = (requests, turns, ranks, slots, layers, chunks, decodes, room, full, threads, copies)
    faults = (aborts, deadlines, repeats, losses, errors, suspicions)
    p = Plane(Rules.all_but(without), Bounds(*sizes, *faults, "none", 1, asynchronous=asynchronous, control=control))
    whole = compose(p)
    if asked:
        whole = whole.focused(*asked.split(","))
    if joined:
        parts = [whole.find_property(name) for name in joined.split(",")]
        every = conjunction([part.expr if part.kind == "always" else ~part.expr for part in parts])
        whole = System(whole.name, whole.machines, [*whole.properties, always("joined", every, about=f"all of {joined}")], whole.doc)
    if half == "whole":
        return whole
    return split(p, whole, forgets).part(half)


def split(p: Plane, whole: System, forgets: str = "") -> Split:
    """The composition over that plane, in two halves; `forgets` leaves a row of both stand-ins out."""
    request = whole.machine("request")
    decode = [m for m in whole.active if m.name in DECODING]
    prefill = [m for m in whole.active if m.name not in DECODING]
    names: Any = [[m.name for m in side] for side in (prefill, decode)]
    counts = any(v is p.sent for v in whole.variables)
    sides = (
        Side("prefill", prefill, [prefilling_side(p, request, names[0], forgets, counts)]),
        Side("decode", decode, [decoding_side(p, request, names[1], forgets)]),
    )
    return Split(whole, *sides)
