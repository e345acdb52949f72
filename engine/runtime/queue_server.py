"""The queue server: a process that holds the locked variables, channels and barriers, and lets one row at a time commit.

One rule: a row is checked and committed in one piece. A client evaluates a row over its own copies of the cells (`queue_client.py`)
and sends what it read and what it writes; the server commits it if all of that is still so - registers included, which the
server then stores itself - or else answers with the newer values, and the client tries again. So a row is atomic, also when its process is
killed in the middle, and an unsuccessful look costs no message. Nobody polls: a client that has nothing to do waits, and
is told as soon as a variable that it heeds changes, or a letter for it arrives. To wake a process for nothing is what costs most: after a
forward its caches are cold. So a client says which variables could give it something to do in the states that its copies are in; what else
has changed it hears with the next answer. And when its row has been answered it waits, without saying so again; if the row was overtaken, it
heeds those cells, too, and comes with their newest values next time.

Rejected: to hold a section from the first look to the commit. It costs a message more a row, whoever holds it stops the
others, and what a holder leaves behind when it dies is half a row. A lock that a row acquires and a later one releases is a
cell like any other, and stays held when its holder dies.
"""

from __future__ import annotations

import marshal
import select
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..cargo import Hold
from ..clock import LiveClock
from ..wire import Wire
from .directory import Directory, Key, Span
from .heeds import EVERYTHING, Heeds, Vainly, variables_of
from .segment import Segment

Cells = dict[Key, Any]
NOTHING: dict[Key, Any] = {}


@dataclass
class Commit:
    """A row that a client wants to fire: what it read and writes, the cargo it carries and a note about it for the log, both pickled."""

    reads: Cells
    writes: Cells
    cargo: bytes | None = None
    note: bytes | None = None

    def packed(self) -> bytes:
        """What an intent tells of it: what it writes, and its note."""
        return marshal.dumps((self.writes, self.note))

    @classmethod
    def unpacked(cls, packed: bytes) -> Commit:
        """The row of an intent."""
        writes, note = marshal.loads(packed)
        return cls({}, writes, note=note)


@dataclass
class Visitor:
    """One client as the server sees it."""

    name: str
    wire: Wire
    listens: bool = False
    """Whether it is told of every letter and every change at once, and need not wait."""
    waits: bool = False
    heeds: Heeds = EVERYTHING
    """Whose change is to rouse it."""
    has_news: bool = False
    """Whether such a variable has changed, or a letter has come, since it was told last."""
    gone: bool = False
    number: int | None = None
    """Its place in the segment, where it finds how many messages it has been sent."""
    changed: set[Key] = field(default_factory=set)
    letters: list[tuple[str, bytes]] = field(default_factory=list)
    last: Commit | None = None
    """The last row that it committed."""


