"""D's tensor-parallel ranks under D's worker: that what `decode.py` takes for one step of one worker is a forward of several ranks.

`decode_worker` begins a step over a batch, hears that it is over, credits its tokens, and lets nothing of the batch go in between. On D
that step is a forward of the ranks behind a gate, the system of `signalling/forward_signal.py`. Here they are put together as the engine
does it, where what rows of one hand to rows of the other are messages (`engine/disaggregated/decode_engine.py`):

- `start_step` hands the step to the gate, which schedules when there is one; so does `begin_update`, whose step is new weights;
- rank 0 reports at the end of its forward (or, to compare, the gate does when it finds the forward over);
- `hear_report` takes the report, and only behind it tokens are credited or dropped; of new weights `end_update` takes it.

Two sides: *ranks* (gate and ranks) and *engine* (all else of D, the router, the network, and what stands for P). What stands for the ranks
is what `decode_worker` believes of them: a step is taken, every rank works on it and on nothing else, once, and when none works any more
it is reported. With that, the part of the engine is asked what D is asked without ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from enum import IntEnum
from typing import Any

from ...combine import all_of, any_of, choice, if_else, me
from ...effect import each, flatten, when
from ...errors import DefinitionError
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Cover, Property, covers, leads_to, never
from ...split import Side, Split
from ...system import System
from ...types import BOOL, Index, Optional, Range
from ...variable import Variable, barrier, channel, ghost, private, register
from ..signalling.engine_worker_queue import EngineWorkerQueue
from ..signalling.forward_signal import FORWARDS, VARIANTS, WRAP
from ..signalling.gate import Gate, gate_machine
from ..signalling.witness import Witness
from ..signalling.worker import WorkerTable
from .bounds import Bounds, Rules
from .decode import DecodeWorker
from .halves import split
from .plane import Plane
from .protocol import compose

REPORTERS = ("rank", "gate")
"""Who says that a step is over: rank 0, as the engine does it, or the gate."""
ASKED = ("reservations_counted", "answered_at_most_once", "step_on_freed_reservation")
"""What D is asked with ranks as without."""
CREDITS = ("credit_token", "credit_last_token", "drop_token")
"""The rows of D's worker that take something of a step's result."""


class AnyStep(IntEnum):
    """The ranks have ..."""

    NO_STEP, A_STEP = range(2)


class AnyEngine(IntEnum):
    """D's engine process waits for ..."""

    NOTHING, THE_REPORT = range(2)


