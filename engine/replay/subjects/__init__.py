"""Which world belongs to which builder of the catalogue."""

from __future__ import annotations

from collections.abc import Callable

from protocol.machines.hand_over import layer0_signal
from protocol.system import System

from ..world import World
from .hand_over import HandOver

SUBJECTS: dict[Callable[..., System], type[World]] = {
    layer0_signal.build: HandOver,
}
