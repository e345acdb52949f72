"""A request's life in the resource manager, in the mixed and the decode role: preemption, abort, error, finish in two steps.

Five threads move the passive machine of a request (`request.py`) under RM.lock, one critical section a row: the intake, SCHED
(`scheduling.py`), TOK and FIN (`tokens.py`), and the control thread (`intake.py`). The worker (`rank.py`) is behind two queues, of tasks
and of reports, so that its slots lag behind the engine's. Versions are described in `variants.py`. Ours:

1. *Outputs carry (request, attempt)* and are credited to the owner of the slot if that is who produced them. A slot may be given to
   another as soon as the manager likes; what its former owner still produces is skipped.
2. *The end is a state.* The last token moves the request to FINISHING, which `schedule()` leaves alone: nobody preempts or aborts what has ended.
3. *An abort is a state that the owner acts on*: who waits goes at once; who runs is stopped by `schedule()`; TOK frees it when the
   stop is reported. Nothing is done by force.
4. *Freed at one place*, slot and blocks together, after the store.
5. *Whoever is answered is forgotten*, also after a failed preprocessing.
6. *Admission counts slots*: all that have one (#7141).
7. *What the worker may still write is kept*: slot and blocks of who is stopped are freed when TOK has the report of the stop. A step begun
   before the worker read the stop writes its blocks; on D P's messagers write the next owner's cache into a block from its reservation on,
   which no order of tasks holds back. With 1 it also mends what 2 mends: 2 is needed where the slot is another's at once (`late_finish`).

The head of `waiting` that was preempted has its slot, so it is not counted against the slots (the facts count it among those in `waiting`; taken
literally nobody preempted would come back when all slots are taken).
"""

from __future__ import annotations

from typing import Any

from ...combine import all_of, any_of, count
from ...expr import FALSE
from ...machine import Machine
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from .intake import Control, control, intake
from .manager import Answers, Manager
from .rank import WRITING, Content, Rank, rank
from .request import ASKED, IN_WAITING, OVER, PREEMPTED, PREFILLING, RUNNING, Stage
from .scheduling import Schedule, scheduling
from .tokens import finisher, token_processor

WAITS_ASKED = [ASKED[s] for s in (*IN_WAITING, Stage.READY) if s in ASKED]
"""Aborted, and waiting for a worker all the same."""


