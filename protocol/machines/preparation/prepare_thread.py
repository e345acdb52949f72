"""A prepare thread of P before the repair (P.F of E0; P.F1 .. FN of E1): it waits for D itself, with its whole batch.

A batch is the first requests of the queue, in order, one up to `batch`: `available_batch()` is read without a lock, and may say
any number. Its requests become schedulable together, when all of them have P's blocks and D's grant. How the thread waits for D:

- *continuous* (PREFILL_CONTINUOUS_REQUEST_DECODE_RESOURCES=1): one request after the other; it takes P's blocks, asks, waits,
  and asks again when refused, without end and without giving its blocks back.
- *once* (=0): it takes blocks and asks for all of the batch, then collects the answers; a request that was refused gets an
  error, and its blocks go back.
- *cache_task* (`enable_decode_cache_task`): it asks and goes on at once.

`check_decode_allocated` looks at the key and then deletes it: two accesses to a dict without a lock, hence two rows, and P.IO
may store between them. A time-out may strike at any look that finds "init", but only `timeouts` times a thread: each more
would only be one more of the same.

Left out: asynchronous preprocessing (H-09 is another group's), pause, and the sleep between two looks.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, count, if_else, me
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Range
from ...variable import private
from .instances import Half, Instances, Key, Stage

_row = partial(Row, actor="prefill")


class Prepare(IntEnum):
    """The thread is ..."""

    IDLE, HOLDING, MARKING, SENDING, WAITING, GRANTED, REFUSED, FAILING, RECYCLING, REGISTERING, ACKNOWLEDGING, ADDING = range(12)


class PrepareTable:
    """The rows of one kind of thread; private: its batch, and what of it is still to be done in this phase."""

    def __init__(self, instances: Instances):
        self.i = i = instances
        copies = (i.prefill, i.thread)
        self.me = (me(i.prefill), me(i.thread))
        self.batch = private("batch", BOOL, over=(*copies, i.request))
        self.todo = private("batch_todo", BOOL, over=(*copies, i.request))
        self.timeouts = private("timeouts_left", Range(0, i.bounds.timeouts), over=copies, init=i.bounds.timeouts)
        self.q = choice("request", i.request)
        self.head = self.todo[*self.me, self.q] & all_of(i.request, lambda j: (j >= self.q) | ~self.todo[*self.me, j])
        self.last = all_of(i.request, lambda j: (j == self.q) | ~self.todo[*self.me, j])
        self.prepared = Prepare.REGISTERING if instances.bounds.messager else Prepare.ADDING
        self.done = self.todo[*self.me, self.q].set(False)

    def machine(self) -> Machine:
        """P.F, P.F1 .. FN."""
        rows = [*self._take_rows(), *self._ask_rows(), *self._end_rows()]
        return Machine("prepare", Prepare, rows, copies=(self.i.prefill, self.i.thread), final=Prepare.IDLE, doc="P.F: a prepare thread (5.1, 5.2).")

    def _take_rows(self) -> list[Row]:
        i, p, (home, _), q = self.i, Prepare, self.me, self.q
        size = choice("size", Range(1, i.bounds.batch))

        def is_taken(j: Expr) -> Expr:
            return i.queued[home, j] & (count(i.request, lambda k: (k < j) & i.queued[home, k]) < size)

        taken = each(
            i.request, lambda j: when(is_taken(j), i.queued[home, j].set(False), self.batch[*self.me, j].set(True), self.todo[*self.me, j].set(True))
        )
        enough = count(i.request, lambda j: i.queued[home, j]) >= size
        fits = self.head & i.has_room(home, q)
        # fmt: off
        return [
            _row("fetch", p.IDLE,    p.HOLDING, enough, [taken], choose=(size,),          under=i.queue_lock[home], cite="4.2"),
            _row("hold",  p.HOLDING, p.MARKING, fits, [i.stage[home, q].set(Stage.HELD)], choose=(q,), under=i.resources[home], cite="4.3; H-07"),
        ]
        # fmt: on

    def _ask_rows(self) -> list[Row]:
        """Ask D and wait: the part that differs between the three ways."""
        i, p, q, head = self.i, Prepare, self.q, self.head
        key, message = i.key[q], i.ask(request=q, attempt=0)
        mark = partial(_row, "mark_asked", p.MARKING, p.SENDING, head, [key.set(Key.INIT), i.asked(q)], choose=(q,), cite="4.4")
        send = partial(_row, "send_ask", p.SENDING, choose=(q,), cite="4.4, CH7")
        asked = i.asks.send(message)
        if i.bounds.waits == "cache_task":
            return [mark(), send(p.HOLDING, head & ~self.last, [asked, self.done]), send(self.prepared, head & self.last, [asked, self.done])]
        if i.bounds.waits == "continuous":
            rows = [mark(), send(p.WAITING, head, [asked])]
        else:
            again = each(i.request, lambda j: self.todo[*self.me, j].set(self.batch[*self.me, j]))
            rows = [mark(), send(p.HOLDING, head & ~self.last, [asked, self.done]), send(p.WAITING, head & self.last, [asked, again])]
        return [*rows, *self._look_rows()]

    def _look_rows(self) -> list[Row]:
        i, p, q, head = self.i, Prepare, self.q, self.head
        continuous, key = i.bounds.waits == "continuous", i.key[q]
        look = partial(_row, source=p.WAITING, choose=(q,))
        expired = [self.timeouts[self.me].sub(1)]
        forget = [key.set(Key.ABSENT)]
        more = p.HOLDING if continuous else p.WAITING
        # fmt: off
        rows = [
            look("see_grant",   destination=p.GRANTED, guard=head & (key == Key.FINISHED), effects=[i.granted[q].set(True)], cite="4.6"),
            look("see_refusal", destination=p.REFUSED, guard=head & (key == Key.ERROR),                                      cite="4.6"),
            look("time_out",    destination=p.REFUSED, guard=head & (self.timeouts[self.me] > 0) & (key == Key.INIT), effects=expired,
                 decided="timer", fair="none", cite="4.6: 30 s; H22, H-12"),
            _row("take_grant",      p.GRANTED, more,     head & ~self.last, [*forget, self.done], choose=(q,), cite="4.6"),
            _row("take_last_grant", p.GRANTED, self.prepared, head & self.last,  [*forget, self.done], choose=(q,), cite="4.6"),
        ]
        # fmt: on
        if continuous:
            return [*rows, _row("ask_again", p.REFUSED, p.MARKING, head, forget, choose=(q,), cite="4.6: keeps its blocks; H-07c, H16")]
        return [*rows, _row("give_up", p.REFUSED, p.FAILING, head, forget, choose=(q,), cite="4.6"), *self._fail_rows()]

    def _fail_rows(self) -> list[Row]:
        """An error result to P's own scheduler, then `pre_recycle_resource`."""
        i, p, (home, _), q = self.i, Prepare, self.me, self.q
        recycle = [i.stage[home, q].set(Stage.GIVEN_UP), self.batch[*self.me, q].set(False), self.done]
        alone = all_of(i.request, lambda j: (j == q) | ~self.batch[*self.me, j])
        step = partial(_row, "recycle", p.RECYCLING, choose=(q,), under=i.resources[home], cite="4.6: pre_recycle_resource")
        return [
            _row("put_error", p.FAILING, p.RECYCLING, self.head, i.end_with_error(q), choose=(q,), cite="4.6; H-38"),
            step(p.WAITING, self.head & ~self.last, recycle),
            step(self.prepared, self.head & self.last & ~alone, recycle),
            step(p.IDLE, self.head & self.last & alone, recycle),
        ]

    def _end_rows(self) -> list[Row]:
        i, p, home = self.i, Prepare, self.me[0]
        run = each(i.request, lambda j: when(self.batch[*self.me, j], i.stage[home, j].set(Stage.RUNNING), self.batch[*self.me, j].set(False)))
        rows = self._register_rows() if i.bounds.messager else []
        return [*rows, _row("add_to_running", p.ADDING, p.IDLE, TRUE, [run], under=i.resources[home], cite="4.8: the whole batch at once; H-07")]

    def _register_rows(self) -> list[Row]:
        """CH2: P's halves of the whole batch; E0: then the acknowledgement of each."""
        i, p, home = self.i, Prepare, self.me[0]
        put = i.put_halves(home, lambda j: if_else(self.batch[*self.me, j], Half.PREFILL, Half.NONE))
        may_put, lock = i.infos_read[home], i.infos_lock[home]
        register = partial(_row, "put_prefill_halves", p.REGISTERING, guard=may_put, effects=put, under=lock, cite="4.7, CH2")
        if not i.variant.single:
            return [register(destination=p.ADDING)]
        added = all_of(i.request, lambda j: ~self.batch[*self.me, j] | i.added[home, j])
        collect = each(i.request, lambda j: when(self.batch[*self.me, j], i.added[home, j].set(False)))
        collected = _row("collect_acknowledgements", p.ACKNOWLEDGING, p.ADDING, added, [collect], under=i.added_lock[home], cite="5.1 F5, CH3")
        return [register(destination=p.ACKNOWLEDGING), collected]
