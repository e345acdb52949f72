"""The layer-wise send with chunks, batches and errors: from the hand-over of the cache task to P's answer.

What stands beside `hand_over.layer0_signal` and is not there: prompts of several chunks (H-04b), batches steered by their head with
a request that is not registered or whose link fails (H-02, H-15), errors before the last chunk (H-16), the other answers to the
open questions Q2 and Q3.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, always, deadlock, leads_to, never, sometimes
from ...system import System
from ...types import BOOL
from ...variable import private
from .forward import Worker, prepare, schedule, worker
from .messager import Consumer, consumer, registrar
from .pipeline import Pipeline, member
from .sender import Sender, sender


class Tokens(IntEnum):
    """The token processor is ..."""

    READING, COLLECTING = range(2)


class Links(IntEnum):
    """The links are ..."""

    WHOLE, BROKEN = range(2)


def build(
    epoch: str = "repaired",
    ranks: int = 2,
    requests: int = 1,
    chunks: int = 1,
    layers: int = 1,
    failure: str = "none",
    victims: int = 1,
    idle: int = 0,
    token_room: int = 0,
    barrier_kept: bool = True,
) -> System:
    """The send pipeline at these bounds; see `pipeline.Pipeline`.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    p = Pipeline(epoch, ranks, requests, chunks, layers, failure, victims, idle, token_room, barrier_kept)
    sending = sender(p)
    working, consuming = worker(p), consumer(p)
    machines = [prepare(p), schedule(p), working, registrar(p), consuming, sending, token_processor(p)]
    if failure in ("connect", "write"):
        machines.append(links(p))
    return System("chunked_send", machines, _properties(p, working, consuming, sending), doc=__doc__ or "")


def links(p: Pipeline) -> Machine:
    """At some moment one rank's link breaks for good."""
    r = choice("rank", p.rank)
    rows = [Row("break_link", Links.WHOLE, Links.BROKEN, TRUE, [p.broken[r].set(True)], "network", choose=(r,), decided="observed", cite="9.5")]
    return Machine("links", Links, rows, final=(Links.WHOLE, Links.BROKEN), environment=True, doc="The fault: a broken link.")


def token_processor(p: Pipeline) -> Machine:
    """P.T: takes first tokens and waits for the report of each, the lowest request of a step first (4.9)."""
    t, q = Tokens, choice("request", p.request)
    awaited, known = private("awaited", BOOL, over=p.request), private("known_finished", BOOL, over=p.request)
    read = [each(p.request, lambda i: awaited[i].set(member(p.tokens.cell().head, i))), p.tokens.receive()]
    turn = awaited[q] & all_of(p.request, lambda i: (i >= q) | ~awaited[i])
    answer = [awaited[q].set(False), p.answered[q].set(True), when(p.error[q], p.failed_answer[q].set(True)), p.error[q].set(False)]
    full = all_of(p.rank, lambda r: p.finished_by[r])
    take = [p.finished.set(None), *(p.finished_by[r].set(False) for r in p.rank)]
    step = partial(Row, actor="prefill", choose=(q,), under=p.finished_lock)
    rows = [
        Row("read_tokens", t.READING, t.COLLECTING, TRUE, read, "prefill", cite="4.9, CH9"),
        Row("end_step", t.COLLECTING, t.READING, all_of(p.request, lambda i: ~awaited[i]), [], "prefill", cite="4.9"),
    ]
    if p.epoch.ours:
        whole = all_of(p.rank, lambda r: p.reported[q, r])
        forget = [p.reported[q, r].set(False) for r in p.rank]
        rows.append(step("answer", t.COLLECTING, t.COLLECTING, turn & whole, [*answer, *forget], cite="ours: CH4 by request"))
    else:
        others = each(p.request, lambda i: when((p.finished == i) & (q != i), known[i].set(True)))
        now, before = turn & full & ((p.finished == q) | known[q]), turn & p.finished.is_none & known[q]
        note = each(p.request, lambda i: when(p.finished == i, known[i].set(True)))
        unknown = turn & full & (p.finished != q) & ~known[q]
        rows += [
            step("answer", t.COLLECTING, t.COLLECTING, now, [*answer, *take, others, known[q].set(False)], cite="4.9, CH4"),
            step("answer_known", t.COLLECTING, t.COLLECTING, before, [*answer, known[q].set(False)], cite="4.9"),
            step("collect_other", t.COLLECTING, t.COLLECTING, unknown, [*take, note], cite="4.9, CH4"),
        ]
    return Machine("token_processor", t, rows, final=t.READING, doc="P.T: answers when the cache is sent (4.9).")


def _properties(p: Pipeline, working: Machine, consuming: Machine, sending: Machine) -> list[Property]:
    def sent_everywhere(q: Expr) -> Expr:
        return all_of(p.rank, lambda r: p.sent[r, q] == p.chunks)

    def has_item(r: Expr, registered: bool) -> Expr:
        return any_of(p.request, lambda q: (p.in_hand[r, q] != 0) & (p.registered[r, q] == registered))

    answers = all_of(p.request, lambda q: p.answered[q])
    early = any_of(p.request, lambda q: p.answered[q] & ~p.failed_answer[q] & ~sent_everywhere(q))
    found = [
        deadlock(about="L3"),
        never("answered_unsent", early, about="S1: answered without an error, and some rank has not sent all chunks"),
        never("batch_abandoned", p.abandoned, about="no assertion of the sender fails"),
        never("registered_request_dropped", p.dragged, about="no request is dropped for another that is not registered"),
        sometimes("some_run_answers_all", answers, about="twin of the safety properties"),
        leads_to("first_tokens_answered", lambda q: p.produced[q], lambda q: p.answered[q], each=p.request, about="L1"),
        leads_to(
            "signals_consumed",
            lambda r: consuming.at(r) == Consumer.APPLYING,
            lambda r: consuming.at(r) == Consumer.POLLING,
            each=p.rank,
            about="MC gets on, so that the queue of signals and the worker's stream do",
        ),
        leads_to(
            "forwards_end", lambda r: working.at(r) != Worker.IDLE, lambda r: working.at(r) == Worker.IDLE, each=p.rank, about="the worker gets on"
        ),
    ]
    if not p.epoch.ours:
        met = all_of(p.rank, lambda r: sending.at(r) == Sender.MEETING)
        differ = any_of(p.rank, lambda r: any_of(p.request, lambda q: (p.in_hand[0, q] != 0) != (p.in_hand[r, q] != 0)))
        found.append(always("work_items_agree", ~(met & differ), about="P1: the ranks begin to send the same requests together"))
        kept = any_of(p.rank, lambda r: (sending.at(r) == Sender.FINDING) & has_item(r, registered=True) & has_item(r, registered=False))
        found.append(never("registered_request_waits", kept, about="no request waits in the sender's hand for another's registration"))
    return found
