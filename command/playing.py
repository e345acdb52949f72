"""Who answers the requests of `interlock run`: a server, or an engine that is started for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import DefinitionError

from .progress import Progress

if TYPE_CHECKING:
    from engine.audit import Audit
    from engine.load.bench import Answers, Source
    from engine.load.traffic import Traffic
    from engine.metrics import Measurement
    from engine.workload import Request

    from .lockstep import Lockstep

EVENTS = Path("events.ndjson")
"""Where the event log of a run goes if nothing is said."""
OURS = "repaired"

Told = Callable[[int], None]
"""Is told how many requests are completed."""


@dataclass(frozen=True)
class Load:
    """What is played: requests of a source, at which times, and how they ask."""

    source: Source
    traffic: Traffic
    answers: Answers


@dataclass(frozen=True)
class Played:
    """What was measured; `details` stand under the table, `written` are the event logs with what each is of."""

    measured: Measurement
    details: dict[str, Any]
    written: dict[Path, str] = field(default_factory=dict)
    audit: Audit | None = None

    @property
    def fine(self) -> bool:
        """Whether every request was answered, and an audit found nothing."""
        return not self.measured.failed and (self.audit is None or self.audit.healthy)


@dataclass(frozen=True)
class Player:
    """What a command line says of who answers.

    Args:
        url: of a server; empty for an engine of our own. monolithic, prefill: which of these; without both, the gate and its ranks alone.
        ranks, decode, experts, variant, sequences, context_tokens, prefix_cache, drafts, routing, redundant, asynchronous: of the engine; see
            `Deployment`. `variant`: of the gate. `experts`: how many ranks have whole ones. `redundant`: experts of a rank, if they move.
        audits: whether all tokens are compared afterwards. log: where the events go. lockstep: the turns of a run in one process, None
            for processes.

    Raises:
        DefinitionError: some of these do not go together.
    """

    url: str
    model: str
    monolithic: bool
    prefill: int
    decode: int
    ranks: int
    experts: int
    variant: str
    sequences: int
    context_tokens: int | None
    prefix_cache: bool
    drafts: int
    routing: str
    redundant: int | None
    asynchronous: bool
    audits: bool
    log: Path | None
    lockstep: Lockstep | None

    def __post_init__(self) -> None:
        foreign = bool(self.url) or self.monolithic
        if self.url and self.monolithic:
            raise DefinitionError("--url and --monolithic: give one of them")
        if self.audits and (foreign or not self.prefill):
            raise DefinitionError("--audit: only the disaggregated engine keeps what it generates; leave out --url, --monolithic and --prefill 0")
        if self.lockstep is not None and foreign:
            raise DefinitionError("--lockstep: only the engine that the protocol drives has turns; leave out --url or --monolithic")
        if self.variant != OURS and (foreign or self.prefill):
            raise DefinitionError("--variant: of the gate and its ranks; give --prefill 0, or leave a rule of the whole protocol out by --without")
        if (self.experts > 1 or self.routing or self.redundant is not None) and (self.url or not (self.monolithic or self.prefill)):
            raise DefinitionError("--ep, --eplb and --routing: of an engine with tensors; leave out --url and --prefill 0")
        if self.asynchronous and (foreign or not self.prefill):
            raise DefinitionError("--async-execution: of P's ranks; leave out --url, --monolithic and --prefill 0")
        if foreign and self.log is not None:
            raise DefinitionError("--log and --timeline: only the engine that the protocol drives has events; leave out --url or --monolithic")

    @property
    def events(self) -> Path | None:
        """Where the event log goes; None where there is none."""
        return None if self.url or self.monolithic else self._events

    @property
    def _events(self) -> Path:
        return self.log or EVENTS

    def play(self, load: Load, shown: Progress) -> Played:
        """Play it, showing how far it is.

        Raises:
            DefinitionError, EngineError: the engine cannot be had so, or nobody answers at the address. TraceError: the workload is no
                trace, or a log cannot be written.
        """
        from engine.load import bench

        requests = load.source.requests()

        def progress(completed: int) -> None:
            shown.show(f"{completed:,} of {len(requests):,} requests completed")

        if self.url:
            measured, served = bench.run_over_http(requests, load.traffic, self.url, self.model or None, load.answers, progress)
            return Played(measured, {"model_id": served})
        if self.monolithic or self.prefill:
            return self._generated(load, requests, progress)
        return self._gated(load, requests, progress)

    def _generated(self, load: Load, requests: Sequence[Request], progress: Told) -> Played:
        """By an engine with tensors."""
        from engine.deployment import Deployment
        from engine.load import bench

        instances = {} if self.monolithic else {"prefill": self.prefill, "decode": self.decode}
        wanted = Deployment(
            self.model or "tiny",
            instances.get("prefill", 0),
            self.decode,
            self.ranks,
            self.experts,
            sequences=self.sequences,
            context_tokens=self.context_tokens or max(2, bench.context_of(requests)),
            prefix_cache=self.prefix_cache,
            routing=self.routing,
            redundant_experts=self.redundant,
            drafts=self.drafts,
            asynchronous=self.asynchronous,
        )
        details = {"model_id": wanted.model, "ranks": self.ranks} | ({"expert_parallel": self.experts} if self.experts > 1 else {}) | instances
        details |= {"async_execution": True} if self.asynchronous else {}
        if self.lockstep is not None:
            measured, told, found = self.lockstep.play(requests, load.traffic, wanted, load.answers, progress, self.events, self.audits)
            return Played(measured, details | told, {} if self.events is None else {self.events: ""}, found)
        measured, figures, found, written = bench.run_in_process(
            requests, load.traffic, wanted, load.answers, progress, self.events, audits=self.audits
        )
        return Played(measured, details | figures, written, found)

    def _gated(self, load: Load, requests: Sequence[Request], progress: Told) -> Played:
        """By the gate and its ranks, without tensors."""
        from engine.forward_signal.plan import SignalPlan
        from engine.forward_signal.run import run_live
        from engine.load import bench

        log, speed = self._events, load.traffic.speed
        timed, plan = bench.at_their_times(requests, load.traffic), SignalPlan(self.ranks, self.variant)
        if self.lockstep is not None:
            measured, details = self.lockstep.signal(timed, plan, speed, log)
            return Played(measured, details, {log: ""})
        drawn = load.source.seed if load.source.synthetic or not load.traffic.timed else None
        report = run_live(timed, plan, speed=speed, log_path=log, seed=drawn, progress=progress)
        return Played(report.measurement, report.details(), {log: ""})
