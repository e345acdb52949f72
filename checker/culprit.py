"""What was done to a log that does not conform: which line is missing, one too many, exchanged with another, or forged.

One rule: a suspicion is told when the log goes on without that fault, and not before. Where an order of the rows ends, each suspicion is
a change of what follows, and the search is asked whether that can be fired for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

from protocol.types import Value

from .event_log import Event
from .log_order import DeadEnd, Ordering
from .logged_rows import LoggedRow

Fault = tuple[int, str]
"""A line, from 1, and why it cannot be."""
Counts = Mapping[str, tuple[int, int]]
"""The copies with more or fewer rows than the last line says: how many it says, and how many there are."""
ENOUGH = 100
"""So many rows behind a fault, and behind the farthest dead end, have to fit when it is taken back; all, where fewer follow."""
WINDOW = 4
"""Among so many times as many lines these rows are looked for: others overlap with them."""
PARTNERS = 3
"""With so many rows of its copy behind it a line may have been exchanged."""


def accuse(ordering: Ordering, ends: Sequence[DeadEnd], counts: Counts) -> Fault:
    """The first line that cannot be, and why: where a suspicion is confirmed, if anywhere, else at the farthest dead end."""
    told = [f"{copy} has fired {said:,} rows by the last line, and {there:,} are there" for copy, (said, there) in counts.items()]
    farthest = None
    for end in reversed(ends):
        order, placed = end.order, set(end.order)
        earlier = [k for k in order if k < end.suspect] + [k for k in range(end.suspect) if k not in placed]
        # As the search has put them, and as the log has them: overlapping rows behind the suspect may have been put before it.
        for tried in (order, earlier):
            ordering.go_to(tried)
            inquest = Inquest(ordering, end, counts, ENOUGH + ends[-1].placed - end.placed)
            finding = "" if inquest.fits() else inquest.confirmed()
            if finding:
                return end.suspect + 1, "; ".join([inquest.why(), finding, *told])
            farthest = farthest or (end.suspect + 1, "; ".join([inquest.why(), *told]))
    assert farthest is not None
    return farthest


class Inquest:
    """The state in which an order of rows ends, and what is left of the log. `enough`: rows that have to fit when a fault is taken back."""

    def __init__(self, ordering: Ordering, end: DeadEnd, counts: Counts, enough: int):
        self._state, self._rows, self._events, self._counts = ordering.state, ordering.rows, ordering.events, counts
        self._heads, self._k, self._enough, self._rest = end.heads, end.suspect, enough, ordering.rest(WINDOW * enough)
        self._event = self._events[self._k]

    def fits(self) -> bool:
        """Whether the suspect can come next here."""
        return any(row.fits(self._event) for row in self._rows.of(self._event))

    def why(self) -> str:
        """Why the suspect cannot come next."""
        return f"{self._event.name}: {min(map(self._why_not, self._rows.of(self._event)))[1]}"

    def confirmed(self) -> str:
        """What was done to it, or before it, as far as that shows."""
        missing = [copy for copy, (said, there) in self._counts.items() if there < said]
        others = [copy for copy in self._rows.copies if copy != self._event.copy]
        if missing:
            suspicions = self._missing_row(missing)
        elif self._counts:
            suspicions = self._one_too_many()
        else:
            alone = self._one_too_many(), self._exchanged(), self._other_row(), self._forged()
            suspicions = chain(*alone, self._missing_row([self._event.copy, *others]))
        return next(suspicions, "")

    def _why_not(self, row: LoggedRow) -> tuple[bool, str]:
        """Whether it cannot fire at all, and why it is not the suspect: the closer it comes to being possible, the more that says."""
        return row.firing().writes is None, row.why_not(self._event) or ""

    # -- suspicions: what was done, each told if the log goes on when it is taken back --------------------------------------

    def _one_too_many(self) -> Iterator[str]:
        before = next((j for j in range(self._k - 1, -1, -1) if self._events[j] == self._event), None)
        if self._goes_on(self._changed({self._k: None})):
            yield "without this line the rows behind it fit" if before is None else f"it is line {before + 1:,} again"

    def _exchanged(self) -> Iterator[str]:
        mine = self._event
        for j in islice((j for j in self._rest if self._events[j].copy == mine.copy and j != self._k), PARTNERS):
            other = self._events[j]
            if other[4:] != mine[4:] and self._goes_on(self._changed({self._k: Event(*mine[:4], *other[4:]), j: Event(*other[:4], *mine[4:])})):
                yield f"it is exchanged with line {j + 1:,}, {other.name}"

    def _other_row(self) -> Iterator[str]:
        for row in self._open_rows(self._event.copy):
            if row.fits(self._event) and self._goes_on(self._changed({self._k: self._told_of(row)})):
                yield f"what fits here is {row.instance}"

    def _forged(self) -> Iterator[str]:
        for row in self._rows.of(self._event):
            if row.firing().writes is not None and self._goes_on(self._changed({self._k: self._told_of(row)})):
                yield "with the other value the rows behind it fit, so this one is forged"

    def _missing_row(self, copies: Sequence[str]) -> Iterator[str]:
        for row in chain.from_iterable(map(self._open_rows, copies)):
            before = self._fire(row)
            helps = any(other.fits(self._events[k]) for k in self._heads for other in self._rows.of(self._events[k]))
            confirmed = helps and self._goes_on(self._changed({}))
            for place, value in before:
                self._state.cells[place] = value
            if confirmed:
                yield f"before this line a row is missing: {row.instance}"

    # -- trying ------------------------------------------------------------------------------------------------------------

    def _goes_on(self, events: Sequence[Event]) -> bool:
        search = Ordering(self._rows, self._state, events)
        fits = not search.run(self._enough if len(events) > self._enough else None)
        search.take_back()
        return fits

    def _changed(self, changes: Mapping[int, Event | None]) -> list[Event]:
        """What is left of the log, with other events in some lines, or none."""
        changed = (changes.get(k, self._events[k]) for k in self._rest)
        return [event for event in changed if event is not None]

    def _told_of(self, row: LoggedRow) -> Event:
        """The suspect's line, if the row, which can fire here, had fired."""
        firing, action = row.firing(), row.instance.action
        chosen = {p.name: p.type.show(v) for p, v in zip(action.row.choose, row.instance.values)}
        return Event(*self._event[:4], action.row.event, chosen, firing.reads, firing.texts)

    def _open_rows(self, copy: str) -> Iterator[LoggedRow]:
        """The rows of a copy that can fire here, for all values of their choices."""
        machine, indices = self._rows.copies[copy]
        control = self._state.load(machine.state, indices)
        for action in chain.from_iterable(self._rows.actions.get(machine.name, {}).values()):
            if control in action.row.sources:
                for instance in action.instances():
                    row = LoggedRow(instance, self._state)
                    if instance.copy == indices and row.firing().writes is not None:
                        yield row

    def _fire(self, row: LoggedRow) -> list[tuple[int, Value]]:
        """Store what the row does; what was there before."""
        writes = row.firing().writes
        assert writes is not None
        before = [(place, self._state.cells[place]) for place, _ in writes]
        for place, value in writes:
            self._state.cells[place] = value
        return before
