"""An agent for systems without roles."""

from __future__ import annotations

from engine.binding import Bindings
from engine.clock import VirtualClock, VirtualTime
from engine.driver import Copy, Driver
from engine.runtime.lockstep import LockstepAgent
from protocol.action import Action, Instance


class FreeAgent(LockstepAgent):
    """An agent without handlers: the policy decides what a handler, the clock or the environment would decide."""

    def __init__(self, driver: Driver, copy: Copy, time: VirtualTime):
        super().__init__(driver, copy, Bindings(driver.system, [], []), VirtualClock(time))

    def fires(self, action: Action) -> bool:
        """Every row does."""
        return True

    def _handler(self, action: Action) -> None:
        return None

    def _is_due(self, instance: Instance) -> bool:
        return True

    def _rest(self) -> None:
        """No time goes by."""
