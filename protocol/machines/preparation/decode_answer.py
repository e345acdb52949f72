"""P.IO: what P does with an answer of D, and P's side after preparation.

Before the repair the handler stores the answer under the request's id, whoever waits for it, or nobody: a late answer
creates the key anew (H22). Ours: the answer concerns a request in a state, under P's lock, and an attempt; a grant that is not
wanted any more goes back as a cancellation.

There are four handler threads. One per request is modelled: with at most four requests none waits for another.

`serve` is everything from the schedule to the first token: P needs nothing for it but what the request holds, so it always
drains. Its races are the subject of the groups "layer0-signal" and "sending".
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import choice, if_else, me
from ...effect import Effect, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL
from ...variable import private
from .instances import Half, Instances, Key, Stage

_row = partial(Row, actor="prefill")


class DecodeAnswer(IntEnum):
    """The thread that handles D's answer is ..."""

    IDLE, STORING, PUTTING = range(3)


class Reply(IntEnum):
    """The thread that handles D's answer is ..."""

    IDLE, CANCELLING = range(2)


class PrefillService(IntEnum):
    """The rest of P is ..."""

    RUNNING = 0


def decode_answer(i: Instances) -> Machine:
    """P.IO before the repair: take the message, store the answer."""
    q, d = me(i.request), DecodeAnswer
    held = private("answer_held", BOOL, over=i.request)
    rows = []
    for granted, event in ((True, "take_grant"), (False, "take_refusal")):
        take = [i.answers.receive(i.answer(request=q, attempt=0, granted=granted)), held[q].set(granted)]
        rows.append(_row(event, d.IDLE, d.STORING, TRUE, take, cite="4.5"))
    answer = i.key[q].set(if_else(held[q], Key.FINISHED, Key.ERROR))
    store = partial(_row, "store_answer", d.STORING, cite="4.5: creates the key if absent; H22")
    if i.bounds.messager:
        home = i.home[q]
        put = [*i.put_halves(home, lambda j: if_else(j == q, Half.DECODE, Half.NONE)), held[q].set(False)]
        rows += [
            store(d.PUTTING, held[q], [answer]),
            store(d.IDLE, ~held[q], [answer]),
            _row("put_decode_half", d.PUTTING, d.IDLE, i.infos_read[home], put, under=i.infos_lock[home], cite="4.5: status first, put second"),
        ]
    else:
        rows.append(store(d.IDLE, TRUE, [answer, held[q].set(False)]))
    return Machine("decode_answer", d, rows, copies=i.request, final=d.IDLE, doc="P.IO: one `cache_sync` from D (4.5).")


def reply(i: Instances) -> Machine:
    """P.IO, ours: the answer moves the request on, or is cancelled."""
    q, r, a = me(i.request), Reply, choice("attempt", i.attempt)
    p = i.home[q]
    stage, tried = i.stage[p, q], i.tried[p, q]
    number = private("unwanted_attempt", i.attempt, over=i.request)
    current = (a == tried) if i.variant.numbered else TRUE
    waits = (stage == Stage.ASKED) & current
    more = tried < i.bounds.tries - 1 if i.variant.bounded else TRUE
    over = ~current | stage.is_in(Stage.QUEUED, Stage.FAILED, Stage.GIVEN_UP)
    again: list[Effect | tuple[Effect, ...]] = [stage.set(Stage.QUEUED), when(tried < i.bounds.tries - 1, tried.add(1))]

    def take(event: str, granted: bool, guard: Expr, effects: list, to: Reply = r.IDLE, cite: str = "ours") -> Row:
        message = i.answers.receive(i.answer(request=q, attempt=a, granted=granted))
        return _row(event, r.IDLE, to, guard, [message, *effects], choose=(a,), under=i.resources[p], cite=cite)

    rows = [
        take("accept_grant", True, waits, [stage.set(Stage.GRANTED), i.granted[q].set(True)]),
        take("queue_again", False, waits & more, again, cite="ours: refused requests go back to the queue"),
        take("refuse_for_good", False, waits & ~more, [stage.set(Stage.FAILED)], cite="ours: a bounded number of tries"),
        take("ignore_grant", True, ~waits & ~over if i.variant.cancels else ~waits, []),
        take("ignore_refusal", False, ~waits, []),
    ]
    if i.variant.cancels:
        rows += [
            take("find_unwanted", True, ~waits & over, [number[q].set(a)], r.CANCELLING, "ours: nobody waits for it any more, S7"),
            _row("cancel", r.CANCELLING, r.IDLE, TRUE, [i.cancels.send(i.ask(request=q, attempt=number[q])), number[q].set(0)], cite="ours: S7"),
        ]
    return Machine("reply", r, rows, copies=i.request, final=r.IDLE, doc="P.IO: one answer of D, ours.")


def prefill_service(i: Instances) -> Machine:
    """P.S, workers, messager, P.T, P.FIN of one prefill instance."""
    p, q, s = me(i.prefill), choice("request", i.request), PrefillService.RUNNING
    ready = i.stage[p, q] == Stage.RUNNING
    effects = [i.stage[p, q].set(Stage.DONE), i.first_tokens.send(q), i.ended[q].set(True)]
    rows = [_row("serve", s, s, ready, effects, choose=(q,), under=i.resources[p], cite="4.8 .. 4.10")]
    return Machine("prefill_service", PrefillService, rows, copies=i.prefill, final=s, doc="P from the schedule to the first token (4.8 .. 4.10).")
