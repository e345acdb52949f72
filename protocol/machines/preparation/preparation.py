"""Preparation: from P's queue to P's running requests, with D's consent; one or two P, one or more D.

Composition of the prepare threads (`prepare_thread` before the repair, `split_phase` ours), P.IO and the rest of P
(`decode_answer`, or `messager`, which registers and sends), and D (`decode_loop`), over the variables of `instances`.

*A full D must not stop work for another D*: asked as "a request whose D has room ends", where the other D has room 0, hence stays
full for the whole run and refuses whatever it is asked. Every thread, handler and loop takes the steps that it can take (weak
fairness, per row and copy), and nobody's ask is overtaken for ever, because D.L takes them in turn. Time-outs are never owed.

What the rows show beyond the facts: see the findings of H16, H22, H-07, H-19, H-31 and H-38 in the catalogue.

Left out: the network's losses and copies, crashes, aborts and pauses (other groups), tensor-parallel ranks (`duplicate_half` has them).
"""

from __future__ import annotations

from ...system import System
from .decode_answer import decode_answer, prefill_service, reply
from .decode_loop import decode_loop, decoder, delivery
from .instances import Bounds, Instances
from .messager import machines as messager_machines
from .prepare_thread import PrepareTable
from .questions import properties
from .split_phase import split_phase


def build(
    variant: str = "repaired",
    waits: str = "continuous",
    refusals: str = "told",
    prefills: str = "",
    decodes: str = "01",
    sizes: str = "",
    prefill_room: int = 2,
    decode_room: str = "11",
    threads: int = 2,
    batch: int = 1,
    tries: int = 2,
    timeouts: int = 0,
    messager: bool = False,
) -> System:
    """Preparation at these bounds.

    Args:
        variant: E0, E1, repaired, or ours with a part left out (`instances.VARIANTS`).
        waits: how a thread waits for D before the repair: continuous, once or cache_task.
        refusals: told to P, silent, or told to the client too.
        prefills, decodes: a digit a request: the P and the D that it is for; all for P 0 unless given.
        sizes: a digit a request: the room it takes; 1 unless given. prefill_room: room of each P.
        decode_room: a digit a D: its room; 0 is a D that is full, for ever.
        threads: prepare threads of each P. batch: requests a thread takes at once.
        tries: asks of one request, ours. timeouts: that each thread may see.
        messager: with P's messager, which registers and sends; else P serves what runs.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    bounds = Bounds(
        variant,
        waits,
        refusals,
        prefills or "0" * len(decodes),
        decodes,
        sizes or "1" * len(decodes),
        prefill_room,
        decode_room,
        threads,
        batch,
        tries,
        timeouts,
        messager,
    )
    i = Instances(bounds)
    table = None if i.variant.splits else PrepareTable(i)
    machines = [split_phase(i), reply(i)] if table is None else [table.machine(), decode_answer(i)]
    machines += [delivery(i), decode_loop(i), decoder(i), *(messager_machines(i) if messager else [prefill_service(i)])]
    return System("preparation", machines, properties(i, table, machines), doc=__doc__ or "")
