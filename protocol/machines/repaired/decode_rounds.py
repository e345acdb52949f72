"""The half of a D with ranks that share their experts with those of others (`shared_ranks.py`), split in two as in `decode_ranks.py`.

The first instance is D; the engines of the others schedule what they like, whenever their gates let them, so D comes along with forwards
that it has no part in.
"""

from __future__ import annotations

from ...errors import DefinitionError
from ...system import System
from .bounds import Bounds, Rules
from .decode_ranks import half_with_ranks
from .plane import Plane
from .shared_ranks import SharedRanks


def build(
    part: str = "ranks",
    asked: str = "",
    instances: int = 2,
    ranks: int = 1,
    forward: str = "sync",
    waits: bool = True,
    balances: bool = False,
    asks: bool = True,
    control: bool = False,
) -> System:
    """The half of D with ranks that share their experts with those of others, split in two.

    Args:
        part, asked, control: see `decode_ranks.build`. instances: D, and others. ranks, forward, waits, balances, asks: see `SharedRanks`.

    Raises:
        DefinitionError: an unknown part, property or forward, or a bound outside its choices.
    """
    if instances < 2 or ranks < 1:
        raise DefinitionError(f"instances={instances}, ranks={ranks}: give two instances or more that share experts, and a rank or more of each")
    p = Plane(
        Rules(), Bounds(1, 1, 1, 1, 1, 1, 1, 1, False, 1, 1, False, False, False, False, False, False, "none", 1, control=control, reports=True)
    )
    return half_with_ranks(p, SharedRanks(p, ranks, instances - 1, forward, waits, balances, asks), part, asked, __doc__ or "")