class Ranks:
    """What D's engine process and its ranks share, and the ghosts about it; the ranks are D's alone.

    Args:
        ranks: tensor-parallel degree of D. variant, forward, loop_top_barrier: as in `forward_signal.build`. reporter: one of REPORTERS.
        waits: D's worker credits a step's tokens when it has heard that the step is over, as it does; else without regard to that.
        updates: D's worker gives them new weights, too, as a step without requests. index: of the ranks, where they have one.
    """

    def __init__(
        self,
        ranks: int,
        variant: str,
        forward: str,
        loop_top_barrier: bool,
        reporter: str,
        waits: bool,
        updates: bool = False,
        index: Index | None = None,
    ):
        for name, value, known in (("variant", variant, VARIANTS), ("forward", forward, FORWARDS), ("reporter", reporter, REPORTERS)):
            if value not in known:
                raise DefinitionError(f"{name}={value!r}: choose one of {', '.join(known)}")
        self.waits, self.updates = waits, updates
        self.rank, self.number = index or Index("decode_rank", ranks), Range(0, WRAP - 1)
        self.variant, self.forward, self.loop_top_barrier, self.reporter = variant, forward, loop_top_barrier, reporter
        self.due = channel("step_due", self.number, 1, cite="decode_engine.py: due")
        self.report = channel("step_report", self.number, 1, cite="decode_engine.py: finish_step")
        self.works = ghost("rank_works_on", Optional(self.number), over=self.rank)
        self.update = ghost("step_of_update", Optional(self.number))
        self.loaded = ghost("weights_of_decode_rank", Range(0, 1), over=self.rank)
        self.late = ghost("rank_works_after_step", BOOL)
        self.foreign = ghost("report_of_another_step", BOOL)
        self.stale = ghost("step_with_other_weights", BOOL)

    def next_number(self, number: Expr) -> Expr:
        """The number of the next step."""
        return if_else(number == self.number.high, 0, number + 1)

    @property
    def any_works(self) -> Expr:
        """Some rank may write into blocks of a step."""
        return any_of(self.rank, lambda r: ~self.works[r].is_none)

    def load(self, rank: Expr, number: Expr) -> list[Any]:
        """A rank loads new weights if they are what is in the step of that number."""
        return [*when(self.update.cell() == number, self.loaded[rank].set(1 - self.loaded[rank]))] if self.updates else []

    def decode_worker(self, p: Plane, worker: Machine) -> Machine:
        """D's worker, whose steps are computed by the ranks: it gives them a step, and hears when that is over."""
        d, s = me(p.decode), DecodeWorker
        number, head = private("step_number", self.number, over=p.decode), self.report.cell().head
        watch, foreign = when(self.any_works, self.late.set(True)), when(head != number[d], self.foreign.set(True))
        give, hear = [self.due.send(number[d]), watch], [self.report.receive(), foreign, watch]
        effects = {"start_step": give, "hear_report": hear}
        if self.updates:
            stale = any_of(self.rank, lambda r: self.loaded[r] != p.decode_weights[d])
            effects["start_step"] = [*give, when(stale, self.stale.set(True))]
            effects |= {"begin_update": [*give, self.update.set(number[d])], "end_update": [*hear, self.update.set(None)]}
        rows = []
        for row in worker.rows:
            does = list(effects.get(row.event, []))
            if row.destination is s.IDLE and row.event in (*CREDITS, "end_update"):
                does.append(number[d].set(self.next_number(number[d])))
            rows.append(handled(row, does) if self.waits or row.event not in CREDITS else hasty(row, does))
        return Machine(worker.name, s, rows, copies=worker.copies, final=worker.final, doc=worker.doc)

    def machines(self) -> tuple[Machine, Machine]:
        """D's gate and D's ranks: those of `forward_signal`, in the prefill role, which forwards nothing but batches."""
        rank, number = self.rank, self.number
        queue = EngineWorkerQueue.create(rank, number)
        signal = None if self.variant == "A" else register("forward_signal", BOOL, cite="engine_forward_signal; facts 1.2: FWD")
        batch = private("worker_batch", Optional(number), over=rank)
        top = barrier("tensor_barrier", rank.size, kind="sense", cite="facts 4: TPB")
        end = barrier("forward_barrier", rank.size, kind="sense", cite="facts 9.2: SYNC")
        experts = barrier("expert_barrier", rank.size, kind="sense", cite="facts 4: EPB")
        announced, witness = register("batch_announced", BOOL, cite="exist_task_signal; facts 1.2: XT"), Witness.create(rank, number)
        what = (self.variant, "prefill", self.forward, False, self.loop_top_barrier, 0)
        table = WorkerTable(*what, rank, queue, announced, batch, None, signal, top, end, experts, witness)
        return self._gate(gate_machine(self.variant, False, queue, signal, number, None)), self._worker(table.machine(), batch)

    def knowing(self, row: Row, mine: Expr = TRUE) -> Row:
        """The row of a gate that knows whether D's worker has begun a step, if it is D's (`mine`): it schedules just then."""
        if row.event == "schedule":
            return handled(row, when(mine, self.due.receive()))
        return handled(row, guard=~mine | self.due.cell().empty) if row.event == "schedule_nothing" else row

    def _gate(self, gate: Machine) -> Machine:
        """The gate schedules what D's engine gives it; as reporter it tells what it has found over."""
        step, over = private("step_scheduled", Optional(self.number)), private("step_over", BOOL)
        rows = [self.knowing(row) for row in gate.rows]
        if self.reporter == "gate":
            take, find = [step.set(self.due.cell().head)], [over.set(~step.is_none)]
            rows = [handled(r, take if r.event == "schedule" else find if r.destination is Gate.SCHEDULING else []) for r in rows]
        if self.reporter == "gate":
            told = [self.report.send(step.value), step.set(None), over.set(False)]
            rows.append(Row("tell", Gate.SCHEDULING, Gate.SCHEDULING, over, told, "decode", cite="to compare: the gate says that a step is over"))
        return Machine("gate", gate.states, rows, doc=gate.doc)

    def _worker(self, worker: Machine, batch: Variable) -> Machine:
        """A rank writes blocks from the start of its forward to its last collective; rank 0 reports when it is through."""
        own = me(self.rank)
        mine = batch[own]
        effects: dict[str, list[Any]] = {row.event: [] for row in worker.rows}
        effects["start_forward"] += [self.works[own].set(mine), *self.load(own, mine)]
        effects["finish_forward" if self.forward == "async" else "synchronise_forward"] += [self.works[own].set(None)]
        if self.reporter == "rank":
            effects["finish_forward"] += when((own == 0) & ~mine.is_none, self.report.send(mine.value))
        rows = [handled(row, effects[row.event]) for row in worker.rows]
        return Machine("worker", worker.states, rows, copies=self.rank, initial=worker.initial, doc=worker.doc)

    # -- what stands for each side -------------------------------------------------------------------------------------

    def any_step(self) -> Machine:
        """What D's worker believes of gate and ranks."""
        s, r = AnyStep, choice("decode_rank", self.rank)
        step, begun = private("step_taken", self.number), private("rank_has_begun", BOOL, over=self.rank)
        none_works, all_begun = all_of(self.rank, lambda i: self.works[i].is_none), all_of(self.rank, lambda i: begun[i])
        last = ~self.works[r].is_none & all_of(self.rank, lambda i: (i == r) | self.works[i].is_none)
        load = self.load(r, step.cell())
        forget = [step.set(0), each(self.rank, lambda i: begun[i].set(False))]
        # fmt: off
        rows = [
            Row("take",   s.NO_STEP, s.A_STEP,  True, [step.set(self.due.cell().head), self.due.receive()]),
            Row("begin",  s.A_STEP,  s.A_STEP,  ~begun[r], [begun[r].set(True), self.works[r].set(step), *load], choose=(r,)),
            Row("end",    s.A_STEP,  s.A_STEP,  ~self.works[r].is_none, [self.works[r].set(None)], choose=(r,)),
            Row("report", s.A_STEP,  s.NO_STEP, all_begun & none_works, [self.report.send(step), *forget]),
            Row("end_and_report", s.A_STEP, s.NO_STEP, all_begun & last, [self.works[r].set(None), self.report.send(step), *forget], choose=(r,)),
        ]
        # fmt: on
        return Machine("any_step", s, rows, stands_for=("gate", "worker"), doc="Stands for gate and ranks: a step is what D's worker believes.")

    def any_engine(self, replaces: Iterable[str]) -> Machine:
        """What gate and ranks see of D: the next step comes when the last one has been heard of."""
        s, step = AnyEngine, private("step_given", self.number)
        rows = [
            Row("give", s.NOTHING, s.THE_REPORT, True, [self.due.send(step)]),
            Row("hear", s.THE_REPORT, s.NOTHING, True, [self.report.receive(), step.set(self.next_number(step.cell()))]),
        ]
        if self.updates:
            rows.append(Row("give_update", s.NOTHING, s.THE_REPORT, True, [self.due.send(step), self.update.set(step.cell())]))
            rows[1] = handled(rows[1], [self.update.set(None)])
        return Machine("any_engine", s, rows, stands_for=tuple(replaces), doc="Stands for D's engine process: one step after the other.")

    def properties(self) -> list[Property]:
        """What is asked about ranks."""
        return [
            never("rank_works_after_step", self.late, about="no rank is in a step that D's engine has not begun, or has heard to be over"),
            never("report_of_another_step", self.foreign, about="what is credited comes from the step that was begun"),
        ]

    def properties_with(self, p: Plane, worker: Machine) -> list[Property]:
        """And about D's worker with them."""
        working = any_of(p.decode, lambda d: worker.at(d).is_in(DecodeWorker.STEPPING, DecodeWorker.UPDATING))
        asks = [leads_to("step_ends", working, ~working, about="a step that D's worker begins ends: its ranks report it")]
        if self.updates:
            asks.append(never("step_with_other_weights", self.stale, about="every rank has the weights with which D begins a step"))
        return asks


