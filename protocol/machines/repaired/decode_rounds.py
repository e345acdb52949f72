"""D's ranks where D shares its experts with others: what `decode.py` takes for one step is then D's part of a round of all of them.

As `decode_ranks.py`, with gate and ranks of `collectives/expert_round.py`. The first instance is D; the engines of the others schedule what they
like, whenever their gates let them, so D comes along with forwards that it has no part in. The number of a step travels with its batch, as
its contents do in the engine, where a rank computes when it has left the all_to_all that all have entered (`engine/model/transport.py`):

- `finish_forward` commits, and its handler begins to compute: the rank writes into blocks of the step;
- `exchange_last` is the last exchange of the forward, between the ranks of D: behind it no rank writes any more;
- `end_handler` returns, and rank 0 reports.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...combine import me, passed
from ...effect import when
from ...errors import DefinitionError
from ...expr import TRUE
from ...machine import Machine, Row
from ...system import System
from ...types import Optional
from ...variable import barrier, locked, private
from ..collectives.loop import LOOPS, Round
from ..collectives.round_gate import gate_machine
from ..collectives.round_worker import Rank, RankTable
from .bounds import Bounds, Rules
from .decode_ranks import half_with_ranks
from .plane import Plane
from .ranks import Ranks, handled


class SharedRanks(Ranks):
    """What D's engine process and its ranks share, and the ranks of all instances besides.

    Args:
        instances: that share the experts; D is the first. ranks: of each.
        forward: sync, and rank 0 reports behind the last exchange; async, and it reports as soon as it is through itself.
        balances: experts move: all ranks meet behind every forward.
        asks: the ranks of all instances say in every iteration whether they have a batch, as they do; else they learn it of nobody.
    """

    def __init__(self, p: Plane, instances: int, ranks: int, forward: str, waits: bool, balances: bool, asks: bool):
        loop = LOOPS["repaired" if asks else "repaired-without-asking"]
        self.round = Round.create(loop, "prefill", instances, ranks, crashes=False)
        super().__init__(p, ranks, forward=forward, waits=waits, index=self.round.ranks)
        r, step = self.round, Optional(self.number)
        self.collective = "end" if balances else None
        self.scheduled = private("step_scheduled", step, over=r.instances)
        self.put = locked("queue_step", step, r.queues.lock, over=r.instances, cite="what travels with a batch")
        self.held = private("rank_step", step, over=(r.instances, r.ranks))
        self.end = barrier("forward_barrier", ranks, over=r.instances, kind="sense", cite="the last exchange of a forward")

    def machines(self) -> tuple[Machine, Machine]:
        """The gates and the ranks of all instances."""
        r = self.round
        return self._gates(gate_machine(r, "all")), self._ranks(RankTable(r, "sync", self.collective).machine())

    def _gates(self, gate: Machine) -> Machine:
        """D's gate schedules what D's engine gives it."""
        i = me(self.round.instances)
        take = when(i == 0, self.scheduled[i].set(self.due[0].head))
        effects: dict[str, list[Any]] = {"schedule": [take], "put_batch": [self.put[i].set(self.scheduled[i])]}
        rows = [handled(self.knowing(row, self.due[0], i == 0), effects.get(row.event, [])) for row in gate.rows]
        return Machine("decode_gate", gate.states, rows, copies=gate.copies, doc=gate.doc)

    def _ranks(self, worker: Machine) -> Machine:
        """A rank computes when it has left the all_to_all, in a handler, and takes no other row meanwhile."""
        w, (i, r) = Rank, self.round.own
        mine = self.held[i, r]
        read, begin = [mine.set(self.put[i])], when(i == 0, self.works[0, r].set(mine))
        effects: dict[str, list[Any]] = {"read_batch": read, "read_last_batch": read, "finish_forward": [begin]}
        rows = [handled(row, effects.get(row.event, [])) for row in worker.rows]
        (finish,) = (row for row in rows if row.event == "finish_forward")
        behind, finish.destination = finish.destination, w.COMPUTING
        after, through = partial(Row, actor="decode", cite="ranks.py: report"), when(i == 0, self.works[0, r].set(None))
        told = [mine.set(None), when((i == 0) & (r == 0) & ~mine.is_none, self.report[0].send(mine.value))]
        if self.forward == "async":
            rows.append(after("end_handler", w.COMPUTING, behind, TRUE, [through, *told]))
        else:
            rows.append(after("exchange_last", w.COMPUTING, w.EXCHANGING, TRUE, [self.end[i].arrive(), through]))
            rows.append(after("end_handler", w.EXCHANGING, behind, passed(self.end[i]), told))
        return Machine("decode_rank", worker.states, rows, copies=worker.copies, initial=worker.initial, doc=worker.doc)


def build(
    part: str = "ranks",
    asked: str = "",
    instances: int = 2,
    ranks: int = 1,
    forward: str = "sync",
    waits: bool = True,
    balances: bool = False,
    asks: bool = True,
) -> System:
    """The half of D with ranks that share their experts with those of others, split in two.

    Args:
        part, asked: see `decode_ranks.build`. instances, ranks, forward, waits, balances, asks: see `SharedRanks`.

    Raises:
        DefinitionError: an unknown part, property or forward, or a bound outside its choices.
    """
    if instances < 2 or ranks < 1:
        raise DefinitionError(f"instances={instances}, ranks={ranks}: give two instances or more that share experts, and a rank or more of each")
    p = Plane(Rules(), Bounds(1, 1, 1, 1, 1, 1, 1, 1, False, 1, 1, False, False, False, False, False, False, "none", 1, reports=True))
    return half_with_ranks(p, SharedRanks(p, instances, ranks, forward, waits, balances, asks), part, asked, __doc__ or "")
