"""A reservation at D as published: asked for by id, granted, written into, committed by the first token; who gives it back?

Composition of `asking` (P.F, P.IO, P.T), `cache_writer` (MA, MS), `decode_loop` (D.L, D.MON, the end of decoding) over the
variables of `wires`, with the environment of `faults`. The repaired protocol is `lease.py`; properties of the same name
are the same in both.

What the model says beside the facts:

- H-12 needs no slow reservation: the second ask may lie in the network until the request is decoding. It then overwrites the
  entry of a *running* request, which decodes on from an empty place.
- A second half merged into a task that is being sent has three outcomes: all is sent again to the new place, when its mark is
  reset between two layers; the layers stay in the old place, in part or all, when the merge falls between two layers and the reset
  after the last; an assertion fails and the batch is abandoned, when the reset falls between a write and its mark (H-12).
- A time-out that has been decided deletes the key whatever it holds by then: an answer that came between the look and the
  deletion is thrown away, and the place with it.
- D reserves for an id whose client is gone (D restarted, H-38): it looks for the client at the insertion only.
- The first token carries no attempt: after D.MON has taken the place back and the client has posted the id again, the token
  of the first life is inserted into the empty place of the second.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, count, if_else, me
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, always, hang, leads_to, never, sometimes
from ...system import System
from ...types import Range
from ...variable import private
from .asking import FirstToken, Handler, asker, first_token, handler
from .cache_writer import registrar, sender
from .decode_loop import decode_loop, decoding, monitor
from .faults import crashes, lossy
from .terms import Client
from .wires import Answer, Half, Wires


class Life(IntEnum):
    """The client has its request ..."""

    AT_HOME, POSTED, WAITING = range(3)


def build(
    variant: str = "single",
    requests: int = 1,
    lives: int = 1,
    ranks: int = 1,
    layers: int = 2,
    decode_places: int = 1,
    handlers: int = 1,
    time_outs: int = 0,
    aborts: int = 0,
    in_flight: int = 2,
    losses: int = 0,
    write_errors: int = 0,
    prefill_crashes: int = 0,
    decode_crashes: int = 0,
    rank_crashes: int = 0,
) -> System:
    """The published reservation at these bounds (see `Wires`).

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    bounds = {k: v for k, v in locals().items() if k != "variant"}
    w = Wires(variant, **bounds)
    machines = [_client(w), asker(w), handler(w), registrar(w), sender(w), first_token(w), decode_loop(w), decoding(w)]
    if w.version.reclaims:
        machines.append(monitor(w))
    machines += lossy((w.to_decode, w.to_prefill), losses) + crashes(w.mortals())
    return System(f"reservation_{variant}".replace("-", "_"), machines, _properties(w, machines[2], machines[5]), doc=__doc__ or "")


def _client(w: Wires) -> Machine:
    """The router for one id: posts to P and D, and once it has D's answer the client may post the id again (H-20, H-42)."""
    q, c = me(w.request), Life
    left = private("lives_left", Range(0, w.bounds["lives"]), over=w.request, init=w.bounds["lives"])[q]
    rows = [
        Row("post_to_decode", c.AT_HOME, c.POSTED, left > 0, [w.decode_posts[q].send(True), left.sub(1)], "router", fair="weak", cite="1.3"),
        Row("post_to_prefill", c.POSTED, c.WAITING, TRUE, [w.prefill_posts[q].send(True)], "router", fair="weak", cite="1.3"),
        Row("take_answer", c.WAITING, c.AT_HOME, TRUE, [w.results[q].receive()], "router", fair="weak", cite="1.3"),
    ]
    return Machine("client", c, rows, copies=w.request, environment=True, doc="the router, on behalf of the clients")


def _properties(w: Wires, handling: Machine, tokens: Machine) -> list[Property]:
    """Safety (S1, S4, S5, S7, P10), progress (L2, L3, S7) and the witnesses; named as in `lease.py` where they are the same."""
    every, some, c = partial(all_of, w.request), partial(any_of, w.request), Client

    def is_filled(q: Expr) -> Expr:
        return w.table[q].is_none | w.is_complete(w.table[q].value)

    def places_of(q: Expr) -> Expr:
        return count(w.place, lambda p: w.holder[p] == q)

    def arrived(q: Expr) -> Expr:
        return w.decoded_once[q] | (w.client[q] == c.ONE_ANSWER)

    putting, idle = Handler.PUTTING, every(lambda q: w.answer[q] == Answer.ABSENT)
    return [
        hang(about="L3: nobody waits for ever"),
        never("foreign_write", w.foreign.cell(), about="S5: a write into a place that is not reserved for that id"),
        never("other_overwritten", w.overwritten.cell(), about="S5: a write into a place that another request holds"),
        never("stale_half_merged", w.stale_merged.cell(), about="S3: P's half meets the half of the reservation that D has now"),
        always("decoded_only_when_written", every(lambda q: ~w.decoding[q] | is_filled(q)), about="S1, for every rank and layer"),
        always("decode_places_kept", every(lambda q: places_of(q) == if_else(w.table[q].is_none, 0, 1)), about="S4, S7: no place without an entry"),
        always("decoding_keeps_place", every(lambda q: ~w.decoding[q] | ~w.table[q].is_none), about="S5 at D: what runs has its blocks"),
        leads_to("answered", lambda q: w.client[q] == c.NO_ANSWER, lambda q: w.client[q] == c.ONE_ANSWER, each=w.request, about="L2"),
        leads_to("places_returned", lambda p: ~w.holder[p].is_none, lambda p: w.holder[p].is_none, each=w.place, about="S7 at D"),
        leads_to("keys_forgotten", ~idle, idle, about="S7 at P: current_request_ids is empty in the end"),
        leads_to(
            "halves_forgotten",
            any_of(w.rank, lambda r: some(lambda q: w.cache_info[r, q].half != Half.NONE)),
            all_of(w.rank, lambda r: every(lambda q: w.cache_info[r, q].half == Half.NONE)),
            about="S7 at the messager: cache_info is empty in the end",
        ),
        leads_to("first_tokens_arrive", lambda q: tokens.at(q) == FirstToken.SENDING, arrived, each=w.request, about="9.3: what P has computed"),
        leads_to("answers_handled", lambda h: handling.at(h) == putting, lambda h: handling.at(h) == Handler.IDLE, each=w.handler, about="9.6"),
        sometimes("some_all_decoded", every(lambda q: w.decoded_once[q]), about="a run in which every request is decoded"),
    ]
