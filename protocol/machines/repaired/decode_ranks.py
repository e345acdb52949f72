"""The half of D with its ranks (`ranks.py`), split in two: that what `decode.py` takes for one step of one worker is a forward of several ranks.

Two sides: *ranks* (gate and ranks) and *engine* (all else of D, the router, the network, and what stands for P). What stands for the ranks
is what `decode_worker` believes of them: a step is taken, every rank works on it and on nothing else, once, and when none works any more
it is reported. With that, the part of the engine is asked what D is asked without ranks.
"""

from __future__ import annotations

from ...properties import Cover, covers
from ...split import Side, Split
from ...system import System
from .bounds import Bounds, Rules
from .halves import split
from .plane import Plane
from .protocol import compose
from .ranks import Ranks

ASKED = ("reservations_counted", "answered_at_most_once", "step_on_freed_reservation")
"""What D is asked with ranks as without."""


def build(
    part: str = "ranks",
    asked: str = "",
    ranks: int = 2,
    variant: str = "repaired",
    forward: str = "sync",
    loop_top_barrier: bool = True,
    reporter: str = "rank",
    waits: bool = True,
    without: str | None = None,
    requests: int = 1,
    room: int = 1,
    aborts: bool = False,
    deadlines: bool = False,
    repeats: bool = False,
    losses: bool = False,
    errors: bool = False,
    suspicions: bool = False,
    control: bool = False,
) -> System:
    """The half of D with its ranks, split in two.

    Args:
        part: ranks or engine; or whole, which is not split. asked: the properties that are split, separated by commas; all that can be when empty.
        ranks, variant, forward, loop_top_barrier, reporter, waits: of D's ranks, see `Ranks`. without: one of `bounds.Rules` that is
            left out. The others: see `bounds.Bounds`.

    Raises:
        DefinitionError: an unknown part or property, or a bound outside its choices.
    """
    faults = (aborts, deadlines, repeats, losses, errors, suspicions)
    p = Plane(Rules.all_but(without), Bounds(requests, 1, 1, 1, 1, 1, 1, room, False, 1, 1, *faults, "none", 1, control=control, reports=True))
    return half_with_ranks(p, Ranks(p, ranks, variant, forward, loop_top_barrier, reporter, waits), part, asked, __doc__ or "")


def half_with_ranks(p: Plane, shared: Ranks, part: str, asked: str, doc: str) -> System:
    """A part of the half of D with these ranks; the arguments are those of `build`."""
    halves = split(p, compose(p).focused(*ASKED))
    (beside,), composed, gate_and_ranks = halves.sides["prefill"].stand_in, halves.whole, shared.machines()
    decode = [shared.decode_worker(m) if m.name == "decode_worker" else m for m in halves.sides["decode"].machines]
    engine = [beside, *decode]
    cover = Cover(tuple(decode), tuple(halves.sides["decode"].stand_in), tuple(halves.shared(halves.sides["decode"])))
    covered = covers("decode_covered", cover, about="what stands for D can do all that P sees of it, with ranks, too")
    (worker,) = (m for m in decode if m.name == "decode_worker")
    asks = [*composed.properties, covered, *shared.properties(worker)]
    if asked:
        asks = [a for a in asks if a.name in asked.split(",")]
    machines = [composed.machine("request"), composed.machine("entry"), *engine, *gate_and_ranks]
    whole = System("decode_ranks", machines, asks, doc=doc)
    if part == "whole":
        return whole
    sides = (
        Side("ranks", gate_and_ranks, [shared.any_step(m.name for m in gate_and_ranks)]),
        Side("engine", engine, [shared.any_engine(m.name for m in engine)]),
    )
    return Split(whole, *sides).part(part)
