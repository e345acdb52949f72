"""Two-phase commit with Lamport and Gray's atomicity (TwoPhase.tla of the TLA+ Examples), not one of our machines.

The messages live in sets that are never emptied: one register a message, written by its sender and read by its receiver.
"""

from enum import IntEnum

from protocol import BOOL, Index, Machine, Row, System, all_of, always, any_of, choice, deadlock, me, private, register


class ResourceManager(IntEnum):
    WORKING, PREPARED, COMMITTED, ABORTED = range(4)


class TransactionManager(IntEnum):
    INIT, COMMITTED, ABORTED = range(3)


def build(resource_managers: int = 3) -> System:
    """288; 1,568; 8,832; 50,816; 296,448; 1,745,408; 10,340,352 states for 3 .. 9 resource managers."""
    rms = Index("rm", resource_managers)
    prepared_sent = register("prepared_sent", BOOL, over=rms)
    prepared_known = private("prepared_known", BOOL, over=rms)
    commit_sent = register("commit_sent", BOOL)
    abort_sent = register("abort_sent", BOOL)
    rm = choice("rm", rms)
    r, t = ResourceManager, TransactionManager
    # fmt: off
    manager = Machine("tm", t, [
        Row("receive_prepared", t.INIT, t.INIT,      prepared_sent[rm],                          [prepared_known[rm].set(True)], "tm", choose=rm),
        Row("commit",           t.INIT, t.COMMITTED, all_of(rms, lambda i: prepared_known[i]),   [commit_sent.set(True)],        "tm"),
        Row("abort",            t.INIT, t.ABORTED,   True,                                       [abort_sent.set(True)],         "tm"),
    ], final=(t.COMMITTED, t.ABORTED))
    resource = Machine("resource", r, [
        Row("prepare",         r.WORKING,   r.PREPARED,  True,        [prepared_sent[me(rms)].set(True)], "rm"),
        Row("choose_to_abort", r.WORKING,   r.ABORTED,   True,        [],                                 "rm"),
        Row("receive_commit",  tuple(r),    r.COMMITTED, commit_sent, [],                                 "rm"),
        Row("receive_abort",   tuple(r),    r.ABORTED,   abort_sent,  [],                                 "rm"),
    ], copies=rms, final=(r.COMMITTED, r.ABORTED))
    # fmt: on
    consistent = ~(any_of(rms, lambda i: resource.at(i) == r.COMMITTED) & any_of(rms, lambda i: resource.at(i) == r.ABORTED))
    return System("two_phase_commit", [manager, resource], [always("consistent", consistent), deadlock()])
