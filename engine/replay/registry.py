"""Which world belongs to which builder of the catalogue."""

from __future__ import annotations

from collections.abc import Callable

from protocol.machines.buffers.draft_tokens import build as draft_tokens
from protocol.machines.buffers.graph_buffers import build as graph_buffers
from protocol.machines.buffers.routing_file import build as routing_file
from protocol.machines.buffers.sampling_mirror import build as sampling_mirror
from protocol.machines.collectives.expert_round import build as expert_round
from protocol.machines.collectives.weight_update import build as weight_update
from protocol.machines.engine_threads.engine_threads import build as engine_threads
from protocol.machines.hand_over.layer0_signal import build as layer0_signal
from protocol.machines.lifecycle.lifecycle import build as lifecycle
from protocol.machines.lifecycle.prefill_scheduling import build as prefill_scheduling
from protocol.machines.network.lease import build as lease
from protocol.machines.network.reservation import build as reservation
from protocol.machines.preparation.prefix_cache import build as prefix_cache
from protocol.machines.preparation.preparation import build as preparation
from protocol.machines.preparation.shared_config import build as shared_config
from protocol.machines.repaired.protocol import build as repaired
from protocol.machines.sending.chunked_send import build as chunked_send
from protocol.machines.sending.completions import build as completions
from protocol.machines.sending.empty_range import build as empty_range
from protocol.machines.sending.signal_struct import build as signal_struct
from protocol.machines.sending.signalled_layers import build as signalled_layers
from protocol.machines.sending.slot_reuse import build as slot_reuse
from protocol.machines.sending.stale_signals import build as stale_signals
from protocol.machines.sending.step_layer_words import build as step_layer_words
from protocol.machines.sending.swapped_rows import build as swapped_rows
from protocol.machines.signalling.forward_signal import build as forward_signal
from protocol.system import System

from .subjects.chunked_send import ChunkedSend
from .subjects.completions import Completions
from .subjects.draft_tokens import DraftTokens
from .subjects.empty_range import EmptyRange
from .subjects.engine_threads import EngineThreads
from .subjects.expert_round import ExpertRound
from .subjects.forward_signal import ForwardSignal
from .subjects.graph_buffers import GraphBuffers
from .subjects.hand_over import HandOver
from .subjects.lease import Lease
from .subjects.lifecycle import Lifecycle
from .subjects.prefill_scheduling import PrefillScheduling
from .subjects.prefix_cache import PrefixCache
from .subjects.preparation import Preparation
from .subjects.repaired import Repaired
from .subjects.reservation import Reservation
from .subjects.routing_file import RoutingFile
from .subjects.sampling_mirror import SamplingMirror
from .subjects.shared_config import SharedConfig
from .subjects.signal_struct import SignalStruct
from .subjects.signalled_layers import SignalledLayers
from .subjects.slot_reuse import SlotReuse
from .subjects.stale_signals import StaleSignals
from .subjects.step_layer_words import StepLayerWords
from .subjects.swapped_rows import SwappedRows
from .subjects.weight_update import WeightUpdate
from .world import World

SUBJECTS: dict[Callable[..., System], type[World]] = {
    chunked_send: ChunkedSend,
    completions: Completions,
    draft_tokens: DraftTokens,
    empty_range: EmptyRange,
    engine_threads: EngineThreads,
    expert_round: ExpertRound,
    forward_signal: ForwardSignal,
    graph_buffers: GraphBuffers,
    layer0_signal: HandOver,
    lease: Lease,
    lifecycle: Lifecycle,
    prefill_scheduling: PrefillScheduling,
    prefix_cache: PrefixCache,
    preparation: Preparation,
    repaired: Repaired,
    reservation: Reservation,
    routing_file: RoutingFile,
    sampling_mirror: SamplingMirror,
    shared_config: SharedConfig,
    signal_struct: SignalStruct,
    signalled_layers: SignalledLayers,
    slot_reuse: SlotReuse,
    stale_signals: StaleSignals,
    step_layer_words: StepLayerWords,
    swapped_rows: SwappedRows,
    weight_update: WeightUpdate,
}
