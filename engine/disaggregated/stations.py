"""The processes of an engine: their names, which copies of which machine each runs, and with which crew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..runtime.placement import Part, Placement, Station
from .crews import DecodeCrew, DecodeRankCrew, DeviceCrew, LaunchingCrew, Memory, MessagerCrew, PrefillCrew, RankCrew, RouterCrew
from .plant import Plant

ROUTER = "router"
"""The router's process, which hears from the outside."""
ASK_AGAIN_S = 0.01
"""How long P leaves a D alone that has refused a request for want of room."""


def prefill_engines(plant: Plant) -> list[str]:
    """The processes of the engines of all P's, in their order."""
    return [f"prefill {i} engine" for i in range(plant.prefills)] if plant.prefills > 1 else ["prefill engine"]


def decode_engines(plant: Plant) -> list[str]:
    """The processes of the engines of all D's, in their order."""
    return [f"decode engine {d}" for d in range(plant.decodes)]


def placement_of(plant: Plant, memory: Callable[[], Memory]) -> Placement:
    """A process for the router, for the engine of each P and each D, and for each rank's worker and messager.

    Args:
        memory: asked in each process that needs it; picklable where processes are real.
    """
    stations = [Station(ROUTER, (Part("router"), Part("control")), partial(RouterCrew, plant, memory, prefill_engines(plant)))]
    for i in range(plant.prefills):
        stations += _prefill_stations(plant, memory, i)
    for d in range(plant.decodes):
        stations += _decode_stations(plant, memory, d)
    return Placement(plant.protocol, tuple(stations), {"prepare.ask_again": ASK_AGAIN_S})


def _prefill_stations(plant: Plant, memory: Callable[[], Memory], prefill: int) -> list[Station]:
    """The processes of one P."""
    leading, name = plant.prefill_copy(prefill), f"prefill {prefill} " if plant.prefills > 1 else ""
    threads = ("prepare", "gate", "token_processor", "completer", "connector", *(["timer"] if plant.has_timer else []))
    stations = [Station(prefill_engines(plant)[prefill], tuple(Part(thread, leading) for thread in threads), partial(PrefillCrew, plant))]
    for r in range(plant.ranks):
        copy = (*leading, r)
        own = name or "prefill "
        if plant.asynchronous:
            stations.append(Station(f"{own}worker {r}", (Part("worker", copy),), partial(LaunchingCrew, plant, prefill, r)))
            stations.append(Station(f"{own}device {r}", (Part("device", copy),), partial(DeviceCrew, plant, memory, prefill, r)))
        else:
            stations.append(Station(f"{own}worker {r}", (Part("worker", copy),), partial(RankCrew, plant, memory, prefill, r)))
        parts = tuple(Part(thread, copy) for thread in ("registrar", "consumer", "sender"))
        stations.append(Station(f"{name}messager {r}", parts, partial(MessagerCrew, plant, memory, prefill, r)))
    return stations


def _decode_stations(plant: Plant, memory: Callable[[], Memory], decode: int) -> list[Station]:
    """The processes of one D; its ranks live and die with its engine."""
    name = decode_engines(plant)[decode]
    partners = [_decode_worker(d, 0) for d in range(plant.decodes) if d != decode] if plant.shares_experts else []
    parts = tuple(Part(machine, (decode,)) for machine in ("listener", "decode_loop", "decode_worker", "decode_gate"))
    stations = [Station(name, parts, partial(DecodeCrew, plant, memory, decode, partners))]
    for r in range(plant.ranks):
        crew = partial(DecodeRankCrew, plant, memory, decode, r)
        stations.append(Station(_decode_worker(decode, r), (Part("decode_rank", (decode, r)),), crew))
    return stations


def _decode_worker(decode: int, rank: int) -> str:
    """The process of a D's rank."""
    return f"decode {decode} worker {rank}"
