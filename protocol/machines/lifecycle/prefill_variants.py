"""Versions of P's scheduling, each described by what it does (cache_handshake 7.1, 7.2, 9.8; #7944)."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Variant:
    """How P schedules.

    Args:
        waits: what was stopped waits, without its blocks; else it begins again, with them.
        admits: `schedule()`: what waits is admitted, and a chunk may need a block more and preempt for it.
        asserts: prefill_schedule raises while something waits (no -O).
        lacks: the manager has no prefill_schedule: it raises every round.
        queues: V2: a preallocation is a message. drains: the scheduling takes it; drains_first: before it looks at the gate.
        spares: who was sent cannot be preempted. recycles: who was refused gives its blocks back (pre_recycle_resource).
    """

    name: str
    waits: bool = True
    admits: bool = False
    asserts: bool = False
    lacks: bool = False
    queues: bool = False
    drains: bool = True
    drains_first: bool = False
    spares: bool = False
    recycles: bool = True


_OURS = Variant("repaired", waits=False, spares=True, drains_first=True)
VARIANTS = {
    v.name: v
    for v in (
        Variant("schedule", admits=True),
        Variant("asserting", asserts=True),
        Variant("optimised"),
        Variant("V0", lacks=True),
        Variant("V2", queues=True, drains=False),
        Variant("V2_schedule", admits=True, queues=True),
        _OURS,
        replace(_OURS, name="repaired_V2", queues=True),
        replace(_OURS, name="unspared", spares=False),
        replace(_OURS, name="unrecycled", recycles=False),
    )
}
