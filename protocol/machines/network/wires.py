"""The hand-over as published: what P and D say to each other, and the variables that their threads share.

Requests are known by their id alone: nothing tells one attempt, one life or one incarnation of a process from another. An
id may live twice, when its client posts it again after an answer; that is how left-overs of the first life are met.

A *place* at D is a slot with the blocks that are reserved along with it. P's slots and blocks, the block tables of one
request being longer than another's, and the slot's own life at the end of decoding are other subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ...combine import all_of, choice, if_else
from ...effect import Effect, when
from ...expr import Expr
from ...machine import Process
from ...types import BOOL, Enum, Index, Optional, Range, Record
from ...variable import Lock, channel, ghost, locked, unlocked
from ..arguments import one_of, within
from .faults import Mortal
from .terms import Client


class Said(IntEnum):
    """P says: here is a request (`prefill`); here is its first token, or an error (`decode`)."""

    PREFILL, TOKEN, ERROR = range(3)


class Answer(IntEnum):
    """`current_request_ids[id]`: absent, "init", "finished", or an error text."""

    ABSENT, INIT, FINISHED, ERROR = range(4)


class Half(IntEnum):
    """What a messager's `cache_info[id]` holds: nothing, P's half, D's half, or both."""

    NONE, PREFILL, DECODE, BOTH = range(4)


class Report(IntEnum):
    """What a rank has reported of a request (CH4)."""

    NONE, SENT, ERROR = range(3)


@dataclass(frozen=True)
class Version:
    """A published version, by what it does.

    Args:
        asks_again: PREFILL_CONTINUOUS_REQUEST_DECODE_RESOURCES; refused or timed out, P asks for the same id again.
        says_no: D's refusal reaches P (34d09029, #7500); the connector of 2026 builds it and sends nothing.
        reclaims: D.MON takes back what has been reserved for long (#7965).
        looks_twice: D.MON looks under the lock whether the request runs by now (#7973's review).
        pops: P.T removes the result that it has used (#7667).
    """

    asks_again: bool = True
    says_no: bool = False
    reclaims: bool = False
    looks_twice: bool = False
    pops: bool = True


VERSIONS = {
    "continuous": Version(),
    "continuous-told": Version(says_no=True),
    "single": Version(asks_again=False, says_no=True),
    "monitored": Version(asks_again=False, says_no=True, reclaims=True),
    "rechecked": Version(asks_again=False, says_no=True, reclaims=True, looks_twice=True),
    "unpopped": Version(asks_again=False, says_no=True, pops=False),
}


