"""Which world belongs to which builder of the catalogue."""

from __future__ import annotations

from collections.abc import Callable

from protocol.machines.buffers.sampling_mirror import build as sampling_mirror
from protocol.machines.engine_threads.engine_threads import build as engine_threads
from protocol.machines.hand_over.layer0_signal import build as layer0_signal
from protocol.machines.lifecycle.lifecycle import build as lifecycle
from protocol.machines.lifecycle.prefill_scheduling import build as prefill_scheduling
from protocol.machines.network.lease import build as lease
from protocol.machines.network.reservation import build as reservation
from protocol.machines.preparation.prefix_cache import build as prefix_cache
from protocol.machines.preparation.preparation import build as preparation
from protocol.machines.repaired.protocol import build as repaired
from protocol.machines.sending.chunked_send import build as chunked_send
from protocol.machines.sending.slot_reuse import build as slot_reuse
from protocol.machines.signalling.forward_signal import build as forward_signal
from protocol.system import System

from .subjects.chunked_send import ChunkedSend
from .subjects.engine_threads import EngineThreads
from .subjects.forward_signal import ForwardSignal
from .subjects.hand_over import HandOver
from .subjects.lease import Lease
from .subjects.lifecycle import Lifecycle
from .subjects.prefill_scheduling import PrefillScheduling
from .subjects.prefix_cache import PrefixCache
from .subjects.preparation import Preparation
from .subjects.repaired import Repaired
from .subjects.reservation import Reservation
from .subjects.sampling_mirror import SamplingMirror
from .subjects.slot_reuse import SlotReuse
from .world import World

SUBJECTS: dict[Callable[..., System], type[World]] = {
    chunked_send: ChunkedSend,
    engine_threads: EngineThreads,
    forward_signal: ForwardSignal,
    layer0_signal: HandOver,
    lease: Lease,
    lifecycle: Lifecycle,
    prefill_scheduling: PrefillScheduling,
    prefix_cache: PrefixCache,
    preparation: Preparation,
    repaired: Repaired,
    reservation: Reservation,
    sampling_mirror: SamplingMirror,
    slot_reuse: SlotReuse,
}
