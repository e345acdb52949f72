"""Versions of the resource manager, each described by what it does (facts 6; hazards H10, H12, H15, H23, #7141)."""

from __future__ import annotations

from dataclasses import dataclass, replace

ROLES = ("mixed", "decode")


@dataclass(frozen=True)
class Variant:
    """What the manager and its threads do.

    Args:
        counts_stopping: admission counts those that keep their slot while they are stopped (#7141).
        looks_up: before it credits a step, TOK looks the preempted up in `requests`, without the lock (H23).
        forces: an abort that is not done in time is recycled by force (H12).
        forgets_errors: a request that failed its preprocessing is answered, and left in `requests` (H15).
        numbers: outputs carry (request, attempt), and only the slot's owner of that attempt is credited. Else the slot decides.
        attempts: what the output carries has the attempt too.
        ends_at_once: the last token moves the request to FINISHING, which `schedule()` leaves alone; else it stays in `running`.
        owns_aborts: an abort takes a request that waits at once; else only one that is in `running`.
        frees_once: slot and blocks are freed together, after the store; else the slot is freed before it.
        puts_inside: `schedule()` and the put are one critical section.
        reports_stops: a step in which nothing is left to run still reports its stops (#7633).
        tells: a preemption is put, so that the worker stops.
        keeps: what the worker may still write is kept: slot and blocks of who is stopped are freed when the stop is reported. Else the blocks
            are free, or another's, with the decision, and on D the slot too.
    """

    name: str
    counts_stopping: bool = True
    looks_up: bool = False
    forces: bool = True
    forgets_errors: bool = True
    numbers: bool = False
    attempts: bool = False
    ends_at_once: bool = False
    owns_aborts: bool = False
    frees_once: bool = False
    puts_inside: bool = False
    reports_stops: bool = True
    tells: bool = True
    keeps: bool = False


_NEWEST = Variant("newest")
_OURS = Variant(
    "repaired",
    forces=False,
    forgets_errors=False,
    numbers=True,
    attempts=True,
    ends_at_once=True,
    owns_aborts=True,
    frees_once=True,
    puts_inside=True,
    keeps=True,
)
_UNKEPT = replace(_OURS, name="unkept", keeps=False)

VARIANTS = {
    v.name: v
    for v in (
        replace(_NEWEST, name="before_7141", counts_stopping=False),
        replace(_NEWEST, name="looking_up", looks_up=True),
        replace(_NEWEST, name="before_7633", reports_stops=False),
        _NEWEST,
        _OURS,
        # Ours with one of its rules left out, or with the published rule in its place.
        replace(_OURS, name="forcing", forces=True),
        _UNKEPT,
        # Without it the numbers make it bearable that the slot is another's before the stop is reported.
        replace(_UNKEPT, name="unkept_unnumbered", numbers=False, attempts=False),
        replace(_UNKEPT, name="unkept_one_attempt", attempts=False),
        replace(_OURS, name="unnumbered", numbers=False, attempts=False),
        replace(_OURS, name="unnumbered_forcing", numbers=False, attempts=False, forces=True),
        replace(_UNKEPT, name="late_finish", ends_at_once=False, frees_once=False),
        replace(_OURS, name="unowned_aborts", owns_aborts=False),
        replace(_OURS, name="forgetful", forgets_errors=True),
        replace(_OURS, name="uncounted", counts_stopping=False),
        replace(_UNKEPT, name="untold", tells=False),
    )
}
