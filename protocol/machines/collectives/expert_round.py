"""The round of expert-parallel instances: gates, queues and ranks of several data-parallel instances, put together.

Layers with experts exchange tokens between all ranks of all instances, so all must run the same number of forwards. #6680
(after #6085 and #6164) makes that a round: every engine puts exactly one batch, empty when it has nothing, and with
the prefill role every rank waits at EPB until all have read theirs. That needs every engine to be alive and willing.

The repaired rule, in two sentences: *Behind TPB#0 all ranks of all instances enter one all_gather, in every iteration and
at one place, which says who has work, a batch or requests that go on decoding: if anybody has, everybody runs one forward,
with its own work or an empty one, and if nobody has, nobody does. Engines put real batches only, so the workers of a stopped
engine answer its rounds themselves; whatever else must be agreed (weights, controls, balancing) is agreed at that place.*

It replaces TPB#1, EPB and the empty batches; a rank rests without a forward when no instance has work, as in B, and a
batch is never held up by an instance that has none, as in A.

What the model says more than the facts:

- Rank 0 must raise the signal for a batch of its own only. Were it up during the empty forwards as well, the gate of an idle
  instance would starve beside a busy one: it finds the signal down for moments only.
- Requests that go on decoding are work as well as a batch is; asked for batches only, the ranks let them rest.
- In B the drift of rounds is bounded by EPB alone, not by the gates: without EPB, an engine whose forward does not block runs
  on by itself. With it, at most one.
- A pause of one instance heals with its resume, in prefill too: the batch it then puts completes the open round.
- The sleeping branch keeps the signal up only while the ranks sleep: the batch that wakes them is executed (facts H6:
  "closed until the next executed iteration").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...combine import any_of
from ...errors import DefinitionError
from ...machine import Machine
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from .fate import FATES
from .loop import LOOPS, Batch, Round
from .meeting import Call
from .round_gate import Gate, control_machine, fault_machine, gate_machine, operator_machine, update_machine
from .round_worker import Rank, RankTable

ROLES = ("prefill", "decode")
FORWARDS = ("sync", "async")
COLLECTIVES = (None, "top", "middle", "end")
TRAFFIC = ("all", "first")
FAULTS = (None, "stop", "pause", "kill", "sleep", "sleep_and_wake", "control_one", "control_all", "control_withdrawn")


def build(
    variant: str = "repaired",
    instances: int = 2,
    ranks: int = 1,
    role: str = "prefill",
    forward: str = "sync",
    collective: str | None = None,
    traffic: str = "all",
    fault: str | None = None,
    fate: str | None = None,
    deaths: int = 1,
) -> System:
    """The system of so many data-parallel instances with so many tensor-parallel ranks each.

    Args:
        variant: a version of `loop.LOOPS`: A, B, B', repaired, or one of these with a part changed.
        role: prefill or decode. forward: sync (over when all have entered its all-to-all) or async.
        collective: where a collective of all ranks besides lies: at the "top", in the "middle", at the "end", or nowhere.
        traffic: requests come to all instances, or to the first only.
        fault: one engine stops for good, or pauses and is resumed; one rank is killed; the ranks are put to
            sleep, and woken; a control request that all are to run together is put to one instance, to all, or to one that
            withdraws it after a time-out.
        fate: who ends and comes back when a rank or an engine dies, of `fate.FATES`; None and nobody comes back. deaths: how often one may.

    Raises:
        DefinitionError: an unknown choice or a bound that is too small, naming what there is.
    """
    choices: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("variant", variant, tuple(LOOPS)),
        ("role", role, ROLES),
        ("forward", forward, FORWARDS),
        ("collective", collective, COLLECTIVES),
        ("traffic", traffic, TRAFFIC),
        ("fault", fault, FAULTS),
        ("fate", fate, (None, *FATES)),
    ]
    for name, value, known in choices:
        if value not in known:
            raise DefinitionError(f"{name}={value!r}: choose one of {', '.join(map(str, known))}")
    if instances < 1 or ranks < 1 or deaths < 1:
        raise DefinitionError(f"instances={instances}, ranks={ranks}, deaths={deaths}: needs at least one of each")
    if fate is not None and fault is not None:
        raise DefinitionError(f"fate={fate!r}, fault={fault!r}: ask about one thing at a time")
    sleeps = fault in ("sleep", "sleep_and_wake")
    if sleeps and instances > 1:
        raise DefinitionError(f"fault={fault!r}: an instance sleeps by itself; give instances=1")
    controls = fault is not None and fault.startswith("control")
    if controls and collective != "middle":
        raise DefinitionError(f"fault={fault!r}: control requests wait for an all_gather; give collective='middle'")
    system = Round.create(LOOPS[variant], role, instances, ranks, fault == "kill", fate, deaths)
    gate = gate_machine(system, traffic)
    worker = RankTable(system, forward, collective, sleeps, controls).machine()
    machines = [gate, worker]
    if fault in ("stop", "pause"):
        machines.append(operator_machine(system, resumes=fault == "pause"))
    if fault == "kill":
        machines.append(fault_machine(system))
    if sleeps:
        machines.append(control_machine(system, wakes=fault == "sleep_and_wake"))
    if controls:
        machines.append(update_machine(system, everywhere=fault == "control_all", withdraws=fault == "control_withdrawn"))
    if system.fate is not None:
        machines += system.fate.machines()
    return System("expert_round", machines, _properties(system, gate, worker), doc=__doc__ or "")


def _properties(s: Round, gate: Machine, worker: Machine) -> list[Property]:
    batch, lead, meetings = s.batch, s.lead, s.meetings

    def works(j: Any) -> Any:
        return any_of(s.ranks, lambda r: forwards(j, r) & (batch[j, r] == Batch.REQUESTS) & (meetings.entered[j, r] == Call.NONE))

    def holds_batch(j: Any) -> Any:
        return any_of(s.ranks, lambda r: ~batch[j, r].is_none)

    def forwards(j: Any, r: Any) -> Any:
        return worker.at(j, r) == Rank.FORWARDING

    def checks(j: Any) -> Any:
        return gate.at(j).is_in(Gate.CHECKING, Gate.CHECKING_FORWARD) & ~s.stopped[j]

    def answers(j: Any) -> Any:
        return gate.at(j).is_in(Gate.SCHEDULING, Gate.GAVE_UP) | s.stopped[j]

    scheduling = any_of(s.instances, lambda j: (gate.at(j) == Gate.SCHEDULING) & holds_batch(j))
    # fmt: off
    properties = [
        never("no_crossed_collectives", meetings.is_crossed(), "P5: no two ranks wait for each other in different groups"),
        never("no_mismatched_collectives", meetings.mismatched, "P6: who meets has entered the same collective"),
        sometimes("some_rank_waits", s.any_rank(lambda j, r: meetings.entered[j, r] == Call.MEET), "a rank waits for the others of all instances"),
        always("rounds_drift_at_most_one", s.all_ranks(lambda j, r: lead[j, r] <= 1), "no rank begins a forward two ahead of another"),
        sometimes("some_rank_begins_ahead", s.any_rank(lambda j, r: lead[j, r] == 1), "a rank is one forward ahead of another"),
        never("no_schedule_during_forward", scheduling, "P3: schedule() does not run while a rank has a batch whose forward is not over"),
        sometimes("some_batch_forwarded", any_of(s.instances, works), "a forward with requests is over"),
        leads_to("batch_is_read", lambda j: s.queues.tasks[j] == Batch.REQUESTS, lambda j: s.queues.tasks[j].is_none, each=s.instances,
                 about="P4: requests that were put are read by every rank"),
        leads_to("batch_is_forwarded", lambda j: batch[j, 0] == Batch.REQUESTS, lambda j: batch[j, 0].is_none, each=s.instances,
                 about="P13: the forward of requests that were read ends, whatever the other instances do"),
        leads_to("gate_opens", checks, answers, each=s.instances, about="P11: a closed gate opens, or gives up with an answer"),
    ]
    # fmt: on
    if s.loop.asks and s.role == "decode":
        about = "requests that decode get their next forward"
        properties.append(leads_to("decoding_goes_on", lambda j: s.decoding[j, 0], lambda j: forwards(j, 0), each=s.instances, about=about))
    if any(row.event == "run_control" for row in worker.rows):
        about = "a control request that has been read is run, or withdrawn"
        properties.append(leads_to("control_ends", lambda j: s.waits[j, 0], lambda j: ~s.waits[j, 0], each=s.instances, about=about))
    if s.fate is not None:
        properties += _properties_of_fate(s, forwards)
    signal = s.forward_signal
    if signal is not None:
        about = "a signal that is up falls, unless the engine has given up"
        falls = leads_to("signal_falls", lambda j: signal[j], lambda j: ~signal[j] | (gate.at(j) == Gate.GAVE_UP), each=s.instances, about=about)
        properties.append(falls)
    return properties


def _properties_of_fate(s: Round, forwards: Callable[[Any, Any], Any]) -> list[Property]:
    """Where the dead come back."""
    m, generation, mixed = s.meetings, s.meetings.generation, s.meetings.mixed
    assert generation is not None and mixed is not None

    def waits(j: Any, r: Any) -> Any:
        return m.entered[j, r] != Call.NONE

    def begins_anew(j: Any, r: Any) -> Any:
        return forwards(j, r) & (s.batch[j, r] == Batch.REQUESTS) & ~waits(j, r) & (generation[j, r] > 0)

    # fmt: off
    return [
        never("generations_mixed", mixed, "no collective joins ranks of different generations"),
        leads_to("waits_end", waits, lambda j, r: ~waits(j, r), each=(s.instances, s.ranks), about="no rank waits in a collective for ever"),
        sometimes("some_forward_after_death", s.any_rank(begins_anew), "requests of the next generation are forwarded"),
    ]
    # fmt: on