def build(variant: str = "repaired", role: str = "mixed", drains: bool = False, **bounds: Any) -> System:
    """The manager of one instance and its worker; `drains`: a pause waits until all is over. The rest: see `Manager`.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    m = Manager(variant, role, **bounds)
    content = Content(m)
    controls = [control(m, drains)] if m.aborts or drains else []
    sched, worker = scheduling(m), rank(m, content)
    machines = [m.machine, intake(m), sched, worker, token_processor(m), finisher(m), *controls]
    raised = sched.at() == Schedule.RAISED if not m.variant.counts_stopping and role == "mixed" else FALSE
    properties = [*_ownership(m, content), *_writes(m, content, worker), *_tokens(m), *_progress(m)]
    properties.append(never("slot_found_for_admitted", raised, "#7141: whoever is admitted finds a slot"))
    if drains:
        pauser = controls[0]
        properties.append(leads_to("pause_ends", pauser.at() == Control.DRAINING, pauser.at() == Control.DRAINED, about="H12, H15: a pause drains"))
    return System("lifecycle", machines, properties, doc=__doc__ or "")


def _ownership(m: Manager, c: Content) -> list[Property]:
    """P7 and S4."""
    s = Stage
    prepared = (s.RESERVED, s.RESERVED_ASKED, s.READY, s.READY_ASKED)
    keeps = (*prepared, *PREFILLING, *RUNNING, s.AGAIN, s.AGAIN_ASKED, *PREEMPTED, s.ABORTING, s.FINISHING)

    def slots(q: Any) -> Any:
        return count(m.slot, lambda i: m.slot_owner[i] == q)

    def shared(i: Any) -> Any:
        return any_of(m.slot, lambda j: (i < j) & any_of(m.block, lambda b: c.block[i, b] & c.block[j, b] & c.held[i].is_in(*WRITING)))

    def kept(q: Any) -> Any:
        has = m.machine.at(q).is_in(*keeps)
        return ((has & (slots(q) == 1)) | (~has & (slots(q) == 0))) & (has | (m.machine.at(q) == s.ENDING) | (m.table_size(q) == 0))

    return [
        always("slots_and_blocks_kept", all_of(m.request, kept), "S4, S7: a request has one slot as long as its stage says, and no block after"),
        never("no_block_shared", any_of(m.slot, shared), "P7: no step writes one block for two requests"),
        sometimes("some_preempted", any_of(m.request, lambda q: m.machine.at(q).is_in(*PREEMPTED, s.AGAIN)), "twin: a request is preempted"),
        sometimes("some_aborting", any_of(m.request, lambda q: m.machine.at(q) == s.ABORTING), "twin: a running request is stopped"),
    ]


def _writes(m: Manager, c: Content, worker: Machine) -> list[Property]:
    """P7, for the time that a step takes."""
    stepping = worker.at() == Rank.FORWARDING

    def writes(i: Any) -> Any:
        return stepping & c.held[i].is_in(*WRITING)

    def lost(i: Any) -> Any:
        owner = c.request[i]
        return any_of(m.block, lambda b: c.block[i, b] & ((m.block_owner[b] != owner) | (m.number[owner.value] != c.number[i])))

    def stopped(i: Any) -> Any:
        return m.machine.at(c.request[i].value).is_in(*PREEMPTED, Stage.ABORTING)

    return [
        never("no_lost_block_written", any_of(m.slot, lambda i: writes(i) & lost(i)), "P7, S4: what a step writes is its request's until it ends"),
        sometimes("some_stopped_written", any_of(m.slot, lambda i: writes(i) & stopped(i)), "twin: a request is stopped during a step that runs it"),
    ]


def _tokens(m: Manager) -> list[Property]:
    """P8 and P10."""
    answered = all_of(m.request, lambda q: (m.machine.at(q) == Stage.GONE) & (m.answers[q] == Answers.ONE))

    def retried(q: Any) -> Any:
        return (m.number[q] > 0) & (m.machine.at(q) == Stage.GONE) & (m.answers[q] == Answers.ONE)

    return [
        never("no_foreign_token", m.foreign.cell(), "P8: a token is credited to who produced it, in the turn that did"),
        never("no_step_dropped", m.dropped.cell(), "H23: a step's outputs are never dropped"),
        never("no_run_after_answer", m.zombie.cell(), "H23: who was told the end does not run again"),
        never("no_run_after_skipped_end", m.late_zombie.cell(), "H23, in its order: told the end, preempted, skipped by FIN, run again"),
        never("no_retry_refused", m.refused.cell(), "H15: an id that was answered may be used again"),
        sometimes("some_retry_ends", any_of(m.request, retried), "twin: an id is used again, and answered"),
        never("no_second_answer", any_of(m.request, lambda q: m.answers[q] == Answers.TWO), "P10: one terminal answer"),
        sometimes("some_run_ends", answered, "twin: all requests end, each with one answer"),
    ]


def _progress(m: Manager) -> list[Property]:
    """P12 and P14."""

    def is_over(q: Any) -> Any:
        return m.machine.at(q).is_in(*OVER)

    def is_asked(q: Any) -> Any:
        return m.machine.at(q).is_in(*ASKED.values(), Stage.ABORTING)

    return [
        leads_to("requests_end", lambda q: ~is_over(q), is_over, each=m.request, about="P12, S7: every request ends, and is forgotten"),
        leads_to("answered_is_freed", lambda q: m.answers[q] != Answers.NONE, is_over, each=m.request, about="H-41, S7: who was answered is freed"),
        leads_to("aborts_end", is_asked, is_over, each=m.request, about="P14: an abort ends"),
        never("no_chunk_after_abort", m.late_chunk.cell(), "H12: nothing more is computed of a prompt that was aborted"),
        never("no_abort_waits", any_of(m.request, lambda q: m.machine.at(q).is_in(*WAITS_ASKED)), "H12: who waits for a worker ends with the abort"),
    ]
