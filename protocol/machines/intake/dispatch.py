"""Dispatch: is a request that the data-parallel scheduler cannot take answered at all?

`DPScheduler.put_requests` puts a request into the queue of its instance and tells the caller that it is in; the thread DP-in
moves it from there to the instance's own scheduler, whose `put_requests` refuses it when the list is full or the id is known
(facts section 5). The wrapper does not look at that answer. Requests are told apart by ticket; with `duplicate` the last
ticket carries the id of the first.

Left out: the mutex across several rows (each critical section touches nothing but the list, and is one row), cursor and
batches, which `batching.py` and `recycle.py` ask about.
"""

from __future__ import annotations

from enum import IntEnum

from ...combine import all_of, any_of, choice, count
from ...expr import FALSE, Expr
from ...machine import Machine, Row
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Range
from ...variable import Lock, channel, ghost, locked, private
from ..arguments import one_of, within


class Client(IntEnum):
    """The thread that takes requests from the network is ..."""

    SENDING, DONE = range(2)


class Mover(IntEnum):
    """DP-in is ..."""

    MOVING, REFUSING = range(2)


class Server(IntEnum):
    """What stands for everything between the list and the result is ..."""

    SERVING = 0


class Receiver(IntEnum):
    """DP-out, with the client behind it, is ..."""

    RECEIVING = 0


def build(variant: str = "repaired", requests: int = 3, room: int = 2, duplicate: bool = False) -> System:
    """One instance behind the wrapper.

    Args:
        variant: published (the result of the inner `put_requests` is ignored) or repaired (it is sent to the client).
        requests: how many come. room: max_size of the inner scheduler. duplicate: the last has the id of the first.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(("published", "repaired"), variant=variant)
    within(1, 4, requests=requests, room=room)
    ticket = Index("ticket", requests)
    mutex = Lock("scheduler_mutex", cite="facts 5: M")
    known = locked("scheduler_requests", BOOL, mutex, over=ticket, cite="facts 5: requests")
    queue = channel("request_queue", ticket, requests, cite="facts 5: request_queues[dp_rank], a multiprocessing Queue")
    answers = channel("result_queue", ticket, requests, cite="facts 5: result_queue")
    answered, lost, refused = (ghost(name, BOOL, over=ticket) for name in ("request_answered", "request_lost", "request_refused"))
    following, in_hand, t = private("client_next", Range(0, requests)), private("mover_ticket", ticket), choice("ticket", ticket)
    last = following == requests - 1
    full = count(ticket, lambda i: known[i]) >= room
    twin: Expr = ((queue.head == requests - 1) & known[0]) if duplicate and requests > 1 else FALSE
    refuses = full | twin
    tells = variant == "repaired"
    c, m = Client, Mover
    refuse = [in_hand.set(queue.head), refused[queue.head].set(True)] if tells else [lost[queue.head].set(True)]
    # fmt: off
    client = Machine("client", c, [
        Row("put",      c.SENDING, c.SENDING, ~last, [queue.send(following), following.add(1)], "client", cite="facts 5: DPScheduler.put_requests"),
        Row("put_last", c.SENDING, c.DONE,    last,  [queue.send(following), following.add(1)], "client", cite="facts 5: DPScheduler.put_requests"),
    ], final=c.DONE, doc="the caller of `DPScheduler.put_requests`, which always answers: it is in")
    moves = [
        Row("move",   m.MOVING, m.MOVING, ~refuses, [known[queue.head].set(True), queue.receive()], "prefill", under=mutex, cite="facts 5: DP-in"),
        Row("refuse", m.MOVING, m.REFUSING if tells else m.MOVING, refuses, [*refuse, queue.receive()], "prefill", under=mutex,
            cite="facts 5: queue full or duplicate; the result is ignored"),
    ]
    if tells:
        moves.append(Row("answer_error", m.REFUSING, m.MOVING, True, [answers.send(in_hand), in_hand.set(0)], "prefill", cite="ours"))
    mover = Machine("dp_in", m, moves, final=m.MOVING, doc="DP-in: from the queue of the instance to its scheduler")
    server = Machine("server", Server, [
        Row("finish", Server.SERVING, None, known[t], [known[t].set(False), answers.send(t)], "prefill", choose=(t,), under=mutex,
            cite="facts 5: get_results"),
    ], final=Server.SERVING, doc="takes, runs and finishes requests: fetch, prefill, decode and OUT in one row")
    receiver = Machine("dp_out", Receiver, [
        Row("deliver", Receiver.RECEIVING, None, True, [answered[answers.head].set(True), answers.receive()], "client", cite="facts 5: DP-out"),
    ], final=Receiver.RECEIVING, doc="DP-out: results to the client")
    # fmt: on
    properties: list[Property] = [
        never("no_request_lost", any_of(ticket, lambda i: lost[i]), about="EW-P10, CH-L2: an accepted request is not dropped in silence"),
        always("list_within_room", count(ticket, lambda i: known[i]) <= room, about="max_size is kept"),
        leads_to("requests_answered", lambda i: following > i, lambda i: answered[i], each=ticket, about="EW-P12, CH-L2"),
        sometimes("some_run_answers_all", all_of(ticket, lambda i: answered[i]), about="twin of the questions about answers"),
        sometimes("some_list_full", full, about="twin of the questions about room"),
    ]
    return System(f"dispatch_{variant}_{requests}", [client, mover, server, receiver], properties, doc=__doc__ or "")
