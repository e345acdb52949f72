"""The layer-0 signal: registration of a request against the first kv signal of its forward, from preparation to answer.

Composition of `prepare` (P.F, P.IO, P.S), `kv_signal` (workers, Kq, MC), `cache_task` (MA), `layer_send` (MS) and
`first_token` (P.T, P.FIN) over the variables of `hand_over`, for the epochs E0, E1, E2, E3 (as E3a) and ours.
"""

from __future__ import annotations

from ..expr import Expr, all_of, any_of
from ..machine import Machine
from ..properties import Property, always, deadlock, leads_to, sometimes
from ..system import System
from .cache_task import registrar
from .first_token import finisher, token_processor
from .hand_over import HandOver
from .kv_signal import consumer, layer_worker
from .layer_send import Sender, sender
from .prepare import decode_half, prepare, schedule


def build(epoch: str = "repaired", ranks: int = 2, requests: int = 1, slots: int | None = None, layers: int = 2, halves: int = 2) -> System:
    """The hand-over at these bounds.

    Args:
        epoch: E0, E1, E2, E3a or repaired. ranks: tensor-parallel degree. requests: how many, one chunk each.
        slots: P's slots, as many as requests unless given; fewer means reuse. layers: KV layers.
        halves: 2, or 1 for a cache task that arrives merged, as in the mini model of the facts (section 18).

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    h = HandOver(epoch, ranks, requests, requests if slots is None else slots, layers, halves)
    machines = [prepare(h), *([decode_half(h)] if halves == 2 else []), schedule(h), layer_worker(h), registrar(h), consumer(h)]
    sending = sender(h)
    machines += [sending, token_processor(h), finisher(h)]
    name = f"layer0_signal_{epoch}_{ranks}x{requests}"
    return System(name, machines, _properties(h, sending), doc=__doc__ or "")


def _properties(h: HandOver, sending: Machine) -> list[Property]:
    """Safety (S1, S2, S5, P1), progress (L1, L3) and the witnesses that keep them from holding vacuously."""

    def sent_everywhere(q: Expr) -> Expr:
        return all_of(h.rank, lambda r: h.sent[r, q] == h.layers)

    found = [
        deadlock(about="L3: nobody is stuck in the middle of his work"),
        always("answered_only_when_sent", all_of(h.request, lambda q: ~h.answered[q] | sent_everywhere(q)), about="S1, for every rank and layer"),
        always("sent_only_when_computed", ~h.uncomputed_sent.cell(), about="S2"),
        always("blocks_kept_until_sent", ~h.freed_read.cell(), about="S5: P reads no block of a request that it has freed"),
        sometimes("some_run_answers_all", all_of(h.request, lambda q: h.answered[q]), about="twin of the safety properties"),
        leads_to("first_tokens_answered", lambda q: h.produced[q], lambda q: h.answered[q], each=h.request, about="L1"),
    ]
    if not h.epoch.repaired:
        # The last arrival at the begin barrier is the only moment at which every rank is in MEETING.
        met = all_of(h.rank, lambda r: sending.at(r) == Sender.MEETING)
        differ = any_of(h.rank, lambda r: any_of(h.slot, lambda s: h.in_hand[0, s] != h.in_hand[r, s]))
        found += [
            always("work_items_agree", ~(met & differ), about="P1: a passage of the begin barrier concerns the same slots on all ranks"),
            sometimes("some_work_item_met", met, about="twin of work_items_agree"),
        ]
    return found