class QueueServer:
    """The cells, and who is to be told of them.

    Args:
        introductions: a socket on which the supervisor hands in each client's end, with its name. The server ends with it.
        numbers: the places of processes in the segment, by name.
    """

    def __init__(self, directory: Directory, segment: Segment, introductions: socket.socket, numbers: Mapping[str, int] = MappingProxyType({})):
        self._directory, self._segment, self._introductions, self._numbers = directory, segment, introductions, numbers
        self._clock = LiveClock()
        self._values: Cells = {}
        self._hold = Hold()
        self._visitors: dict[str, Visitor] = {}
        self._watching: dict[int, list[tuple[int, int, Visitor]]] = {}
        self._roused: list[Visitor] = []
        self._by_socket: dict[int, Visitor] = {}
        self._ready = select.poll()
        self._ready.register(introductions, select.POLLIN)

    def serve(self) -> None:
        """Answer until the supervisor has gone."""
        while True:
            for number, events in self._ready.poll():
                if number == self._introductions.fileno():
                    if not self._introduce():
                        return
                    continue
                visitor = self._by_socket.get(number)
                if visitor is None:
                    continue
                try:
                    if events & select.POLLOUT:
                        self._push_on(visitor)
                    if events & ~select.POLLOUT:  # something to read, or that nobody is there any more
                        for message in visitor.wire.arrived():
                            self._answer(visitor, *message)
                except EOFError:
                    self._forget(visitor)
                # Not one by one: what a process has sent together is news together.
                for roused in self._roused:
                    if (roused.waits or roused.listens) and roused.has_news:
                        roused.waits = False
                        self._tell(roused, "news")
                self._roused.clear()

    # -- clients -------------------------------------------------------------------------------------------------------

    def _introduce(self) -> bool:
        name, handles, _, _ = socket.recv_fds(self._introductions, 256, 1)
        if not name:
            return False
        visitor = Visitor(name.decode(), Wire(socket.socket(fileno=handles[0])), number=self._numbers.get(name.decode()))
        self._visitors[visitor.name] = visitor
        if visitor.number is not None:
            self._segment.mail[visitor.number] = 0
        self._by_socket[visitor.wire.fileno()] = visitor
        self._ready.register(visitor.wire, select.POLLIN)
        return True

    def _forget(self, visitor: Visitor) -> None:
        """It has gone. Its last row stays known until it is buried."""
        if visitor.gone:
            return
        visitor.gone = True
        self._ready.unregister(visitor.wire)
        del self._by_socket[visitor.wire.fileno()]
        visitor.wire.close()
        for spans in self._watching.values():
            spans[:] = [span for span in spans if span[2] is not visitor]

    def _tell(self, visitor: Visitor, kind: str, *content: Any, fresh: Cells = NOTHING) -> None:
        """Answer, with everything that the client has not heard of yet."""
        if visitor.gone:
            return
        news = {key: self._value(key) for key in visitor.changed} | fresh
        letters, visitor.letters, visitor.changed, visitor.has_news = visitor.letters, [], set(), False
        if visitor.number is not None:
            self._segment.mail[visitor.number] += 1
        try:
            if not visitor.wire.push((kind, self._clock.now(), news, letters, *content)):
                self._ready.modify(visitor.wire, select.POLLIN | select.POLLOUT)
        except EOFError:
            self._forget(visitor)

    def _push_on(self, visitor: Visitor) -> None:
        if visitor.wire.push_on():
            self._ready.modify(visitor.wire, select.POLLIN)

    def _rouse(self, visitor: Visitor) -> None:
        """There is something that the client is to hear at once if it waits."""
        visitor.has_news = True
        self._roused.append(visitor)

    # -- what clients ask ----------------------------------------------------------------------------------------------

    def _answer(self, visitor: Visitor, operation: str, *content: Any) -> None:
        getattr(self, f"_do_{operation}")(visitor, *content)

    def _do_watch(self, visitor: Visitor, spans: Iterable[Span]) -> None:
        """From now on the client is told of these cells; the answer is what they hold."""
        spans = list(spans)
        for number, first, end in spans:
            self._watching.setdefault(number, []).append((first, end, visitor))
        self._do_look(visitor, spans)

    def _do_look(self, visitor: Visitor, spans: Iterable[Span]) -> None:
        """The cells that do not hold their initial values."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for number, first, end in spans:
            wanted.setdefault(number, []).append((first, end))
        fresh = {k: v for k, v in self._values.items() if any(a <= k[1] < b for a, b in wanted.get(k[0], ()))}
        self._tell(visitor, "looked", fresh=fresh)

    def _do_listen(self, visitor: Visitor) -> None:
        """From now on the client is told at once, whatever it does."""
        visitor.listens = True
        self._rouse(visitor)

    def _do_wait(self, visitor: Visitor, always: int, vainly: Iterable[tuple[int, Key, tuple[Any, ...]]]) -> None:
        """Answer with news as soon as there are any to heed."""
        visitor.waits, visitor.heeds = True, Heeds(always, frozenset(Vainly(*vain) for vain in vainly))
        if visitor.letters or any(self._is_heeded(visitor, number) for number, _ in visitor.changed):
            self._rouse(visitor)

    def _do_commit(self, visitor: Visitor, *row: Any) -> None:
        """Fire the row if what it read is still so."""
        commit = Commit(*row)
        other = {key: value for key, read in commit.reads.items() if (value := self._value(key)) != read}
        if other:
            visitor.waits, visitor.heeds = True, visitor.heeds | variables_of(visitor.changed) | variables_of(other)
            self._tell(visitor, "stale", fresh=other)
            return
        changes = [(k, self._directory.variables[k[0]], self._value(k), v) for k, v in commit.writes.items()]
        found = self._hold.move(commit.reads, changes, commit.cargo)
        for key, value in commit.writes.items():
            self._store(key, value)
        visitor.last = commit
        self._tell(visitor, "done", found)
        visitor.waits = True
        self._spread([key for key, _, before, after in changes if before != after], visitor)

    def _do_stored(self, visitor: Visitor, keys: Iterable[Key]) -> None:
        """The client has stored to registers by itself."""
        self._spread(keys, visitor)

    def _do_post(self, visitor: Visitor, *letters: tuple[str, bytes]) -> None:
        """Hand letters on, each to whom it names; one for nobody is lost."""
        receivers = {to: self._visitors[to] for to, _ in letters if to in self._visitors}
        for to, content in letters:
            if to in receivers:
                receivers[to].letters.append((visitor.name, content))
        for receiver in receivers.values():
            self._rouse(receiver)

    def _do_bury(self, visitor: Visitor, name: str) -> None:
        """A process has died: what it sent and was not heard yet never was. The answer is the last row that it committed."""
        dead = self._visitors.pop(name, None)
        if dead is not None:
            self._forget(dead)
        self._tell(visitor, "buried", None if dead is None else dead.last)

    # -- cells ---------------------------------------------------------------------------------------------------------

    def _value(self, key: Key) -> Any:
        place = self._directory.memory_place(key)
        if place is not None:
            return self._segment.cells[place]
        value = self._values.get(key, NOTHING)
        return self._directory.initial(key) if value is NOTHING else value

    def _store(self, key: Key, value: Any) -> None:
        place = self._directory.memory_place(key)
        if place is not None:
            self._segment.cells[place] = value
        elif value == self._directory.initial(key):
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def _spread(self, keys: Iterable[Key], author: Visitor) -> None:
        """Whoever watches these cells, and did not store to them, is told: at once if it waits and heeds them."""
        touched = []
        for key in keys:
            number, place = key
            for first, end, visitor in self._watching.get(number, ()):
                if first <= place < end and visitor is not author:
                    visitor.changed.add(key)
                    if self._is_heeded(visitor, number):
                        touched.append(visitor)
        for visitor in touched:
            self._rouse(visitor)

    def _is_heeded(self, visitor: Visitor, number: int) -> bool:
        """Whether the visitor is to be roused by a change of that variable, with the cells as they are now."""
        always, vainly = visitor.heeds
        return bool(always >> number & 1) or any(bits >> number & 1 and self._value(key) not in values for bits, key, values in vainly)
