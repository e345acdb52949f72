"""A run of the load client from end to end: start or reach what generates, play, measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protocol import DefinitionError

from ..audit import Audit, audit
from ..deployment import Deployment
from ..disaggregated.lockstep_service import LockstepService
from ..disaggregated.succession import Succession
from ..generation import Stats
from ..metrics import Measurement
from ..model.named import config_of, weights_of
from ..model.sampling import Sampling
from ..workload import SYNTHETIC, Request, generate, load, sessions_of
from . import virtual
from .client import play
from .service import ServiceGenerator
from .traffic import Traffic


@dataclass(frozen=True)
class Source:
    """Where the requests come from.

    Args:
        workload: a trace file, or "synthetic". limit: requests, from the beginning. scale: factor of all lengths.
        rate, rounds, input_len, output_len, seed: of the synthetic ones; see `generate`.

    Raises:
        DefinitionError: an option of the synthetic workload with a file.
    """

    workload: str
    limit: int
    scale: float = 1.0
    rate: float = 8.0
    rounds: int = 1
    input_len: int | None = None
    output_len: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.synthetic and (self.rounds != 1 or self.input_len is not None or self.output_len is not None):
            raise DefinitionError("--rounds, --input-len and --output-len are of the synthetic workload; a trace has its own (--scale shortens them)")

    @property
    def synthetic(self) -> bool:
        """Whether the requests are generated."""
        return self.workload == SYNTHETIC

    def __str__(self) -> str:
        return f"generated with seed {self.seed}" if self.synthetic else self.workload

    def requests(self) -> list[Request]:
        """The requests, in order of arrival.

        Raises:
            TraceError: the file is no trace.
        """
        if self.synthetic:
            requests = generate(self.seed, self.limit, self.rate, rounds=self.rounds, input_len=self.input_len, output_len=self.output_len)
        else:
            requests = load(self.workload, limit=self.limit)
        return requests if self.scale == 1 else [request.scaled(self.scale) for request in requests]


@dataclass(frozen=True)
class Answers:
    """How answers are asked for: the temperature and the nucleus of their tokens, and whether the token that would end one is passed over."""

    temperature: float = 0.0
    ignore_eos: bool = True
    top_p: float = 1.0

    @property
    def sampling(self) -> Sampling:
        """How every token is chosen.

        Raises:
            DefinitionError: a number out of range.
        """
        return Sampling(self.temperature, self.top_p)


def context_of(requests: Sequence[Request]) -> int:
    """Tokens of the longest session, answers included."""
    return max(sum(r.prompt_tokens + r.output_tokens for _, r in session) for session in sessions_of(requests))


def run_in_process(
    requests: Sequence[Request],
    traffic: Traffic,
    wanted: Deployment,
    answers: Answers,
    progress: Callable[[int], None],
    log: Path | None = None,
    *,
    audits: bool = False,
) -> tuple[Measurement, dict[str, Any], Audit | None, dict[Path, str]]:
    """Play the requests against an engine that is started for it and stopped at the end; also tells its own figures (`told`), and its logs.

    Args:
        log: where a disaggregated engine's event log goes; see `Succession`. It is written when all is over.
        audits: whether everything that it has generated is compared with the monolithic pass afterwards.

    Raises:
        DefinitionError, EngineError: it cannot be started. TraceError: a log cannot be written.
    """
    last = frozenset[int]() if answers.ignore_eos else frozenset({config_of(wanted.model).last_token})
    sampling = answers.sampling
    service = wanted.start(log, keeps_records=audits, signals=True)
    try:
        measured = asyncio.run(play(requests, ServiceGenerator(service, sampling, last), traffic, progress=progress))
        if not isinstance(service, Succession):
            return measured, {}, None, {}
        leaks = service.leaks() if audits else []
        rows = service.stop().rows
        found = audit(weights_of(config_of(wanted.model)), service.records, leaks, wanted.routing) if audits else None
        return measured, told(rows, service.stats(), balances=wanted.redundant_experts is not None), found, service.written
    finally:
        service.close()


def run_in_lockstep(
    requests: Sequence[Request],
    traffic: Traffic,
    service: LockstepService,
    answers: Answers,
    progress: Callable[[int], None],
    log: Path | None = None,
    *,
    audits: bool = False,
) -> tuple[Measurement, dict[str, Any], Audit | None]:
    """Play the requests against an engine in lockstep, client and engine on one virtual time; also tells its own figures (`told`).

    Args:
        log: where the event log goes, if the service keeps one. audits: see `run_in_process`.

    Raises:
        EngineError: the engine stands still; who waits for what. TraceError: a log cannot be written.
    """
    engine = service.engine
    last = frozenset[int]() if answers.ignore_eos else frozenset({engine.plant.config.last_token})
    generator = ServiceGenerator(service, answers.sampling, last)
    with closing(service):
        measured = virtual.run(play(requests, generator, traffic, progress=progress), engine.ensemble.time, service.wait)
        engine.run()
        found = audit(weights_of(engine.plant.config), engine.records.values(), engine.leaks(), engine.plant.routing) if audits else None
        if log is not None:
            engine.ensemble.write_log(log)
        return measured, told(engine.ensemble.fired, service.stats(), balances=engine.plant.balances_experts), found


def told(rows: int, stats: Stats, *, balances: bool) -> dict[str, Any]:
    """What an engine says of itself behind a run: the rows that it has fired, what its prefix cache and its drafts were good for, if anything
    was looked up or proposed, and how its experts have moved, if they may."""
    figures: dict[str, Any] = {"rows_fired": rows}
    if stats.prefix.queries:
        figures["prefix_cache_hit_rate"] = round(stats.prefix.hit_rate, 3)
    if stats.drafts.proposed:
        figures["draft_acceptance_rate"] = round(stats.drafts.acceptance_rate, 3)
    if balances:
        figures["expert_moves"] = stats.experts.moves
    if balances and stats.experts.imbalance is not None:
        before, after = stats.experts.imbalance
        figures |= {"expert_imbalance_before": round(before, 3), "expert_imbalance_after": round(after, 3)}
    return figures


def run_over_http(
    requests: Sequence[Request], traffic: Traffic, url: str, model: str | None, answers: Answers, progress: Callable[[int], None]
) -> tuple[Measurement, str]:
    """Play the requests against a server; also tells the model that it serves.

    Raises:
        DefinitionError: httpx is not installed. EngineError: nobody answers at that address.
    """
    try:
        from .http import connect
    except ImportError as error:
        raise DefinitionError(f"the package {error.name} is missing; install interlock[load]") from None
    sampling = answers.sampling

    async def run() -> tuple[Measurement, str]:
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "ignore_eos": answers.ignore_eos}
        async with connect(url, model, options) as generator:
            return await play(requests, generator, traffic, progress=progress), generator.model

    return asyncio.run(run())


def at_their_times(requests: Sequence[Request], traffic: Traffic) -> list[Request]:
    """The requests with the times that the traffic gives their sessions as their own, for an engine that plays them itself.

    Raises:
        DefinitionError: a limit of concurrency, which such an engine cannot keep.
    """
    if traffic.concurrency is not None:
        raise DefinitionError("--concurrency: only a load client keeps it; leave out --prefill 0")
    if traffic.timed:
        return list(requests)
    sessions = sessions_of(requests)
    timed = [(n, replace(r, arrival_s=start * traffic.speed)) for start, rounds in zip(traffic.starts_s(sessions), sessions) for n, r in rounds]
    return [request for _, request in sorted(timed, key=lambda one: one[0])]
