"""The layer-0 signal: registration of a request against the first kv signal of its forward, from preparation to answer.

Composition of `prepare` (P.F, P.IO, P.S), `kv_signal` (workers, Kq, MC), `cache_task` (MA), `layer_send` (MS) and
`first_token` (P.T, P.FIN) over the variables of `hand_over`, for the epochs E0, E1, E2, E3 (as E3a) and ours.

Beside the mini model of the facts (section 18): every verdict is the same, and the paths are longer because the rows are
smaller and there are two layers. What the smaller rows show:

- H-01 needs no slow rank: P's half is put and the request added before D's half, which waits in CH2 for every rank to read
  P's. `cache_info` is empty until that half is *stored*, and filled long before the task is complete: a signal that falls
  between these two is queued unregistered, which E1 survives by waiting.
- H-06 needs the whole next request, from the free slot to its registration, between one report and one deletion. The sender
  holds its lock meanwhile, so in E2 and E3a both MC and the look for a parked signal come after the deletion: whichever is
  first, the signal stays parked, or is queued for an entry that is gone. The shortest path takes both ranks there.
- H-03 and H-04 not only answer too early: P frees blocks that a rank has yet to send (S5).

Modelled without evidence: in E2 and E3a a queued slot whose entry is gone waits, as in E1; the sender keeps the record that
it found. Left out: chunks (H-04b), errors, aborts, D's side, faults of any kind.
"""

from __future__ import annotations

from ...combine import all_of, any_of
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, always, deadlock, leads_to, sometimes
from ...system import System
from .cache_task import registrar
from .first_token import finisher, token_processor
from .hand_over import HandOver
from .kv_signal import consumer, layer_worker
from .layer_send import Sender, sender
from .prepare import decode_half, prepare, schedule


def build(epoch: str = "repaired", ranks: int = 2, requests: int = 1, slots: int | None = None, layers: int = 2, halves: int = 2) -> System:
    """The hand-over at these bounds.

    Args:
        epoch: E0, E1, E2, E3a, repaired, or ours with a part left out: uncounted, reports_first, unmarked.
        ranks: tensor-parallel degree. requests: how many, one chunk each.
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
    if not h.epoch.unmet:
        # The last arrival at the begin barrier is the only moment at which every rank is in MEETING.
        met = all_of(h.rank, lambda r: sending.at(r) == Sender.MEETING)
        differ = any_of(h.rank, lambda r: any_of(h.slot, lambda s: h.in_hand[0, s] != h.in_hand[r, s]))
        found += [
            always("work_items_agree", ~(met & differ), about="P1: a passage of the begin barrier concerns the same slots on all ranks"),
            sometimes("some_work_item_met", met, about="twin of work_items_agree"),
        ]
    return found
