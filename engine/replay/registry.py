"""Which world belongs to which builder of the catalogue."""

from __future__ import annotations

from collections.abc import Callable

from protocol.machines.engine_threads.engine_threads import build as engine_threads
from protocol.machines.hand_over.layer0_signal import build as layer0_signal
from protocol.machines.network.reservation import build as reservation
from protocol.machines.preparation.prefix_cache import build as prefix_cache
from protocol.machines.sending.slot_reuse import build as slot_reuse
from protocol.system import System

from .subjects.engine_threads import EngineThreads
from .subjects.hand_over import HandOver
from .subjects.prefix_cache import PrefixCache
from .subjects.reservation import Reservation
from .subjects.slot_reuse import SlotReuse
from .world import World

SUBJECTS: dict[Callable[..., System], type[World]] = {
    engine_threads: EngineThreads,
    layer0_signal: HandOver,
    prefix_cache: PrefixCache,
    reservation: Reservation,
    slot_reuse: SlotReuse,
}
