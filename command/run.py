"""`interlock run`: a workload played and measured, on the engine in its processes or against a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import DefinitionError

from .lockstep import CHANGES, Lockstep, Turns
from .options import AsyncExecution, Drafts, Eplb, ExpertParallel, JsonFile, PrefixCaching, Routing
from .playing import EVENTS, OURS, Load, Played, Player
from .printing import write_json
from .progress import Progress

if TYPE_CHECKING:
    from engine.load.table import Selection
    from engine.load.traffic import Traffic

FAILURES_SHOWN = 10
"""Of a run, on standard error; all are counted."""


def run(
    workload: Annotated[str, typer.Option(help="A trace - Mooncake or ShareGPT JSONL, Azure or BurstGPT CSV - or synthetic.")] = "synthetic",
    limit: Annotated[int, typer.Option("--limit", "--num-prompts", min=1, help="Requests to take from the workload.")] = 200,
    scale: Annotated[float, typer.Option(min=1e-6, help="Factor of all lengths: a small engine, a long trace.")] = 1.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a session, synthetic.")] = 1,
    input_len: Annotated[int | None, typer.Option("--input-len", "--random-input-len", min=1, help="Tokens of every prompt, synthetic.")] = None,
    output_len: Annotated[int | None, typer.Option("--output-len", "--random-output-len", min=1, help="Tokens of every answer, synthetic.")] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="How much faster than the trace time passes.")] = 1.0,
    concurrency: Annotated[int | None, typer.Option("--concurrency", "--max-concurrency", min=1, help="Sessions under way at once.")] = None,
    request_rate: Annotated[float | None, typer.Option(help="Sessions a second instead of the trace's times; inf: all at once.")] = None,
    burstiness: Annotated[float, typer.Option(help="Of --request-rate: 1 is Poisson, less is burstier, more is evener.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the generator, of --request-rate and of the prompts.")] = 0,
    url: Annotated[str, typer.Option("--url", "--base-url", help="A server with the OpenAI API: http://host:port.")] = "",
    model: Annotated[str, typer.Option(help="With --url, its first if none is named; else tiny, tiny-experts or smollm2.")] = "",
    monolithic: Annotated[bool, typer.Option("--monolithic", help="The engine in this process, without the protocol: the baseline.")] = False,
    prefill: Annotated[int, typer.Option(min=0, help="Prefill instances, which share the D instances; 0: the gate and its ranks only.")] = 1,
    decode: Annotated[int, typer.Option(min=1, help="Decode instances, with --prefill.")] = 1,
    ranks: Annotated[int, typer.Option("--ranks", "--tp", min=1, help="Tensor-parallel ranks of an instance.")] = 2,
    ep: ExpertParallel = 1,
    eplb: Eplb = None,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="Generations that run at once on a decode instance, or --monolithic.")] = 8,
    max_model_len: Annotated[int | None, typer.Option(min=2, help="Tokens of the context of these; else the longest session's.")] = None,
    prefix_caching: PrefixCaching = True,
    drafts: Drafts = 0,
    routing: Routing = "",
    async_execution: AsyncExecution = False,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the answers; 0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="With a temperature: of the likeliest tokens only, which together have so much probability.")] = 1.0,
    ignore_eos: Annotated[bool, typer.Option(help="Answers as long as the workload says.")] = True,
    percentile_metrics: Annotated[str, typer.Option(help="Latencies to tell.")] = "ttft,tpot,itl,e2el",
    metric_percentiles: Annotated[str, typer.Option(help="Percentiles of them.")] = "90,99",
    goodput: Annotated[str, typer.Option(help="Count requests within limits in ms, in quotes: 'ttft:200 tpot:50 e2el:9000'.")] = "",
    audit: Annotated[bool, typer.Option("--audit", help="Compare every token with a monolithic pass, and look for what was left behind.")] = False,
    save_detailed: Annotated[bool, typer.Option("--save-detailed", help="With --json: every request too.")] = False,
    log: Annotated[Path | None, typer.Option(help="The event log, one JSON object a line; else events.ndjson.")] = None,
    timeline: Annotated[Path | None, typer.Option(help="A picture of every row fired, for ui.perfetto.dev or chrome://tracing.")] = None,
    lockstep: Annotated[bool, typer.Option("--lockstep", help="In this process, on virtual time: 5 ms a forward, 40 us a row.")] = False,
    policy: Annotated[Turns | None, typer.Option(help="With --lockstep: whose turn it is (round-robin); random and pct draw from --seed.")] = None,
    changes: Annotated[int | None, typer.Option(min=0, help=f"Change points of --policy pct ({CHANGES}).")] = None,
    record: Annotated[Path | None, typer.Option(help="With --lockstep: write every choice of the policy to a file.")] = None,
    recorded: Annotated[Path | None, typer.Option(help="With --lockstep: make the choices of such a file again.")] = None,
    without: Annotated[str | None, typer.Option(help="With --lockstep: leave a rule of the repaired protocol out (docs/repaired.md).")] = None,
    variant: Annotated[str, typer.Option(help="With --prefill 0: A, B or B' of #6680 instead of ours.")] = OURS,
    json_file: JsonFile = "",
) -> None:
    """Play a workload on the engine or on a server, and measure it. Exit code 1: a request failed, or --audit found a fault."""
    from engine.load import bench
    from engine.load.table import Selection

    alone = Lockstep.asked(lockstep, policy, seed, changes, record, recorded, without)
    events = log if log is not None or timeline is None else EVENTS  # a timeline is drawn from the log
    player = Player(
        url=url, model=model, monolithic=monolithic, prefill=prefill, decode=decode, ranks=ranks, experts=ep, redundant=eplb, variant=variant,
        sequences=max_num_seqs, context_tokens=max_model_len, prefix_cache=prefix_caching, drafts=drafts, routing=routing,
        asynchronous=async_execution, audits=audit, log=events, lockstep=alone,
    )  # fmt: skip
    if save_detailed and not json_file:
        raise DefinitionError("--save-detailed: the requests stand in the answer as JSON; give --json FILE")
    selection = Selection.parse(percentile_metrics, metric_percentiles, goodput)
    source = bench.Source(workload, limit, scale, rounds=rounds, input_len=input_len, output_len=output_len, seed=seed)
    load = Load(source, _traffic(request_rate, burstiness, concurrency, speed, seed), bench.Answers(temperature, ignore_eos, top_p))
    _check_files(player, timeline, json_file)
    with Progress("run") as shown:
        played = player.play(load, shown)
    _tell(load, played, selection, timeline, json_file, save_detailed)
    raise typer.Exit(0 if played.fine else 1)


def _traffic(request_rate: float | None, burstiness: float, concurrency: int | None, speed: float, seed: int) -> Traffic:
    """How it is played.

    Raises:
        DefinitionError: one of them is out of its range; by the name of its flag.
    """
    from engine.load.traffic import Traffic

    try:
        return Traffic(request_rate, burstiness, concurrency, speed, seed)
    except DefinitionError as error:
        raise DefinitionError(f"--{str(error).replace('_', '-')}") from None


def _check_files(player: Player, timeline: Path | None, json_file: str) -> None:
    """Refuse a run whose files could not be written, or whose log could not be read back for the picture."""
    from protocol.trace import check_target

    for file in (player.events, timeline, json_file if json_file != "-" else ""):
        if file:
            check_target(file)
    log = player.events
    if timeline is not None and log is not None and log.exists() and not log.is_file():
        raise DefinitionError(f"--timeline: it is drawn from the log, which cannot be read back from {log}; let --log name a file")


def _tell(load: Load, played: Played, selection: Selection, timeline: Path | None, json_file: str, detailed: bool) -> None:
    """The picture and the JSON that were asked for; the table of a run, its files, what the audit says; on standard error what failed."""
    from engine.load.table import result, table
    from engine.timeline import write_timeline

    if timeline is not None:
        write_timeline(played.written, timeline)
    if json_file:
        write_json(json_file, played.details | result(played.measured, load.traffic, selection, detailed=detailed))
    if json_file != "-":
        print(f"workload: {load.source}")
        print(table(played.measured, load.traffic, selection))
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in played.details.items() if value is not None))
        for file in played.written:
            print(f"event log written to {file}")
        if timeline is not None:
            print(f"timeline written to {timeline}")
        for line in played.audit.lines() if played.audit else ():
            print(line)
    for completion in played.measured.failed[:FAILURES_SHOWN]:
        print(f"request {completion.request} failed: {completion.error}", file=sys.stderr)
