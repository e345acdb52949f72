"""D's tensor-parallel ranks under D's worker: a decode step as a forward of several ranks behind a gate.

`decode_worker` begins a step over a batch, hears that it is over, credits its tokens, and lets nothing of the batch go in between. On D
that step is a forward of the ranks behind a gate, the tables of `signalling/`, with copies for each D:

- `start_step` hands the step to the gate, which schedules when there is one; so does `begin_update`, whose step is new weights;
- rank 0 reports at the end of its forward (or, to compare, the gate does when it finds the forward over);
- `hear_report` takes the report, and only behind it tokens are credited or dropped; of new weights `end_update` takes it.

`protocol.py` composes them with all of P and D (`Bounds.decode_ranks`), `decode_ranks.py` with the half of D, split in two.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, if_else, me
from ...effect import each, flatten, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, leads_to, never
from ...slice import slice_of
from ...types import BOOL, Index, Optional, Range
from ...variable import barrier, channel, ghost, private, register
from ..arguments import one_of
from ..signalling.engine_worker_queue import EngineWorkerQueue
from ..signalling.forward_signal import FORWARDS, VARIANTS, WRAP
from ..signalling.gate import Gate, gate_machine
from ..signalling.witness import Witness
from ..signalling.worker import WorkerTable
from .decode import DecodeWorker
from .plane import Plane

REPORTERS = ("rank", "gate")
"""Who says that a step is over: rank 0, as the engine does it, or the gate."""
CREDITS = ("credit_token", "credit_last_token", "drop_token")
"""The rows of D's worker that take something of a step's result."""
HEARS = ("hear_report", "end_update")
"""Those that take the report of a step."""


class AnyStep(IntEnum):
    """The ranks have ..."""

    NO_STEP, A_STEP = range(2)


class AnyEngine(IntEnum):
    """D's engine process waits for ..."""

    NOTHING, THE_REPORT = range(2)


