"""A lease of a place at D: asked for, granted, written into, committed, given back, whatever the network and a crash do.

The repaired protocol between P and D: `prefill_side` (an exchange a request), `writing` (P's messager ranks) and `decode_side`
(a reservation a request, the keeper of D's key) over the variables of `terms`, between `client` and `faults`. Each rule, what
it replaces in the published protocol (`reservation.py`), and the variant that leaves it out:

1. *Identity.* What is said carries (request, attempt), and what P says its generation too; D answers a repeated ask with the
   place that it holds for that attempt. Published: the id alone, and every ask reserves anew (H-12). `reserves-again`.
2. *Own grants.* P takes a grant only for the attempt that it is asking for; a late one is dropped, and brings back no entry
   (H-20, H22). `unnumbered`.
3. *Ask first.* P's place is taken when D has granted, request by request; refused, a request goes back to the queue (H-07).
   D's refusal is always said (9.1). With one P and one D nobody can wait in a circle; see `prefill_first` in `preparation`.
4. *Until answered.* Who waits repeats himself: P its ask, its commit and the end of an attempt, D its wish to have a place
   back (9.3, H-21 d). `unresent`.
5. *Confirmed commit.* P keeps a first token until D confirms it; D inserts it once and confirms it every time. `unacknowledged`.
6. *Drained.* P closes an attempt (COMMIT, DRAINED, FAILED) only when no living rank writes for it. `undrained`.
7. *D waits for that.* D wants a place back: it answers its client, keeps the place and says REVOKED until P has closed the
   attempt (H-13, H-27, D.MON). `reclaims-at-once`.
8. *Supersession.* What P says of a later attempt closes the earlier: an ask that was overtaken by its own end, and
   reserved after it, is found and given back (H-20). `unsuperseded`.
9. *Fence.* A restarted P has the next generation. Whatever it says first, or its death, makes D take a new key before it
   frees what the old generation held: the card refuses every write under the old key (9.7, H-13). So the old generation
   need not be asked, and the new one need not know it. `unfenced`.
10. *Withheld grants.* A grant that is still owed to a generation when it is fenced is not sent: it would carry the new key
    to a P that is cut off and lives. `grants-fenced`.
11. *A new key at D's start.* A restarted D holds nothing and knows nobody; writes for its former life are refused (9.3,
    H-13). `keeps-key`.
12. *Dead ranks are drained.* A rank that died writes nothing. Restarted it finds the orders that the engine still holds and
    starts them over; or the engine has failed the request, with one error (9.6). `awaits-dead-ranks`.
13. *Deadlines.* Every wait for the other side ends in one terminal answer (H-30, H-38). `patient`.
14. *One answer.* D answers when it ends a request or wants its place back, and not again (P10). `answers-twice`.
15. *One place of release.* P's place goes back wherever sending ends. `keeps-failed`.

Why rule 8 and no list of closed attempts: the first draft had D note which attempts were closed, for as long as it knew
the request. The checker found the hole: an attempt closed before the client's post had reached D was not noted, and its
late ask reserved a place that nobody would ever close. With rule 8 nothing needs to be noted.

D may be wrong about P's death. A P that is cut off, taken for dead and lives is fenced like a dead one: its writes are refused,
its asks too, and whatever it closes is confirmed, so that its exchanges end; to be served again it restarts. Rule 10 was
found by asking that: D reserved, fenced, and only then sent the grant, under the new key.

Taken for granted: the card checks the key and writes in one step; a key, and a pair of generation and attempt, are never used
twice. Ids are unique: a client that posts an id again gets a new request.
"""

from __future__ import annotations

from functools import partial

from ...combine import all_of, any_of, count, if_else
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, always, hang, leads_to, never, sometimes
from ...system import System
from .client import client
from .decode_side import Reservation, keeper, reservation
from .faults import crashes, doubling, lossy
from .prefill_side import Exchange, exchange
from .terms import Client, Order, Terms
from .writing import writer


