"""Rows on order: what nobody fires by itself, the environment's above all."""

from __future__ import annotations

from engine.driver import Driver
from engine.step import Step
from protocol.action import Instance
from protocol.types import Value


def order(driver: Driver, name: str, *copy: Value, **values: Value) -> Step:
    """Fire the row of that name, `faults.crash`, with these values of its choices; GuardFailed when it is not enabled."""
    action = next(action for action in driver.system.actions if action.name == name)
    who = action.machine.name, copy
    doer = driver.environment.get(who) or driver.copies[who]
    return driver.fire(doer, Instance(action, copy, tuple(values[choice.name] for choice in action.row.choose)))