class Ranks:
    """What the D's engine processes and their ranks share, and the ghosts about it; the ranks are each D's alone.

    Args:
        ranks: tensor-parallel degree of a D. variant, forward, loop_top_barrier: as in `forward_signal.build`. reporter: one of REPORTERS.
        waits: D's worker credits a step's tokens when it has heard that the step is over, as it does; else without regard to that.
    """

    def __init__(
        self,
        p: Plane,
        ranks: int,
        variant: str = "repaired",
        forward: str = "sync",
        loop_top_barrier: bool = True,
        reporter: str = "rank",
        waits: bool = True,
    ):
        one_of(VARIANTS, variant=variant)
        one_of(FORWARDS, forward=forward)
        one_of(REPORTERS, reporter=reporter)
        self.decode, self.process, self.updates, self.waits = p.decode, p.decode_process, p.bounds.control, waits
        self.rank, self.number = Index("decode_rank", ranks), Range(0, WRAP - 1)
        self.variant, self.forward, self.loop_top_barrier, self.reporter = variant, forward, loop_top_barrier, reporter
        queue, seen = partial(channel, over=self.decode, process=self.process), partial(ghost, process=self.process)
        self.due = queue("step_due", self.number, 1, cite="ours: from D's worker to its gate")
        self.report = queue("step_report", self.number, 1, cite="ours: from rank 0 to D's worker")
        self.works = seen("rank_works_on", Optional(self.number), over=(self.decode, self.rank))
        self.update = seen("step_of_update", Optional(self.number), over=self.decode)
        self.given = seen("weights_given_to_ranks", Range(0, 1), over=self.decode)
        self.loaded = seen("weights_of_decode_rank", Range(0, 1), over=(self.decode, self.rank))
        self.late = ghost("rank_works_after_step", BOOL)
        self.foreign = ghost("report_of_another_step", BOOL)
        self.stale = ghost("step_with_other_weights", BOOL)

    def next_number(self, number: Expr) -> Expr:
        """The number of the next step."""
        return if_else(number == self.number.high, 0, number + 1)

    def load(self, d: Any, rank: Expr, number: Expr) -> list[Any]:
        """A rank loads new weights if they are what is in the step of that number."""
        return [*when(self.update[d] == number, self.loaded[d, rank].set(1 - self.loaded[d, rank]))] if self.updates else []

    def decode_worker(self, worker: Machine) -> Machine:
        """D's worker, whose steps are computed by the ranks: it gives them a step, and hears when that is over."""
        d, s = me(self.decode), DecodeWorker
        number, head = private("step_number", self.number, over=self.decode), self.report[d].head
        any_works = any_of(self.rank, lambda r: ~self.works[d, r].is_none)
        watch, foreign = when(any_works, self.late.set(True)), when(head != number[d], self.foreign.set(True))
        give, hear = [self.due[d].send(number[d]), watch], [self.report[d].receive(), foreign, watch]
        effects = {"start_step": give, "hear_report": hear}
        if self.updates:
            stale = any_of(self.rank, lambda r: self.loaded[d, r] != self.given[d])
            effects["start_step"] = [*give, when(stale, self.stale.set(True))]
            effects["begin_update"] = [*give, self.update[d].set(number[d]), self.given[d].set(1 - self.given[d])]
            effects["end_update"] = [*hear, self.update[d].set(None)]
        rows = []
        for row in worker.rows:
            does = list(effects.get(row.event, []))
            if row.destination is s.IDLE and row.event in (*CREDITS, "end_update"):
                does.append(number[d].set(self.next_number(number[d])))
            heard = "prompt" if row.event in HEARS else None
            rows.append(handled(row, does, decided=heard) if self.waits or row.event not in CREDITS else hasty(row, does))
        return Machine(worker.name, s, rows, copies=worker.copies, final=worker.final, process=worker.process, doc=worker.doc)

    def machines(self) -> tuple[Machine, Machine]:
        """The gate and the ranks of each D: those of `forward_signal`, in the prefill role, which forwards nothing but batches."""
        d, rank, number, process = me(self.decode), self.rank, self.number, self.process
        flag, meeting = partial(register, over=self.decode, process=process), partial(barrier, over=self.decode, kind="sense", process=process)
        queue = EngineWorkerQueue.create(rank, number, "decode_queue", (self.decode,), process).at(d)
        signal: Any = None if self.variant == "A" else flag("decode_forward_signal", BOOL, cite="engine_forward_signal; facts 1.2: FWD")[d]
        batch = slice_of(private("decode_rank_batch", Optional(number), over=(self.decode, rank)), (d,))
        top = meeting("decode_tensor_barrier", rank.size, cite="facts 4: TPB")[d]
        end = meeting("decode_forward_barrier", rank.size, cite="facts 9.2: SYNC")[d]
        experts = meeting("decode_expert_barrier", rank.size, cite="facts 4: EPB")[d]
        announced = flag("decode_batch_announced", BOOL, cite="exist_task_signal; facts 1.2: XT")[d]
        witness = Witness.create(rank, number, process, (self.decode,)).at(d)
        following = private("gate_next_number", Range(0, number.high + 1), over=self.decode)[d]
        what: Any = (self.variant, "prefill", self.forward, False, self.loop_top_barrier, 0, rank)
        cells: Any = (queue, announced, batch, None, signal, top, end, experts, witness)
        table, gate = WorkerTable(*what, *cells), gate_machine(self.variant, False, queue, signal, number, None, following)
        return self._gate(gate), self._rank(table.machine(), batch)

    def knowing(self, row: Row, due: Expr, mine: Expr = TRUE) -> Row:
        """The row of a gate that schedules just when D's worker has begun a step; where its instance is none of the D's (`mine`), when it likes."""
        decided = "prompt" if mine is TRUE else None
        if row.event == "schedule":
            return handled(row, when(mine, due.receive()), decided=decided)
        nothing = due.empty if mine is TRUE else ~mine | due.empty
        return handled(row, guard=nothing, decided=decided) if row.event == "schedule_nothing" else row

    def _gate(self, gate: Machine) -> Machine:
        """The gate schedules what D's worker gives it; as reporter it tells what it has found over."""
        d = me(self.decode)
        due, rows = self.due[d], [self.knowing(row, self.due[d]) for row in gate.rows]
        if self.reporter == "gate":
            step, over = private("step_scheduled", Optional(self.number), over=self.decode)[d], private("step_over", BOOL, over=self.decode)[d]
            take, find = [step.set(due.head)], [over.set(~step.is_none)]
            rows = [handled(r, take if r.event == "schedule" else find if r.destination is Gate.SCHEDULING else []) for r in rows]
            told = [self.report[d].send(step.value), step.set(None), over.set(False)]
            rows.append(Row("tell", Gate.SCHEDULING, Gate.SCHEDULING, over, told, "decode", cite="to compare: the gate says that a step is over"))
        return Machine("decode_gate", gate.states, rows, copies=self.decode, process=self.process, doc=gate.doc)

    def _rank(self, worker: Machine, batch: Any) -> Machine:
        """A rank writes blocks from the start of its forward to its last collective; rank 0 reports when it is through."""
        d, own = me(self.decode), me(self.rank)
        mine = batch[own]
        effects: dict[str, list[Any]] = {row.event: [] for row in worker.rows}
        effects["start_forward"] += [self.works[d, own].set(mine), *self.load(d, own, mine)]
        effects["finish_forward" if self.forward == "async" else "synchronise_forward"] += [self.works[d, own].set(None)]
        if self.reporter == "rank":
            effects["finish_forward"] += when((own == 0) & ~mine.is_none, self.report[d].send(mine.value))
        rows = [handled(row, effects[row.event]) for row in worker.rows]
        copies = (self.decode, self.rank)
        return Machine("decode_rank", worker.states, rows, copies=copies, initial=worker.initial, process=self.process, doc=worker.doc)

    # -- what stands for each side -------------------------------------------------------------------------------------

    def any_step(self, replaces: Iterable[str]) -> Machine:
        """What D's worker believes of gate and ranks."""
        s, d, r = AnyStep, me(self.decode), choice("decode_rank", self.rank)
        step, due, report = private("step_taken", self.number, over=self.decode)[d], self.due[d], self.report[d]
        begun, works = private("rank_has_begun", BOOL, over=(self.decode, self.rank)), self.works
        none_works, all_begun = all_of(self.rank, lambda i: works[d, i].is_none), all_of(self.rank, lambda i: begun[d, i])
        last = ~works[d, r].is_none & all_of(self.rank, lambda i: (i == r) | works[d, i].is_none)
        load = self.load(d, r, step)
        forget = [step.set(0), each(self.rank, lambda i: begun[d, i].set(False))]
        # fmt: off
        rows = [
            Row("take",   s.NO_STEP, s.A_STEP,  True, [step.set(due.head), due.receive()]),
            Row("begin",  s.A_STEP,  s.A_STEP,  ~begun[d, r], [begun[d, r].set(True), works[d, r].set(step), *load], choose=(r,)),
            Row("end",    s.A_STEP,  s.A_STEP,  ~works[d, r].is_none, [works[d, r].set(None)], choose=(r,)),
            Row("report", s.A_STEP,  s.NO_STEP, all_begun & none_works, [report.send(step), *forget]),
            Row("end_and_report", s.A_STEP, s.NO_STEP, all_begun & last, [works[d, r].set(None), report.send(step), *forget], choose=(r,)),
        ]
        # fmt: on
        doc = "Stands for gate and ranks: a step is what D's worker believes."
        return Machine("any_step", s, rows, copies=self.decode, stands_for=tuple(replaces), doc=doc)

    def any_engine(self, replaces: Iterable[str]) -> Machine:
        """What gate and ranks see of D: the next step comes when the last one has been heard of."""
        s, d = AnyEngine, me(self.decode)
        step = private("step_given", self.number, over=self.decode)[d]
        give, hear = [self.due[d].send(step)], [self.report[d].receive(), step.set(self.next_number(step))]
        rows = [Row("give", s.NOTHING, s.THE_REPORT, True, give)]
        if self.updates:
            rows.append(Row("give_update", s.NOTHING, s.THE_REPORT, True, [*give, self.update[d].set(step)]))
            hear.append(self.update[d].set(None))
        rows.append(Row("hear", s.THE_REPORT, s.NOTHING, True, hear))
        doc = "Stands for D's engine process: one step after the other."
        return Machine("any_engine", s, rows, copies=self.decode, stands_for=tuple(replaces), doc=doc)

    def properties(self, worker: Machine) -> list[Property]:
        """What is asked about ranks and D's worker."""
        working = any_of(self.decode, lambda d: worker.at(d).is_in(DecodeWorker.STEPPING, DecodeWorker.UPDATING))
        asks = [
            never("rank_works_after_step", self.late, about="no rank is in a step that D's engine has not begun, or has heard to be over"),
            never("report_of_another_step", self.foreign, about="what is credited comes from the step that was begun"),
            leads_to("step_ends", working, ~working, about="a step that D's worker begins ends: its ranks report it"),
        ]
        if self.updates:
            asks.append(never("step_with_other_weights", self.stale, about="every rank has the weights with which D begins a step"))
        return asks


def handled(row: Row, effects: Iterable[Any] = (), guard: Expr = TRUE, decided: str | None = None) -> Row:
    """The row with more that it hands on, and asks; `decided`: by whom it is decided then, if by somebody else."""
    more = copy(row)
    more.guard, more.effects = row.guard & guard, [*row.effects, *flatten(effects)]
    more.decided = row.decided if decided is None else decided
    return more


def hasty(row: Row, effects: Iterable[Any]) -> Row:
    """The same of a row that credits or drops, before the step's end has been heard as well as behind it."""
    more = handled(row, effects)
    more.sources = (DecodeWorker.STEPPING, DecodeWorker.CREDITING)
    more.destination = None if row.destination is DecodeWorker.CREDITING else row.destination
    return more