def handled(row: Row, effects: Iterable[Any] = (), guard: Expr = TRUE) -> Row:
    """The row with what its handlers hand on, and what they decide by what was handed to them."""
    more = copy(row)
    more.guard, more.effects = row.guard & guard, [*row.effects, *flatten(effects)]
    return more


def hasty(row: Row, effects: Iterable[Any]) -> Row:
    """The same of a row that credits or drops, before the step's end has been heard as well as behind it."""
    more = handled(row, effects)
    more.sources = (DecodeWorker.STEPPING, DecodeWorker.CREDITING)
    more.destination = None if row.destination is DecodeWorker.CREDITING else row.destination
    return more


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
    return half_with_ranks(p, Ranks(ranks, variant, forward, loop_top_barrier, reporter, waits, control), part, asked, __doc__ or "")


def half_with_ranks(p: Plane, shared: Ranks, part: str, asked: str, doc: str) -> System:
    """A part of the half of D with these ranks; the arguments are those of `build`."""
    halves = split(p, compose(p).focused(*ASKED))
    (beside,), composed, gate_and_ranks = halves.sides["prefill"].stand_in, halves.whole, shared.machines()
    decode = [shared.decode_worker(p, m) if m.name == "decode_worker" else m for m in halves.sides["decode"].machines]
    engine = [beside, *decode]
    cover = Cover(tuple(decode), tuple(halves.sides["decode"].stand_in), tuple(halves.shared(halves.sides["decode"])))
    covered = covers("decode_covered", cover, about="what stands for D can do all that P sees of it, with ranks, too")
    (worker,) = (m for m in decode if m.name == "decode_worker")
    asks = [*composed.properties, covered, *shared.properties(), *shared.properties_with(p, worker)]
    if asked:
        asks = [a for a in asks if a.name in asked.split(",")]
    machines = [composed.machine("request"), composed.machine("entry"), *engine, *gate_and_ranks]
    whole = System("decode_ranks", machines, asks, doc=doc)
    if part == "whole":
        return whole
    sides = (
        Side("ranks", gate_and_ranks, [shared.any_step()]),
        Side("engine", engine, [shared.any_engine(m.name for m in engine)]),
    )
    return Split(whole, *sides).part(part)