class Wires:
    """The shared variables of one P and one D at given bounds.

    Args:
        variant: one of VERSIONS. requests: ids. lives: how often each id is posted. ranks, layers: of P's messager.
        decode_places: D's slots with their blocks. handlers: threads that handle P's messages (P.IO).
        time_outs: how often the wait of an id may end by time-out. in_flight: messages each way.
        aborts: clients that give up, at D. losses: messages that the network loses. write_errors: writes that a rank may fail (each).
        prefill_crashes: of P as a whole; decode_crashes; rank_crashes: of a messager.

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(self, variant: str, **bounds: int):
        one_of(VERSIONS, variant=variant)
        for name, value in bounds.items():
            low, high = (0, 2) if name in BUDGETS else (1, 4)
            within(low, high, **{name: value})
        self.version, self.bounds = VERSIONS[variant], bounds
        self.request, self.rank = Index("request", bounds["requests"]), Index("rank", bounds["ranks"])
        self.place, self.handler = Index("place", bounds["decode_places"]), Index("handler", bounds["handlers"])
        self._declare_network()
        self._declare_prefill()
        self._declare_decode()
        self._declare_ghosts()

    def _declare_network(self) -> None:
        """One bag each way for all requests, and the posts and results of the router."""
        most, lives = self.bounds["in_flight"], self.bounds["lives"]
        self.said = Record("Said", kind=Enum(Said), request=self.request)
        self.cache_sync = Record("CacheSync", request=self.request, place=Optional(self.place))
        bag: dict[str, Any] = {"kind": "bag", "on_full": "drop", "cite": "CH7: unordered; dropped at the high-water mark"}
        self.to_decode = channel("to_decode", self.said, most, **bag)
        self.to_prefill = channel("to_prefill", self.cache_sync, most, **bag)
        self.prefill_posts = channel("prefill_posts", BOOL, lives, over=self.request, cite="1.3: the router posts to both")
        self.decode_posts = channel("decode_posts", BOOL, lives, over=self.request, cite="1.3")
        self.results = channel("results", BOOL, 1, over=self.request, on_full="drop", cite="1.3: the router returns D's answer")

    def _declare_prefill(self) -> None:
        """P's engine with its queue server, and the messager processes."""
        request, rank = self.request, self.rank
        self.prefill = Process("prefill")
        self.messager = Process("messager", over=rank)
        home: dict[str, Any] = {"process": self.prefill}
        self.answer = unlocked("decode_answer", Enum(Answer), over=request, cite="facts 2.1: current_request_ids, no lock", **home)
        self.running_lock = Lock("prefill_resource_lock", cite="facts 2.1: RM.lock of P")
        self.to_compute = locked("to_compute", BOOL, self.running_lock, over=(request, rank), cite="4.8: scheduled; the layer-0 signal to be", **home)
        self.to_sample = locked("to_sample", BOOL, self.running_lock, over=request, cite="4.8, CH9: the first token to be", **home)
        self.infos_lock = Lock("cache_infos_lock", cite="facts 2.2: lock_info")
        self.info = Record("Info", half=Enum(Half), request=request, place=self.place)
        self.infos = locked("cache_infos", self.info, self.infos_lock, cite="CH2", **home)
        self.infos_read = locked("cache_infos_read", BOOL, self.infos_lock, over=rank, init=True, cite="CH2; the first empty read is done", **home)
        self.reports_lock = Lock("finished_lock", cite="facts 2.2: finish_send_cache_lock")
        self.reports = locked("reports", Enum(Report), self.reports_lock, over=(request, rank), cite="CH4, its pairing of ranks left out", **home)
        self.task = Record("Task", half=Enum(Half), place=self.place)
        there: dict[str, Any] = {"over": (rank, request), "process": self.messager}
        self.cache_info = unlocked("cache_info", self.task, cite="facts 2.3: no lock", **there)
        self.sent_layers = unlocked("sent_layers", Range(0, self.bounds["layers"]), cite="facts 2.3: sended_layer_id + 1", **there)
        self.registered = unlocked("registered", BOOL, cite="facts 2.3: idx_cache_task_dict", **there)

    def _declare_decode(self) -> None:
        """D's engine."""
        home: dict[str, Any] = {"process": Process("decode")}
        self.decode: Process = home["process"]
        self.places_lock = Lock("decode_resource_lock", cite="facts 2.1: RM.lock of D; #5616")
        self.holder = locked("place_holder", Optional(self.request), self.places_lock, over=self.place, cite="D's stop_flags and free list", **home)
        self.table = locked("request_place", Optional(self.place), self.places_lock, over=self.request, cite="RM.requests[id] of D", **home)
        self.decoding = locked("decoding", BOOL, self.places_lock, over=self.request, cite="RM.running of D", **home)
        self.wanted = locked("wanted", BOOL, self.places_lock, over=self.request, cite="has_request: in D's scheduler", **home)

    def _declare_ghosts(self) -> None:
        """What really happened, for the properties."""
        self.client = ghost("client_answers", Enum(Client), over=self.request)
        self.lease = ghost("lease_of_place", Optional(self.request), over=self.place)
        self.layers_in = ghost("layers_in_place", Range(0, self.bounds["layers"]), over=(self.place, self.rank))
        self.foreign = ghost("foreign_write", BOOL)
        self.overwritten = ghost("other_request_overwritten", BOOL)
        self.entry = ghost("entry_of_request", Optional(self.place), over=self.request)
        self.stale_merged = ghost("stale_half_merged", BOOL)
        self.decoded_once = ghost("decoded", BOOL, over=self.request)

    def answers_client(self, request: Any) -> list[Any]:
        """D puts a result, which is kept only for an id that its scheduler knows; the id is forgotten; the ghost counts."""
        client, c = self.client[request], Client
        count = client.set(if_else(client == c.NO_ANSWER, c.ONE_ANSWER, c.TWO_ANSWERS))
        return [when(self.wanted[request], count, self.results[request].send(True)), self.wanted[request].set(False)]

    def opens(self, request: Any, place: Any) -> list[Effect]:
        """The place is reserved for that id, and nothing is in it (ghosts included)."""
        empty = [self.layers_in[place, r].set(0) for r in self.rank]
        return [self.holder[place].set(request), self.lease[place].set(request), self.entry[request].set(place), *empty]

    def frees(self, request: Any, place: Any) -> list[Effect]:
        """The place goes back (ghosts included)."""
        empty = [self.layers_in[place, r].set(0) for r in self.rank]
        return [self.holder[place].set(None), self.lease[place].set(None), self.entry[request].set(None), *empty]

    def writes(self, request: Any, place: Any, rank: Any, layer: Any) -> list[tuple[Effect, ...]]:
        """Ghosts: a layer arrives; only in order and for the id that holds the place does it count."""
        own, arrived = self.lease[place] == request, self.layers_in[place, rank]
        others = ~own & ~self.lease[place].is_none
        counted = when(own & (arrived == layer), arrived.set(layer + 1))
        return [counted, when(~own, self.foreign.set(True)), when(others, self.overwritten.set(True))]

    def is_complete(self, place: Expr) -> Expr:
        """Every rank has written every layer."""
        return all_of(self.rank, lambda r: self.layers_in[place, r] == self.bounds["layers"])

    def mortals(self) -> list[Mortal]:
        """Who may crash. P dies as a whole, as its launcher has it; D comes back with the same addresses and no memory."""
        b, r = self.bounds, choice("rank", self.rank)
        prefill, messager, decode = self.prefill, self.messager, self.decode
        lost = [when(self.client[q] == Client.NO_ANSWER, self.client[q].set(Client.ONE_ANSWER)) for q in self.request]
        lost += [(self.lease[p].set(None),) for p in self.place] + [(self.entry[q].set(None),) for q in self.request]
        down = [prefill.crash(), *(messager.crash(k) for k in self.rank)]
        up = [prefill.restart(), *(messager.restart(k) for k in self.rank)]
        rank_lives = prefill.is_alive() & messager.is_alive(r)
        return [
            Mortal("prefill", b["prefill_crashes"], prefill.is_alive(), down, up, cite="9.7"),
            Mortal("decode", b["decode_crashes"], decode.is_alive(), [decode.crash(), *lost], [decode.restart()], cite="9.3"),
            Mortal("rank", b["rank_crashes"], rank_lives, [messager.crash(r)], [messager.restart(r)], (r,), cite="9.6"),
        ]


BUDGETS = ("time_outs", "aborts", "losses", "write_errors", "prefill_crashes", "decode_crashes", "rank_crashes")
"""The bounds that may be none; the others are at least one."""
