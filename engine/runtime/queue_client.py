"""A client of the queue server: one process's end of the way there."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..wire import Wire
from .directory import Directory, Key, Span
from .heeds import EVERYTHING, Heeds, variables_of
from .placement import Letter
from .queue_server import Cells, Commit


class Client:
    """One process's end: its copies of the cells that it watches, its letters, and its rows' commits.

    Raises:
        EOFError: from every method, once the server has gone.
    """

    def __init__(self, wire: Wire, directory: Directory, mail: Callable[[], int] | None = None):
        self._wire, self._directory, self._mail = wire, directory, mail
        self._waits, self._heeds = False, EVERYTHING
        self._writing: Cells = {}
        self._enclosed: list[tuple[str, bytes]] = []
        self._stored: list[Key] = []
        self.before_sending: Sequence[Callable[[], None]] = ()
        """What is called before a message leaves by which others learn what rows did here: nobody hears of a row that its journal does not know."""
        self.known: dict[int, Any] = {}
        """By number of the server's variables: where the values of their cells are kept here, by place."""
        self.changed: list[Key] = []
        """Cells that others have changed since this was last emptied."""
        self.letters: list[Letter] = []
        self.heard = 0
        """Messages from the server. With each come all changes of the cells that are watched, up to when it was sent."""
        self.heard_at = 0.0
        """When the server sent the last of them, by the clock that all processes share."""

    def close(self) -> None:
        """Let the connection go."""
        self._wire.close()

    def fileno(self) -> int:
        """For polling: readable when there are news."""
        return self._wire.fileno()

    def watch(self, spans: Iterable[Span]) -> None:
        """Be told of these cells from now on."""
        self._ask("looked", "watch", tuple(spans))

    def look(self, spans: Iterable[Span]) -> None:
        """Learn these cells once."""
        self._ask("looked", "look", tuple(spans))

    def commit(self, commit: Commit) -> tuple[bool, Any]:
        """Whether the row is committed, and the cargo that it found; when not, newer values have been taken over."""
        self._writing = commit.writes
        self._send("commit", commit.reads, commit.writes, commit.cargo, commit.note)
        kind, *found = self._answer("done", "stale")
        if kind == "stale":
            return False, None
        return True, None if found[0] is None else pickle.loads(found[0])

    def stored(self, keys: Iterable[Key]) -> None:
        """Have those told who watch these registers; with the next message, as with `enclose`."""
        self._stored += keys

    def tell_stored(self) -> None:
        """Have them told now: what comes next may take long."""
        if self._stored:
            self._send()

    def post(self, to: str, content: Any) -> None:
        """Send a letter; any thread may."""
        self._wire.send(("post", (to, pickle.dumps(content, pickle.HIGHEST_PROTOCOL))))

    def enclose(self, to: str, content: Any) -> None:
        """Send a letter with the next message, at the latest when this process waits for news."""
        self._enclosed.append((to, pickle.dumps(content, pickle.HIGHEST_PROTOCOL)))

    def bury(self, name: str) -> Commit | None:
        """Have a dead client forgotten; the last row that it committed."""
        return self._ask("buried", "bury", name)[0]  # type: ignore[no-any-return]

    def listen(self) -> None:
        """Have the socket become readable whenever there are news or letters, from now on."""
        self._send("listen")

    def await_news(self, heeds: Heeds = EVERYTHING) -> None:
        """Say that nothing is to be done here before what is heeded changes, or a letter comes; the socket becomes readable when that, or what
        was waited for before, has happened."""
        if not self._waits or not self._heeds.covers(heeds):
            self._waits, self._heeds = True, heeds
            self._send("wait", heeds.always, [tuple(vain) for vain in heeds.vainly])
        else:
            self._send()

    def hear(self) -> None:
        """Take over what has arrived, if there is anything. Cost: nothing, where there is not."""
        if self._mail is not None and self._mail() != self.heard:
            self.take_news()

    def take_news(self) -> None:
        """Take over what has arrived, without waiting."""
        for kind, *content in self._wire.arrived():
            self._take(kind, *content)

    def call_before_sending(self) -> None:
        """What is to be done before anybody hears of a row."""
        for call in self.before_sending:
            call()

    def _ask(self, expected: str, *question: Any) -> list[Any]:
        self._send(*question)
        return self._answer(expected)[1:]

    def _send(self, *message: Any) -> None:
        messages: list[tuple[Any, ...]] = []
        if self._enclosed or self._stored or message[:1] == ("commit",):
            self.call_before_sending()
        if self._enclosed:
            messages.append(("post", *self._enclosed))
            self._enclosed = []
        if self._stored:
            messages.append(("stored", tuple(self._stored)))
            self._stored = []
        if message:
            messages.append(message)
        if messages:
            self._wire.send(*messages)

    def _answer(self, *expected: str) -> list[Any]:
        while True:
            kind, *content = self._wire.receive()
            self._take(kind, *content)
            if kind in expected:
                for later in self._wire.left_over():
                    self._take(*later)
                return [kind, *content[3:]]

    def _take(self, kind: str, moment: float, news: Cells, letters: list[tuple[str, bytes]], *_: Any) -> None:
        self.heard, self.heard_at = self.heard + 1, moment
        self._learn(news)
        self.changed += news
        self.letters += (Letter(sender, pickle.loads(content)) for sender, content in letters)
        if kind == "news":
            self._waits = False
        elif kind == "stale":
            self._waits, self._heeds = True, self._heeds | variables_of(news)
        elif kind == "done":
            self._waits = True
            self._learn(self._writing)  # before any news that came behind the answer

    def _learn(self, cells: Cells) -> None:
        for (number, place), value in cells.items():
            if number in self.known:
                self.known[number][place] = self._directory.decode(number, value)