def build(
    variant: str = "repaired",
    requests: int = 1,
    ranks: int = 1,
    layers: int = 2,
    prefill_places: int = 1,
    decode_places: int = 1,
    attempts: int = 2,
    in_flight: int = 2,
    losses: int = 0,
    doublings: int = 0,
    write_errors: int = 0,
    prefill_crashes: int = 0,
    decode_crashes: int = 0,
    rank_crashes: int = 0,
    suspicions: int = 0,
) -> System:
    """The lease at these bounds (see `Terms`).

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    bounds = {k: v for k, v in locals().items() if k != "variant"}
    t = Terms(variant, **bounds)
    machines = [client(t), exchange(t), writer(t), reservation(t)]
    if prefill_crashes or decode_crashes:
        machines.append(keeper(t))
    wires = (t.to_decode, t.to_prefill, t.grants)
    machines += lossy(wires, losses) + doubling(wires, t.request, doublings)
    machines += crashes(t.mortals())
    return System(f"lease_{variant}".replace("-", "_"), machines, _properties(t, machines[1], machines[3]), doc=__doc__ or "")


def _properties(t: Terms, asked: Machine, reserved: Machine) -> list[Property]:
    """Safety (S1, S4, S5, S7, P10), progress (L2, L3, S7) and the witnesses that keep them from holding vacuously."""
    r, x, c = Reservation, Exchange, Client
    every = partial(all_of, t.request)
    some = partial(any_of, t.request)

    def is_filled(q: Expr) -> Expr:
        place = t.held_place[q]
        return ~place.is_none & (t.lease[place.value] == q) & t.is_complete(place.value)

    def places_of(q: Expr) -> Expr:
        return count(t.place, lambda p: t.holder[p] == q)

    def own_places(q: Expr) -> Expr:
        return if_else(reserved.at(q).is_in(r.HELD, r.REVOKING, r.RUNNING), 1, 0)

    def arrived(q: Expr) -> Expr:
        return t.served_once[q] | (t.client[q] == c.ONE_ANSWER)

    busy = (x.SENDING, x.STOPPING)
    idle = every(lambda q: asked.at(q).is_in(*busy) | all_of(t.rank, lambda k: t.orders[q, k] == Order.NONE))
    return [
        hang(about="L3: nobody is stuck, or left repeating himself with nobody to hear him"),
        never("foreign_write", t.foreign.cell(), about="S5: a write into a place that is not held for that attempt"),
        always("decoded_only_when_written", every(lambda q: (reserved.at(q) != r.RUNNING) | is_filled(q)), about="S1, for every rank and layer"),
        always("decode_places_kept", every(lambda q: places_of(q) == own_places(q)), about="S4, S7: D's places are taken as long as needed"),
        always("prefill_places_kept", (t.prefill_free.cell() + asked.count(*busy) == t.bounds["prefill_places"]) & idle, about="S4, S7 at P"),
        always("one_answer", every(lambda q: t.client[q] != c.TWO_ANSWERS), about="P10"),
        leads_to("answered", lambda q: t.client[q] == c.NO_ANSWER, lambda q: t.client[q] == c.ONE_ANSWER, each=t.request, about="L2"),
        leads_to("places_returned", lambda p: ~t.holder[p].is_none, lambda p: t.holder[p].is_none, each=t.place, about="S7: no lease is for ever"),
        leads_to("exchanges_end", lambda q: asked.at(q) != x.UNKNOWN, lambda q: asked.at(q) == x.UNKNOWN, each=t.request, about="S7 at P"),
        leads_to("first_tokens_arrive", lambda q: asked.at(q) == x.COMMITTING, arrived, each=t.request, about="9.3: what P has computed"),
        sometimes("some_all_decoded", every(lambda q: t.served_once[q]), about="a run in which every request is decoded"),
        sometimes("some_decoded_after_restart", t.served_after.cell(), about="under a new key: P or D has come back, and all goes on"),
        sometimes("some_write_refused", t.refused.cell(), about="the key stops a writer"),
        sometimes("some_revoked", some(lambda q: reserved.at(q) == r.REVOKING), about="D wants a place back"),
    ]
