"""Transaction commit (TCommit.tla of the TLA+ Examples): the specification that two-phase commit implements.

A resource manager looks at all the others in one step: a specification, no program, and the rows say so.
"""

from enum import IntEnum

from protocol import Enum, Index, Machine, Row, System, all_of, always, any_of, me, unlocked


class Phase(IntEnum):
    WORKING, PREPARED, COMMITTED, ABORTED = range(4)


class Thread(IntEnum):
    (RUNNING,) = range(1)


def build(resource_managers: int = 3) -> System:
    """34 states, 93 transitions, depth 6 for 3 resource managers; 274, 1,295 and 10 for 5; two terminal states."""
    rms = Index("rm", resource_managers)
    phase = unlocked("phase", Enum(Phase), over=rms)
    own, p, why = phase[me(rms)], Phase, "the published model is a specification"
    ready = all_of(rms, lambda i: phase[i].is_in(p.PREPARED, p.COMMITTED))
    none_committed = all_of(rms, lambda i: phase[i] != p.COMMITTED)
    stay = Thread.RUNNING
    # fmt: off
    resource = Machine("resource", Thread, [
        Row("prepare", stay, stay, own == p.WORKING,                                     [own.set(p.PREPARED)],  "rm", assume_atomic=why),
        Row("commit",  stay, stay, (own == p.PREPARED) & ready,                          [own.set(p.COMMITTED)], "rm", assume_atomic=why),
        Row("abort",   stay, stay, own.is_in(p.WORKING, p.PREPARED) & none_committed,    [own.set(p.ABORTED)],   "rm", assume_atomic=why),
    ], copies=rms, final=stay)
    # fmt: on
    consistent = ~(any_of(rms, lambda i: phase[i] == p.COMMITTED) & any_of(rms, lambda i: phase[i] == p.ABORTED))
    return System("tcommit", [resource], [always("consistent", consistent)])
