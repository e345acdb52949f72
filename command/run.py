"""`interlock run`: a workload played and measured, on the engine in its processes or against a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.errors import DefinitionError

from .lockstep import Lockstep, Turns
from .options import Drafts, JsonFile, PrefixCaching
from .printing import write_json
from .progress import Progress

if TYPE_CHECKING:
    from engine.audit import Audit
    from engine.load.table import Selection
    from engine.load.traffic import Traffic
    from engine.metrics import Measurement

EVENTS = Path("events.ndjson")
"""Where the event log of a run goes if nothing is said."""
OURS = "repaired"
FAILURES_SHOWN = 10
"""Of a run, on standard error; all are counted."""


def run(
    workload: Annotated[str, typer.Option(help="A trace - Mooncake or ShareGPT JSONL, Azure or BurstGPT CSV - or synthetic.")] = "synthetic",
    limit: Annotated[int, typer.Option("--limit", "--num-prompts", min=1, help="Requests to take from the workload.")] = 200,
    scale: Annotated[float, typer.Option(min=1e-6, help="Factor of all lengths: a small engine, a long trace.")] = 1.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a session, synthetic.")] = 1,
    input_len: Annotated[int | None, typer.Option(min=1, help="Tokens of every prompt, synthetic.")] = None,
    output_len: Annotated[int | None, typer.Option(min=1, help="Tokens of every answer, synthetic.")] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="How much faster than the trace time passes.")] = 1.0,
    concurrency: Annotated[int | None, typer.Option("--concurrency", "--max-concurrency", min=1, help="Sessions under way at once.")] = None,
    request_rate: Annotated[float | None, typer.Option(help="Sessions a second instead of the trace's times; inf: all at once.")] = None,
    burstiness: Annotated[float, typer.Option(help="Of --request-rate: 1 is Poisson, less is burstier, more is evener.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the generator, of --request-rate and of the prompts.")] = 0,
    url: Annotated[str, typer.Option("--url", "--base-url", help="A server with the OpenAI API: http://host:port.")] = "",
    model: Annotated[str, typer.Option(help="With --url, its first if none is named; else tiny, tiny-experts or smollm2.")] = "",
    monolithic: Annotated[bool, typer.Option("--monolithic", help="The engine in this process, without the protocol: the baseline.")] = False,
    prefill: Annotated[int, typer.Option(min=0, help="Prefill instances, each with D instances of its own; 0: the gate and its ranks only.")] = 1,
    decode: Annotated[int, typer.Option(min=1, help="Decode instances, with --prefill.")] = 1,
    ranks: Annotated[int, typer.Option("--ranks", "--tp", min=1, help="Tensor-parallel ranks of an instance.")] = 2,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="Generations that run at once on a decode instance, or --monolithic.")] = 8,
    max_model_len: Annotated[int | None, typer.Option(min=2, help="Tokens of the context of these; else the longest session's.")] = None,
    prefix_caching: PrefixCaching = True,
    drafts: Drafts = 0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the answers; 0 is greedy.")] = 0.0,
    ignore_eos: Annotated[bool, typer.Option(help="Answers as long as the workload says.")] = True,
    percentile_metrics: Annotated[str, typer.Option(help="Latencies to tell.")] = "ttft,tpot,itl,e2el",
    metric_percentiles: Annotated[str, typer.Option(help="Percentiles of them.")] = "90,99",
    goodput: Annotated[str, typer.Option(help="Count requests within limits in ms: 'ttft:200 tpot:50 e2el:9000'.")] = "",
    audit: Annotated[bool, typer.Option("--audit", help="Compare every token with a monolithic pass, and look for what was left behind.")] = False,
    save_detailed: Annotated[bool, typer.Option("--save-detailed", help="With --json: every request too.")] = False,
    log: Annotated[Path | None, typer.Option(help="The event log, one JSON object a line; else events.ndjson.")] = None,
    timeline: Annotated[Path | None, typer.Option(help="A picture of every row fired, for ui.perfetto.dev or chrome://tracing.")] = None,
    lockstep: Annotated[bool, typer.Option("--lockstep", help="In this process, on virtual time: 5 ms a forward, 40 us a row.")] = False,
    policy: Annotated[Turns, typer.Option(help="With --lockstep: whose turn it is; random and pct draw from --seed.")] = Turns.ROUND_ROBIN,
    changes: Annotated[int, typer.Option(min=0, help="Change points of --policy pct.")] = 3,
    record: Annotated[Path | None, typer.Option(help="With --lockstep: write every choice of the policy to a file.")] = None,
    recorded: Annotated[Path | None, typer.Option(help="With --lockstep: make the choices of such a file again.")] = None,
    without: Annotated[str | None, typer.Option(help="With --lockstep: leave a rule of the repaired protocol out (docs/repaired.md).")] = None,
    variant: Annotated[str, typer.Option(help="With --prefill 0: A, B or B' of #6680 instead of ours.")] = OURS,
    json_file: JsonFile = "",
) -> None:
    """Play a workload and measure it: on the live engine that the repaired protocol drives, on --monolithic, or on the server at --url."""
    from engine import run as run_engine
    from engine.deployment import Deployment
    from engine.load import bench
    from engine.load.table import Selection
    from engine.load.traffic import Traffic
    from engine.log import check_target
    from engine.runtime.plan import Plan
    from engine.timeline import write_timeline

    if url and monolithic:
        raise DefinitionError("--url and --monolithic: give one of them")
    if audit and (url or monolithic or not prefill):
        raise DefinitionError("--audit: only the disaggregated engine keeps what it generates; leave out --url, --monolithic and --prefill 0")
    if not lockstep and (record, recorded, without) != (None, None, None):
        raise DefinitionError("--record, --recorded and --without: only a run in lockstep chooses its turns; give --lockstep")
    if lockstep and (url or monolithic):
        raise DefinitionError("--lockstep: only the engine that the protocol drives has turns; leave out --url or --monolithic")
    if variant != OURS and (url or monolithic or prefill):
        raise DefinitionError("--variant: of the gate and its ranks; give --prefill 0, or leave a rule of the whole protocol out by --without")
    prefill = 0 if url or monolithic else prefill
    alone = Lockstep(policy, seed, changes, record, recorded, without)
    if (url or monolithic) and (log is not None or timeline is not None):
        raise DefinitionError("--log and --timeline: only the engine that the protocol drives has events; leave out --url or --monolithic")
    selection = Selection.parse(percentile_metrics, metric_percentiles, goodput)
    traffic = Traffic(request_rate, burstiness, concurrency, speed, seed)
    source = bench.Source(workload, limit, scale, rounds=rounds, input_len=input_len, output_len=output_len, seed=seed)
    answers = bench.Answers(temperature, ignore_eos)
    requests = source.requests()
    logs = {} if url or monolithic else bench.logs_of(log or EVENTS, decode if prefill else 0)
    for file in (*logs.values(), *([] if timeline is None else [timeline])):
        check_target(file)
    found: Audit | None = None
    written = dict.fromkeys(logs.values(), "")
    with Progress("run") as shown:

        def progress(completed: int) -> None:
            shown.show(f"{completed:,} of {len(requests):,} requests completed")

        if url:
            measured, served = bench.run_over_http(requests, traffic, url, model or None, answers, progress)
            details: dict[str, Any] = {"model_id": served}
        elif monolithic or prefill:
            context = max_model_len or max(2, bench.context_of(requests))
            wanted = Deployment(model or "tiny", prefill, decode, ranks, 1, max_num_seqs, context, prefix_cache=prefix_caching, drafts=drafts)
            details = {"model_id": wanted.model, "ranks": ranks} | ({"prefill": prefill, "decode": decode} if prefill else {})
            if lockstep:
                measured, told, found = alone.play(requests, traffic, wanted, answers, progress, logs, audit)
                details |= told
            else:
                measured, fired, found, written = bench.run_in_process(requests, traffic, wanted, answers, progress, logs, audits=audit)
                details |= {"rows_fired": fired} if prefill else {}
        else:
            drawn = seed if source.synthetic or not traffic.timed else None
            timed = bench.at_their_times(requests, traffic)
            if lockstep:
                measured, details = alone.signal(timed, Plan(ranks, "mixed", variant), speed, logs[""])
            else:
                report = run_engine(timed, ranks=ranks, variant=variant, speed=speed, log_path=logs[""], seed=drawn, progress=progress)
                measured, details = report.measurement, report.details()
    if timeline is not None:
        write_timeline(written, timeline)
    _tell_run(str(source), measured, traffic, selection, details, json_file, save_detailed)
    if json_file != "-":
        for file in written:
            print(f"event log written to {file}")
        if timeline is not None:
            print(f"timeline written to {timeline}")
        print("\n".join(found.lines() if found else []), end="\n" if found else "")
    raise typer.Exit(1 if measured.failed or (found is not None and not found.healthy) else 0)


def _tell_run(
    source: str, measured: Measurement, traffic: Traffic, selection: Selection, details: dict[str, Any], json_file: str, detailed: bool
) -> None:
    """The table of a run, its result file, and what failed."""
    from engine.load.table import result, table

    if json_file:
        write_json(json_file, details | result(measured, traffic, selection, detailed=detailed))
    if json_file != "-":
        print(f"workload: {source}")
        print(table(measured, traffic, selection))
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items() if value is not None))
    for completion in measured.failed[:FAILURES_SHOWN]:
        print(f"request {completion.request} failed: {completion.error}", file=sys.stderr)
