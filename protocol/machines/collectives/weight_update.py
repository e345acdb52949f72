"""The legacy update of weights (reinforcement learning), and what it does to a batch that nobody has read yet.

An API process stores CLEARING and later UPDATING into the register `model_weights_status`; rank 0 of the workers loads it at
the top of each iteration and broadcasts it. Unless it is NORMAL, every rank copies the value back, updates or drops its
weights, waits for rank 0 to store the result, and then calls `clear_data` of the engine-worker queue *by itself*. The
engine's scheduler is not paused meanwhile. (`machines/collectives/expert_round.py` asks what the broadcast does to the round.)

The repaired rule, in three sentences: *Rank 0 of all hands out the weights' status at the one all_gather that every rank enters in
every iteration, which also says who has a batch; a rank that learns of an update makes it and starts the iteration over. Rank 0
alone stores the result, behind the all_gather of the next iteration, which every rank enters only after its own update;
nobody copies the status back. Workers never clear the queue: a batch that waits there is read by all of them afterwards, and to take it
away is for the engine, which alone knows whose requests are in it.*

All ranks are the world; the forward is one step, without the all-to-all. The engine's gate is that of A (an empty queue, by its register);
a gate that also waits for the forward signal takes interleavings away and adds none, for no rank is in a forward while it
updates. Batches never end; their numbers wrap, so that one that is lost shows by its successor.

What the model says more than the facts:

- *#7111 does not mend B.* It lowers the queue's register, but in the iteration of the update itself rank 0 has announced the
  batch before the queue was cleared; B goes on to read with that announcement, and its assertion fails. Only starting over
  (B') helps. In A the same empty read is not harmless either: the engine may put the next batch between two ranks' reads, and
  the one that has it goes on to the broadcast of the next iteration while the other idles at TPB#2.
- *One rank that clears, between two barriers, with every signal reset* (facts 9.4) ends the ghost of H3 and the second clear of
  H4, but still loses a batch that was put before the clear: the engine has no word of it.
- *The copy back is a race of its own*: where nothing inside the update holds the ranks together, a slow rank's copy of UPDATING
  replaces the NORMAL that rank 0 has stored, and that rank waits for ever; or the API is told while a rank is still loading
  (`update_meets=False`). The facts do not say whether the real update contains a collective; ours needs none.
"""

from __future__ import annotations

from typing import Any

from ...combine import any_of, if_else
from ...errors import DefinitionError
from ...machine import Machine, Row
from ...properties import Property, always, leads_to, never, sometimes, write_conflict
from ...system import System
from ..arguments import one_of
from .weight_worker import WeightTable, Worker
from .weights import UPDATES, Api, Engine, Status, Weights

WRAP = 3
"""Batch numbers: one in the queue, one in hand, and the third tells a repetition from a successor."""


def build(
    variant: str = "repaired",
    instances: int = 1,
    ranks: int = 2,
    experts: bool = False,
    update_meets: bool = True,
    begins_dropped: bool = False,
) -> System:
    """The system of so many instances.

    Args:
        variant: a version of `weights.UPDATES`.
        instances, ranks: data-parallel instances, and tensor-parallel ranks of each. experts: ranks that have read meet at EPB.
        update_meets: the update itself contains a collective that all ranks enter after they have copied the status back.
        begins_dropped: the weights have been dropped already, and only the update is left.

    Raises:
        DefinitionError: an unknown variant, or a bound that is too small.
    """
    one_of(UPDATES, variant=variant)
    if instances < 1 or ranks < 1:
        raise DefinitionError(f"instances={instances}, ranks={ranks}: needs at least one of each")
    begins = Status.CLEARED if begins_dropped else Status.NORMAL
    system = Weights.create(UPDATES[variant], instances, ranks, WRAP, begins)
    worker = WeightTable(system, experts, update_meets).machine()
    machines = [_engine(system), _api(system, begins_dropped), worker]
    return System("weight_update", machines, _properties(system, machines), doc=__doc__ or "")


