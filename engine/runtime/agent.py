"""An agent: the thread of one copy, in either runtime.

One rule: act after commit. A turn looks at the rows that can leave the copy's state, fires one of them, logs it, and only then calls
its handler. Who decides a row: one that is `prompt` fires when it is enabled, a `timer`'s when its time has come, and one that
is `decided` or `observed` on the word of its handler - an observed one without a handler never fires by itself. Of several, the row
that has fired least recently is tried first, so that each row of the copy that stays enabled has its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any

from protocol import DefinitionError
from protocol.action import Action, Instance

from ..binding import Bindings, Handlers, Outcome
from ..clock import Clock
from ..driver import Copy, Driver
from ..log import LogPart
from ..step import Step

POLL_S = 0.0005
"""Pause after an unsuccessful look of a polling loop, which would else take the processor from those it waits for."""
ON_WORD = ("decided", "observed")
"""Rows that fire on the word of a handler."""
Handler = Callable[[Sequence[Outcome]], Outcome | None]
Offer = list[Instance]
"""Enabled instances of one row, or of all rows that one handler decides."""


class Agent:
    """Fires the rows of one copy; `deliver` gets what its handlers return.

    `order` and `pick` are for a policy that wants other than the least recent row, and its first instance.
    """

    def __init__(self, driver: Driver, copy: Copy, bindings: Bindings, clock: Clock, log: LogPart | None, deliver: Callable[[Any], None]):
        self.driver, self.copy = driver, copy
        self._bindings, self._clock = bindings, clock
        self._log, self._deliver = log, deliver
        self._last: dict[int, int] = {}
        self._plans: dict[IntEnum, list[tuple[Action, Handler | None]]] = {}
        self.order: Callable[[list[Offer]], list[Offer]] = lambda offers: offers
        self.pick: Callable[[Sequence[Instance]], Instance] = lambda instances: instances[0]
        self.fired = 0

    def fires(self, action: Action) -> bool:
        """Whether the row ever fires by the agent's own doing."""
        return action.row.decided not in ON_WORD or self._handler(action) is not None

    @cached_property
    def asks(self) -> bool:
        """Whether some of its rows wait for a handler's word."""
        return any(self._handler(action) is not None for rows in self.copy.rows.values() for action in rows)

    def _handler(self, action: Action) -> Handler | None:
        """Who decides the row."""
        return self._bindings.of(action.name).decides if action.row.decided in ON_WORD else None

    def turn(self) -> bool:
        """Fire one row; False when none is enabled, or those that are shall not be fired now.

        Raises:
            DefinitionError: a handler decided on a row that is not open.
        """
        offers: list[Offer] = []
        of_handlers: dict[Handler, Offer] = {}
        for action, handler in self._plan():
            found = self._enabled(action)
            if found and action.row.decided == "timer":
                found = [instance for instance in found if self._is_due(instance)]
            if found and handler is not None:
                if handler not in of_handlers:
                    offers.append(of_handlers.setdefault(handler, []))
                of_handlers[handler] += found
            elif found:
                offers.append(found)
        if len(offers) > 1:
            offers = self.order(sorted(offers, key=self._recency))
        return any(map(self._take, offers))

    def take(self, instance: Instance) -> bool:
        """Fire this very row, whoever decides it; False when it is not enabled."""
        return self._fire(instance)

    def _plan(self) -> list[tuple[Action, Handler | None]]:
        """The rows that can leave the copy's state and fire by the agent's doing, each with who decides it."""
        state = self.copy.state
        plan = self._plans.get(state)
        if plan is None:
            plan = self._plans[state] = [(action, self._handler(action)) for action in self.copy.rows[state] if self.fires(action)]
        return plan

    def _enabled(self, action: Action) -> Offer:
        """The instances of a row that can leave the copy's state that could fire now."""
        return self.driver.openings(self.copy, action)

    def _recency(self, offer: Offer) -> tuple[bool, int]:
        """What has been observed comes first, then what has waited longest."""
        return offer[0].action.row.decided != "observed", min(self._last.get(i.action.number, 0) for i in offer)

    def _take(self, offer: Offer) -> bool:
        handler = self._handler(offer[0].action)
        return self._fire(self.pick(offer)) if handler is None else self._decide(offer, handler)

    def _decide(self, open_rows: Offer, handler: Handler) -> bool:
        outcomes = [_outcome(instance) for instance in open_rows]
        chosen = handler(outcomes)
        if chosen is None:
            self._leave(open_rows)
            return False
        if chosen not in outcomes:
            known = ", ".join(outcome.event for outcome in outcomes)
            raise DefinitionError(f"its handler decided on {chosen.event}{chosen.values or ''}; open are {known}", machine=self.copy.name)
        return self._fire(open_rows[outcomes.index(chosen)])

    def _fire(self, instance: Instance) -> bool:
        began, handlers = self._clock.now(), self._bindings.of(instance.action.name)
        cargo = None if handlers.carries is None else handlers.carries(_outcome(instance))
        step = self._attempt(instance, handlers, cargo)
        if step is None:
            return False
        self.fired += 1
        self._last[instance.action.number] = self.fired
        if self._log is not None:
            self._log.write(step, self._since(began), self._clock.now())
        if handlers.acts:
            self._before_acting()
        try:
            data = None if handlers.after is None else handlers.after(step)
        except Exception as error:
            error.add_note(f"behind {self.copy.name}.{step.event}")
            raise
        if data is not None:
            self._deliver(data)
        if instance.action.row.poll:
            self._rest()
        return True

    def _attempt(self, instance: Instance, handlers: Handlers, cargo: Any) -> Step | None:
        """What comes of the row; None when it is not enabled."""
        return self.driver.attempt(self.copy, instance, cargo)

    def _before_acting(self) -> None:
        """A handler is about to act, which may take long."""

    def _since(self, began: float) -> float:
        """From when on the row that has just committed may have fired; `began`: when it was begun."""
        return began

    def _leave(self, open_rows: Offer) -> None:
        """A handler wants none of these rows for now."""

    def _rest(self) -> None:
        """A polling loop has looked in vain."""
        self._clock.sleep(POLL_S)

    def _is_due(self, instance: Instance) -> bool:
        """Whether a timer's row that is enabled may fire now."""
        return True


def _outcome(instance: Instance) -> Outcome:
    return Outcome(instance.action.row.event, instance.values)
