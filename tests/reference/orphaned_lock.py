"""Workers that die inside a critical section and begin anew in it: what the dead one held is held by nobody."""

from enum import IntEnum

from protocol import Index, Lock, Machine, Process, Row, System, choice, deadlock


class Worker(IntEnum):
    OUTSIDE, INSIDE, PAST = range(3)


class Fault(IntEnum):
    NONE, CRASHED, RESTARTED = range(3)


def build(workers: int = 2) -> System:
    """27 states with two workers and one crash: a worker that begins inside never gets past, unless nobody died with the lock."""
    w, f, worker = Worker, Fault, Index("worker", workers)
    host, lock, victim = Process("host", over=worker), Lock("lock"), choice("victim", worker)
    # fmt: off
    rows = [
        Row("take", w.OUTSIDE, w.INSIDE, acquire=lock),
        Row("give", w.INSIDE,  w.OUTSIDE, release=lock),
        Row("look", w.INSIDE,  w.PAST,    under=lock),
    ]
    faults = [
        Row("crash",   f.NONE,    f.CRASHED,   host.is_alive(victim),  [host.crash(victim)],   choose=victim),
        Row("restart", f.CRASHED, f.RESTARTED, ~host.is_alive(victim), [host.restart(victim)], choose=victim),
    ]
    # fmt: on
    machines = [Machine("worker", w, rows, copies=worker, process=host, restart=w.INSIDE), Machine("fault", f, faults, environment=True)]
    return System("orphaned_lock", machines, [deadlock()])