def _engine(s: Weights) -> Machine:
    """The engine's scheduler: puts a batch when it finds the queue empty, or does not."""
    e, queues = Engine, s.queues
    successor = if_else(s.number[s.instance] == WRAP - 1, 0, s.number[s.instance] + 1)
    put = [queues.put(s.number[s.instance]), s.number[s.instance].set(successor), *s.note_put()]
    rows = [
        Row("find_queue_empty", e.CHECKING, e.SCHEDULING, ~queues.exist_tasks, [], "prefill", cite="facts 3.1 A2"),
        Row("schedule", e.SCHEDULING, e.PUTTING, True, [], "prefill", decided="decided", cite="facts 3.1 A5"),
        Row("schedule_nothing", e.SCHEDULING, e.CHECKING, True, [], "prefill", decided="decided", cite="facts 3.1 A8"),
        Row("put_batch", e.PUTTING, e.CHECKING, queues.is_read_by_all, put, "prefill", under=queues.own_lock, cite="facts 2.2: put_tasks"),
    ]
    return Machine("engine", e, rows, copies=s.instances, doc="SCHED: schedules and puts batches, whatever happens to the weights")


def _api(s: Weights, begins_dropped: bool) -> Machine:
    """The API process: asks for the weights to be dropped, then for new ones; each wait is a poll of one second."""
    a, status = Api, s.status
    rows = [
        Row("ask_to_clear", a.READY, a.CLEARING, True, [status.set(Status.CLEARING)], "client", decided="observed", cite="facts 1.2: API"),
        Row("find_cleared", a.CLEARING, a.CLEARED, status == Status.CLEARED, [], "client", cite="facts 1.2: polls up to 300 s"),
        Row("ask_to_update", a.CLEARED, a.UPDATING, True, [status.set(Status.UPDATING)], "client", cite="facts 1.2: API"),
        Row("find_updated", a.UPDATING, a.UPDATED, status == Status.NORMAL, [], "client", cite="facts 1.2: polls up to 300 s"),
    ]
    if begins_dropped:
        return Machine("api", a, rows[2:], initial=a.CLEARED, final=a.UPDATED, doc="the API process that asks for new weights")
    return Machine("api", a, rows, final=(a.READY, a.UPDATED), doc="the API process that asks for an update of the weights")


def _properties(s: Weights, machines: list[Machine]) -> list[Property]:
    engine, api, worker = machines
    meetings = s.meetings

    def some(state: Worker) -> Any:
        return any_of(s.instances, lambda j: any_of(s.ranks, lambda r: worker.at(j, r) == state))

    unread = any_of(s.instances, lambda j: ~s.queues.tasks[j].is_none)
    updating = some(Worker.LOADING)
    updates = (Worker.JUDGING, Worker.AT_UPDATE, Worker.COPYING, Worker.LOADING)

    def has_yet_to_load(j: Any) -> Any:
        told = (Status.CLEARING, Status.UPDATING)
        return any_of(s.ranks, lambda r: worker.at(j, r).is_in(*updates) & s.known[j, r].is_in(*told))

    told_early = api.at().is_in(Api.CLEARED, Api.UPDATED) & any_of(s.instances, has_yet_to_load)
    # fmt: off
    return [
        never("no_worker_fails", some(Worker.FAILED), "the assertion that a batch was read holds"),
        never("no_crossed_collectives", meetings.is_crossed(), "P5: no two ranks wait for each other in different groups"),
        never("no_mismatched_collectives", meetings.mismatched, "P6: who meets has entered the same collective"),
        never("no_batch_dropped_unread", s.dropped, "P4: clear_data drops no batch that some rank has yet to read"),
        never("no_batch_dropped_between_clears", s.dropped_fresh, "P4: nor one that was put after a rank of this update had cleared"),
        always("each_batch_read_once", ~s.misread, "P1: every rank reads every batch once, in put order"),
        never("no_result_before_all_updated", told_early, "the API is told of an update only when every rank has made it"),
        sometimes("some_update_with_unread_batch", updating & unread, "the weights are being updated, and a batch waits in the queue"),
        sometimes("some_update_done", api.at() == Api.UPDATED, "the API has seen the weights cleared and updated"),
        sometimes("some_batch_read_after_update", (api.at() == Api.UPDATED) & some(Worker.WORKING), "a batch is worked on with the new weights"),
        leads_to("update_ends", api.at().is_in(Api.CLEARING, Api.UPDATING), api.at().is_in(Api.CLEARED, Api.UPDATED),
                 about="an update that was asked for comes to an end"),
        leads_to("gate_opens", engine.at(0) == Engine.CHECKING, engine.at(0) == Engine.SCHEDULING, about="P11: the engine can put its next batch"),
        write_conflict(s.status),
    ]
    # fmt: on
