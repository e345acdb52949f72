"""D's ranks where D's share their experts: a decode step is D's part of a round of all of them, of `collectives/expert_round.py`.

The number of a step travels with its batch, as its contents do in the engine, where a rank computes when it has left the all_to_all that
all have entered (`engine/model/transport.py`):

- `finish_forward` commits, and its handler computes: the rank writes into blocks of the step;
- `synchronise_forward` is behind the last exchange of the forward, between the ranks of D: from there on the rank writes no more;
- `end_step`: all ranks of D are through, and rank 0 reports.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ...combine import me, passed
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Index, Optional
from ...variable import barrier, locked, private
from ..collectives.loop import LOOPS, Round
from ..collectives.round_gate import gate_machine
from ..collectives.round_worker import Rank, RankTable
from .plane import Plane
from .ranks import Ranks, handled


class SharedRanks(Ranks):
    """What D's engine processes and their ranks share, and the ranks of all instances besides.

    Args:
        ranks: of each instance. others: instances that share the experts with one D and are none of `p`; None: the D's share them.
        forward: sync, and rank 0 reports behind the last exchange; async, and it reports as soon as it is through itself.
        balances: experts move: all ranks meet behind every forward.
        asks: the ranks of all instances say in every iteration whether they have a batch, as they do; else they learn it of nobody.
    """

    def __init__(
        self,
        p: Plane,
        ranks: int,
        others: int | None = None,
        forward: str = "sync",
        waits: bool = True,
        balances: bool = False,
        asks: bool = True,
    ):
        super().__init__(p, ranks, forward=forward, waits=waits)
        # Nobody gives up waiting: when a rank dies, its supervisor ends all who share the experts.
        loop, name, process = replace(LOOPS["repaired" if asks else "repaired-without-asking"], gives_up=False), "decode_", self.process
        index = self.decode if others is None else Index("instance", 1 + others)
        r = self.round = Round.over(loop, "prefill", index, self.rank, process, process, process, name=name)
        self.has_others, self.collective, step = others is not None, "end" if balances else None, Optional(self.number)
        self.scheduled = private("step_scheduled", step, over=index)
        self.put = locked("decode_queue_step", step, r.queues.lock, over=index, process=process, cite="what travels with a batch")
        self.held = private("rank_step", step, over=(index, self.rank))
        self.end = barrier("decode_forward_barrier", ranks, over=index, kind="sense", process=process, cite="the last exchange of a forward")

    @property
    def own(self) -> tuple[Any, Expr]:
        """Which D the copy's instance is, and whether it is one: with others, the first is."""
        i = me(self.round.instances)
        return (0, i == 0) if self.has_others else (i, TRUE)

    def machines(self) -> tuple[Machine, Machine]:
        """The gates and the ranks of all instances."""
        r = self.round
        return self._gates(gate_machine(r, "all")), self._ranks(RankTable(r, "sync", self.collective).machine())

    def _gates(self, gate: Machine) -> Machine:
        """A D's gate schedules what D's worker gives it."""
        i, (d, mine) = me(self.round.instances), self.own
        take = when(mine, self.scheduled[i].set(self.due[d].head))
        effects: dict[str, list[Any]] = {"schedule": [take], "put_batch": [self.put[i].set(self.scheduled[i])]}
        rows = [handled(self.knowing(row, self.due[d], mine), effects.get(row.event, [])) for row in gate.rows]
        return Machine("decode_gate", gate.states, rows, copies=gate.copies, process=self.process, doc=gate.doc)

    def _ranks(self, worker: Machine) -> Machine:
        """A rank computes when it has left the all_to_all, in a handler, and takes no other row meanwhile."""
        w, (i, r), (d, own) = Rank, self.round.own, self.own
        mine = self.held[i, r]
        # New weights are loaded in the handler of `start_forward`, which has come back when the next row of the rank fires.
        read, begin = [mine.set(self.put[i])], [*when(own, self.works[d, r].set(mine)), *when(own & ~mine.is_none, *self.load(d, r, mine))]
        effects: dict[str, list[Any]] = {"read_batch": read, "read_last_batch": read, "finish_forward": begin}
        rows = [handled(row, effects.get(row.event, [])) for row in worker.rows]
        (finish,) = (row for row in rows if row.event == "finish_forward")
        behind, finish.destination = finish.destination, w.COMPUTING
        after, through = partial(Row, actor="decode", cite="ours: reported when all are through"), when(own, self.works[d, r].set(None))
        told = [mine.set(None), when(own & (r == 0) & ~mine.is_none, self.report[d].send(mine.value))]
        if self.forward == "async":
            rows.append(after("end_step", w.COMPUTING, behind, TRUE, [through, *told]))
        else:
            rows.append(after("synchronise_forward", w.COMPUTING, w.SYNCHRONISING, TRUE, [self.end[i].arrive(), through]))
            rows.append(after("end_step", w.SYNCHRONISING, behind, passed(self.end[i]), told))
        return Machine("decode_rank", worker.states, rows, copies=worker.copies, initial=worker.initial, process=self.process, doc=worker.doc)
