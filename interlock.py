"""The command: `interlock list | check | show | diagram | explain | export | replay | run | serve | conform | model`.

A thin file: it reads arguments, calls one of the three readers and prints what they answer. Exit codes: 0 holds, 1
violated, 2 bad usage or definition, 3 inconclusive; `check --all` exits 0 when every answer is as recorded, 1 when one differs, and
3 when none differs but some are missing.
Heavy imports are inside the commands, so that a small check answers at once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import textwrap
import time
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.errors import DefinitionError, ProtocolError, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checker.report import Record
    from checker.result import Limits, Result
    from engine.audit import Audit
    from engine.load.table import Selection
    from engine.load.traffic import Traffic
    from engine.metrics import Measurement
    from engine.replay import Exposure
    from protocol.catalogue import Scenario
    from protocol.catalogue.hazard import Hazard
    from protocol.catalogue.target import Target

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A control plane for prefill/decode-disaggregated LLM serving as explicit state machines: run, checked and drawn.",
)


class Explorer(StrEnum):
    TABLE = "table"
    REFERENCE = "reference"


class Language(StrEnum):
    PROMELA = "promela"


LONG_S = 10
"""Of the deep catalogue, a scenario that takes longer is told as soon as it is answered."""
JsonFile = Annotated[str, typer.Option("--json", metavar="FILE", help="Write the answer as JSON; - is standard output.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a bound of the builder; may be repeated.")]
SHOWN = "A hazard (H1 and H-01 are different), a pull request ('#7724' or 7724), a scenario, or path/to/file.py:build."
Name = Annotated[str, typer.Argument(metavar="NAME", help="A scenario of `interlock list`, or path/to/file.py:build.")]


# -- list and show ---------------------------------------------------------------------------------------------------


@app.command("list")
def list_scenarios(json_file: JsonFile = "") -> None:
    """The catalogue by pull request: its hazards, and every scenario with its property and recorded answer."""
    from protocol.catalogue import scenarios
    from protocol.render.catalogue import BESIDE, by_pull, cited_hazards, hazards_about, hazards_of, pull_title, pulls_of

    listed = list(scenarios().values())
    if json_file:
        columns = ("name", "group", "sources", "variant", "property", "expected", "distinct", "path_length", "deep")
        _write_json(json_file, [{c: getattr(s, c) for c in columns} | {"hazards": hazards_of(s), "pulls": pulls_of(s)} for s in listed])
    if json_file != "-":
        for pull, mine in by_pull(listed).items():
            _print_pull(pull_title(pull), cited_hazards(mine) if pull == BESIDE else hazards_about(pull, mine), mine)


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME", help=SHOWN)], settings: Settings = []) -> None:  # noqa: B006
    """What happens in a hazard, a pull request or a scenario; then the shortest path."""
    from protocol.catalogue import scenarios
    from protocol.render.catalogue import find_hazard, find_pull, hazards_about, pull_title

    hazard = find_hazard(name)
    pull = find_pull(name) if hazard is None else None
    if settings and (hazard is not None or pull is not None):
        raise DefinitionError(f"show {name}: takes no --set; name one of its scenarios")
    if hazard is not None:
        _show_hazard(hazard)
    elif pull is not None:
        _print_pull(pull_title(pull), hazards_about(pull), [s for s in scenarios().values() if pull in s.sources])
    else:
        _show_one(name, settings)


def _show_hazard(hazard: Hazard) -> None:
    from protocol.catalogue.target import resolve
    from protocol.render.catalogue import counterexamples
    from protocol.render.listing import further_text, hazard_text, paragraphs, tally_table
    from protocol.render.sequence import trace_table

    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    print(hazard_text(hazard, width), end="")
    _table("", *tally_table(hazard))
    for main in counterexamples(hazard.number)[:1]:
        print(paragraphs([f"{main.name}, variant {main.variant}, {main.property}: {main.about}"], width), end="")
        target = resolve(main.name)
        trace = _trace(target, _explore(target, None, Explorer.TABLE, first=main.deep, workers=1), main.property)
        if trace is not None:
            trace.about = ""  # printed above
            print(trace_table(trace))
    print(further_text(hazard, width), end="")


def _print_pull(title: str, found: list[Hazard], mine: list[Scenario]) -> None:
    from protocol.render.listing import hazard_table, scenario_table

    print(title)
    _table("", *hazard_table(found))
    _table("", *scenario_table(mine))


def _show_one(name: str, settings: list[str]) -> None:
    from checker.report import records_of
    from protocol.catalogue.target import resolve
    from protocol.render.sequence import trace_table

    target = resolve(name, settings)
    scenario = target.scenario
    if scenario is not None:
        print(f"{scenario.name}  ({', '.join(scenario.sources)}; variant {scenario.variant}; recorded: {scenario.expected})\n")
        print(scenario.about + "\n")
    result = _explore(target, None, Explorer.TABLE, first=False, workers=1)
    records = records_of(target, result)
    _print_records(records)
    for record in records:
        trace = _trace(target, result, record.property)
        if trace is not None:
            trace.about = ""  # printed above
            print()
            print(trace_table(trace))


# -- check -----------------------------------------------------------------------------------------------------------


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(metavar="[SCENARIO ...]", help="Scenarios, or path/to/file.py:build.")] = [],  # noqa: B006
    all_scenarios: Annotated[bool, typer.Option("--all", help="The whole catalogue, compared with its record.")] = False,
    settings: Settings = [],  # noqa: B006
    json_file: JsonFile = "",
    trace_file: Annotated[str, typer.Option("--trace", metavar="FILE", help="Write the first path found, as ITF JSON.")] = "",
    max_states: Annotated[int | None, typer.Option(min=1, help="Budget: distinct states.")] = None,
    max_memory: Annotated[float | None, typer.Option(min=0.001, help="Budget: GB of the search's own memory.")] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help="Budget: seconds per scenario.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads of the table explorer, two at most; a completed answer does not depend on it.")] = 1,
    first: Annotated[bool, typer.Option("--first", help="Stop at the first violation; counts then cover what was explored.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="The whole catalogue with its proofs above a million states.")] = False,
    reduce: Annotated[bool, typer.Option("--reduce", help="Leave out interleavings that the property cannot tell apart.")] = False,
    explorer: Annotated[Explorer, typer.Option(help="The compiled explorer, or the slow and obvious one.")] = Explorer.TABLE,
) -> None:
    """Explore every interleaving; print the verdict, the counts and the shortest path."""
    from checker.report import differences, exit_code, records_of
    from checker.result import Limits
    from protocol.catalogue import scenarios
    from protocol.catalogue.target import resolve

    all_scenarios = all_scenarios or (deep and not names)
    if all_scenarios == bool(names):
        raise DefinitionError("check: name scenarios, or give --all for the whole catalogue (and not both)")
    if all_scenarios and settings:
        raise DefinitionError("check --all compares with the record, so it takes no --set; name the scenario instead")
    if all_scenarios and reduce:
        raise DefinitionError("check --all compares counts with the record, so it takes no --reduce; name scenarios instead")
    if all_scenarios:
        names = [s.name for s in scenarios().values() if deep or not s.deep]
    limits = Limits(max_states, max_memory, time_limit)
    answers: list[Record] = []
    wrong: dict[str, list[str]] = {}
    trace = None
    started = time.perf_counter()
    answered = 0
    try:
        with _terminable():
            for answered, name in enumerate(names):
                target = resolve(name, settings)
                place = f"{answered + 1:,} of {len(names):,}: " if len(names) > 1 else ""
                result = _explore(target, limits, explorer, first=first, workers=workers, reduced=reduce, place=place)
                records = records_of(target, result)
                answers += records
                if all_scenarios:
                    wrong[name] = differences(target, records)
                    if deep and result.seconds > LONG_S:
                        outcome = "; ".join(wrong[name]) or "as recorded"
                        print(f"{place}{name}: {result.distinct:,} states, {result.seconds:.0f} s, {outcome}", file=sys.stderr, flush=True)
                for record in records:
                    if trace is None and trace_file:
                        trace = _trace(target, result, record.property)
            answered = len(names)
    except KeyboardInterrupt:
        print(f"interlock: stopped after {answered:,} of {len(names):,} scenarios; the others are not answered", file=sys.stderr)
    if trace is not None:
        from protocol.trace import save_trace

        save_trace(trace, trace_file)
    if json_file:
        _write_json(json_file, [a.as_json() for a in answers])
    if json_file != "-":
        _print_records(answers, paths=not all_scenarios)
        if reduce:
            print("\nreduced: what the property cannot tell apart was left out, and is not counted")
            for name, notes in {a.name: a.notes for a in answers}.items():
                for note in notes:
                    print(f"{name}: {note}")
        if len(names) == len(answers) == 1 and answers[0].never_fired:
            print(f"\nrows that never fire at these bounds: {', '.join(answers[0].never_fired)}")
        if trace_file:
            print(f"path written to {trace_file}" if trace is not None else f"no path was found, so {trace_file} was not written")
    if all_scenarios:
        for name, lines in wrong.items():
            for line in lines:
                print(f"not as recorded: {name}: {line}", file=sys.stderr)
        if json_file != "-":
            seconds = time.perf_counter() - started
            print(f"{len(names)} scenarios, {sum(not lines for lines in wrong.values())} as recorded, {seconds:.1f} s")
        answers = [a for a in answers if wrong[a.name]]
        raise typer.Exit(1 if any(a.verdict != "inconclusive" for a in answers) else 3 if answers or answered < len(names) else 0)
    raise typer.Exit(exit_code(answers) if answered == len(names) else 3)


@contextmanager
def _terminable() -> Iterator[None]:
    """Lets a kind request to end interrupt what is done, as the keyboard does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _explore(
    target: Target, limits: Limits | None, explorer: Explorer, *, first: bool, workers: int, reduced: bool = False, place: str = ""
) -> Result:
    from checker import check as explore
    from checker.result import Limits

    try:
        with _Progress(place + target.name) as progress:
            return explore(
                target.system,
                limits=limits or Limits(),
                explorer=explorer.value,
                first=first,
                workers=workers,
                reduced=reduced,
                progress=progress,
                phase=progress.show,
            )
    except DefinitionError as error:
        raise DefinitionError(f"{target.name}: {error}") from error


class _Progress:
    """One line on a terminal's standard error, for anything that takes over a second."""

    def __init__(self, name: str):
        self.name, self.started, self.shown = name, time.perf_counter(), False
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, states: int, depth: int, rate_per_s: float, queue: int) -> None:
        self.show(f"{states:,} states, depth {depth}, {rate_per_s:,.0f} states/s, {queue:,} waiting")

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.terminal and time.perf_counter() - self.started > 1:
            self.shown = True
            line = f"{self.name}: {text}"
            sys.stderr.write("\r\x1b[K" + line[: os.get_terminal_size(sys.stderr.fileno()).columns - 1])
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _trace(target: Target, result: Result, property_name: str) -> Any:
    from protocol.trace import trace_of

    finding = result.findings[property_name]
    if finding.path is None:
        return None
    trace = trace_of(target.system, finding.path, property=property_name, loop_start=finding.loop_start)
    trace.scenario, trace.config = target.name, target.config
    trace.about = target.scenario.about if target.scenario is not None else ""
    return trace


def _print_records(records: list[Record], *, paths: bool = False) -> None:
    columns = ["scenario", "property", "verdict", ">distinct", ">?generated", ">?depth", ">seconds", ">path"]
    rows = []
    for r in records:
        verdict = r.verdict + ("" if r.expected in (None, r.verdict) else f" (recorded: {r.expected})")
        counts = [_number(r.distinct), _number(r.generated), _number(r.depth), f"{r.seconds:.2f}", _number(r.path_length)]
        rows.append([r.name, r.property, verdict, *counts])
    _table("", columns, rows)
    for r in records:
        if r.reason:
            print(f"{r.name}, {r.property}: {r.reason}")
        if paths and r.path:
            what = "a witness" if r.verdict != "violated" else "a path, perhaps not the shortest" if r.reduced else "the shortest path"
            print(f"\n{r.name}, {r.property}: {what}")
            for number, step in enumerate(r.path, 1):
                print(f"{number:4}  {step}")


# -- pictures and exports --------------------------------------------------------------------------------------------


@app.command()
def diagram(
    name: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .mmd, .dot, .svg or .html file.")],
    settings: Settings = [],  # noqa: B006
) -> None:
    """Draw the machines of a system, and the variables between them."""
    from protocol.catalogue.target import resolve
    from protocol.render import diagram as draw
    from protocol.trace import write_whole

    kind = output.suffix.lstrip(".")
    if kind not in ("mmd", "dot", "svg", "html"):
        raise DefinitionError(f"{output}: name a file that ends in .mmd, .dot, .svg or .html")
    write_whole(output, draw(resolve(name, settings).system, kind))
    print(f"written to {output}")


@app.command()
def explain(
    trace_file: Annotated[Path, typer.Argument(metavar="TRACE", help="A file that `interlock check --trace` wrote.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a .txt, .mmd or .svg sequence diagram instead.")] = None,
) -> None:
    """A counterexample as a table and as a sequence diagram."""
    from protocol.render.sequence import sequence_mermaid, sequence_svg, sequence_text, trace_table
    from protocol.trace import load_trace, write_whole

    trace = load_trace(trace_file)
    if output is None:
        print(trace_table(trace))
        print()
        print(sequence_text(trace, heading=False))
        return
    forms = {".txt": sequence_text, ".mmd": sequence_mermaid, ".svg": sequence_svg}
    if output.suffix not in forms:
        raise DefinitionError(f"{output}: name a file that ends in .txt, .mmd or .svg")
    write_whole(output, forms[output.suffix](trace))
    print(f"written to {output}")


@app.command()
def export(
    name: Name,
    to: Annotated[Language, typer.Option("--to", help="The language of the export.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file instead of standard output.")] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """The system in another checker's language, for a second opinion."""
    from protocol.catalogue.target import resolve
    from protocol.render.promela import export as promela
    from protocol.trace import write_whole

    text = promela(resolve(name, settings).system)
    if output is None:
        print(text)
    else:
        write_whole(output, text)
        print(f"written to {output}")


# -- replay ----------------------------------------------------------------------------------------------------------


@app.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="TRACE", help="A file of `interlock check --trace`, or a scenario: its path is found first.")] = "",
    all_hazards: Annotated[bool, typer.Option("--all", help="Every scenario of docs/damage.md: the page, with -o into a file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of prompts, and of the schedule after the path.")] = 0,
    hold: Annotated[bool, typer.Option("--late", help="Also hold the last step of the path back, and tell the worst.")] = False,
    rough: Annotated[int, typer.Option(min=0, help="Also so many runs without a path, under rough schedules (--all: 40).")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="With --all: write the page to a file.")] = None,
) -> None:
    """Drive the engine with tensors along a counterexample; what it does to the answers. Exit code 1: there is damage."""
    from engine.replay import expose, late
    from engine.replay import replay as drive
    from engine.replay.report import comparison, exposure_text, late_story, story

    if all_hazards == bool(name):
        raise DefinitionError("replay: name a trace or a scenario, or give --all for the page (and not both)")
    if all_hazards:
        _replay_all(seed, rough or 40, output)
        return
    trace = _trace_named(name)
    found = drive(trace, seed)
    print(f"{trace.scenario}, variant {found.scenario.variant}: {len(trace.steps)} steps, then a fair schedule of seed {seed}\n")
    _prose(story(found))
    if found.after.requests or found.after.distances:
        _table("", ["", ">before", ">after"], comparison(found))
    if hold:
        told = late_story(found, late(trace, seed)) or "Holding the last step back hurts no token."
        _prose([told])
    if rough:
        columns = [">runs", ">with a token hit", ">with a request that never ends", ">tokens hit", ">growth of k3_kl_mean, bfloat16"]
        _table("under rough schedules", columns, [exposure_text(expose(found.scenario, rough, seed))])
    raise typer.Exit(0 if found.after.harmless else 1)


def _trace_named(name: str) -> Any:
    """The trace in a file, or the shortest path of a scenario."""
    from protocol.catalogue.target import resolve
    from protocol.trace import load_trace

    if Path(name).is_file():
        return load_trace(Path(name))
    target = resolve(name)
    if target.scenario is None:
        raise DefinitionError(f"replay {name}: only scenarios of the catalogue are replayed; see `interlock list`")
    trace = _trace(target, _explore(target, None, Explorer.TABLE, first=True, workers=1), target.scenario.property)
    if trace is None:
        raise DefinitionError(f"replay {name}: {target.scenario.property} is answered without a path, so there is nothing to replay")
    return trace


def _replay_all(seed: int, rough: int, output: Path | None) -> None:
    from engine.replay import expose, late
    from engine.replay import replay as drive
    from engine.replay.page import page, scenarios_of_page
    from protocol.trace import write_whole

    replays, steps, lates = {}, {}, {}
    exposures: dict[str, Exposure] = {}
    with _Progress("replay") as progress:
        for number, name in enumerate(listed := scenarios_of_page(), 1):
            progress.show(f"{number} of {len(listed)}: {name}")
            trace = _trace_named(name)
            replays[name], steps[name] = drive(trace, seed), len(trace.steps)
            if not replays[name].after.hit:
                lates[name] = late(trace, seed)
            scenario = replays[name].scenario
            same = [n for n in exposures if replays[n].scenario.build is scenario.build and replays[n].scenario.config == scenario.config]
            exposures[name] = exposures[same[0]] if same else expose(scenario, rough, seed)
    text = page(replays, steps, lates, exposures)
    if output is None:
        print(text, end="")
    else:
        write_whole(output, text)
        print(f"written to {output}")


# -- run -------------------------------------------------------------------------------------------------------------


EVENTS = Path("events.ndjson")
"""Where the event log of a run goes if nothing is said."""
FAILURES_SHOWN = 10
"""Of a run, on standard error; all are counted."""


@app.command()
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
    prefill: Annotated[int, typer.Option(min=0, help="Prefill instances: 1; 0: the gate and its ranks only, without tensors.")] = 1,
    decode: Annotated[int, typer.Option(min=1, help="Decode instances, with --prefill.")] = 1,
    ranks: Annotated[int, typer.Option("--ranks", "--tp", min=1, help="Tensor-parallel ranks of an instance.")] = 2,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="Generations that run at once on a decode instance, or --monolithic.")] = 8,
    max_model_len: Annotated[int | None, typer.Option(min=2, help="Tokens of the context of these; else the longest session's.")] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the answers; 0 is greedy.")] = 0.0,
    ignore_eos: Annotated[bool, typer.Option(help="Answers as long as the workload says.")] = True,
    percentile_metrics: Annotated[str, typer.Option(help="Latencies to tell.")] = "ttft,tpot,itl,e2el",
    metric_percentiles: Annotated[str, typer.Option(help="Percentiles of them.")] = "90,99",
    goodput: Annotated[str, typer.Option(help="Count requests within limits in ms: 'ttft:200 tpot:50 e2el:9000'.")] = "",
    audit: Annotated[bool, typer.Option("--audit", help="Compare every token with a monolithic pass, and look for what was left behind.")] = False,
    save_detailed: Annotated[bool, typer.Option("--save-detailed", help="With --json: every request too.")] = False,
    log: Annotated[Path | None, typer.Option(help="The event log, one JSON object a line; else events.ndjson.")] = None,
    timeline: Annotated[Path | None, typer.Option(help="A picture of every row fired, for ui.perfetto.dev or chrome://tracing.")] = None,
    json_file: JsonFile = "",
) -> None:
    """Play a workload and measure it: on the live engine that the repaired protocol drives, on --monolithic, or on the server at --url."""
    from engine import run as run_engine
    from engine.deployment import Deployment
    from engine.load import bench
    from engine.load.table import Selection
    from engine.load.traffic import Traffic
    from engine.log import check_target
    from engine.timeline import write_timeline

    if url and monolithic:
        raise DefinitionError("--url and --monolithic: give one of them")
    if audit and (url or monolithic or not prefill):
        raise DefinitionError("--audit: only the disaggregated engine keeps what it generates; leave out --url, --monolithic and --prefill 0")
    prefill = 0 if url or monolithic else prefill
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
    with _Progress("run") as shown:

        def progress(completed: int) -> None:
            shown.show(f"{completed:,} of {len(requests):,} requests completed")

        if url:
            measured, served = bench.run_over_http(requests, traffic, url, model or None, answers, progress)
            details: dict[str, Any] = {"model_id": served}
        elif monolithic or prefill:
            context = max_model_len or max(2, bench.context_of(requests))
            wanted = Deployment(model or "tiny", prefill, decode, ranks, 1, max_num_seqs, context)
            measured, fired, found = bench.run_in_process(requests, traffic, wanted, answers, progress, logs, audits=audit)
            details = {"model_id": wanted.model, "ranks": ranks}
            if prefill:
                details |= {"prefill": prefill, "decode": decode, "rows_fired": fired}
        else:
            drawn = seed if source.synthetic or not traffic.timed else None
            timed = bench.at_their_times(requests, traffic)
            report = run_engine(timed, ranks=ranks, speed=speed, log_path=logs[""], seed=drawn, progress=progress)
            measured, details = report.measurement, report.details()
    if timeline is not None:
        write_timeline(list(logs.values()), timeline)
    _tell_run(str(source), measured, traffic, selection, details, json_file, save_detailed)
    if json_file != "-":
        for file in logs.values():
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
        _write_json(json_file, details | result(measured, traffic, selection, detailed=detailed))
    if json_file != "-":
        print(f"workload: {source}")
        print(table(measured, traffic, selection))
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items() if value is not None))
    for completion in measured.failed[:FAILURES_SHOWN]:
        print(f"request {completion.request} failed: {completion.error}", file=sys.stderr)


@app.command()
def serve(
    model: Annotated[str, typer.Option(help="tiny, tiny-experts or smollm2.")] = "tiny",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
    prefill: Annotated[int, typer.Option(min=0, help="Prefill instances: 1; 0 is --monolithic.")] = 1,
    decode: Annotated[int, typer.Option(min=1, help="Decode instances.")] = 1,
    tp: Annotated[int, typer.Option(min=1, help="Tensor-parallel ranks of an instance.")] = 1,
    ep: Annotated[int, typer.Option(min=1, help="Ranks that share the experts, whole ones each (with --monolithic); 1: each has a part of all.")] = 1,
    monolithic: Annotated[bool, typer.Option("--monolithic", help="Prefill and decode in one thread, without the protocol: the baseline.")] = False,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="Generations that run at once.")] = 8,
    max_model_len: Annotated[int, typer.Option(min=2, help="Tokens of the longest prompt and answer together.")] = 2048,
    seed: Annotated[int, typer.Option(help="Where requests without a seed draw theirs.")] = 0,
) -> None:
    """Serve a model with the OpenAI API, by prefill and decode processes that the repaired protocol drives; Ctrl-C ends it."""
    from engine.deployment import Deployment

    try:
        from engine.server.serve import serve_deployment
    except ImportError as error:
        raise DefinitionError(f"the package {error.name} is missing; install interlock[server]") from None
    wanted = Deployment(model, 0 if monolithic else prefill, decode, tp, ep, max_num_seqs, max_model_len)
    serve_deployment(wanted, host, port, seed=seed, say=lambda text: print(text, flush=True))


@app.command()
def conform(log: Annotated[Path, typer.Argument(metavar="LOG", help="What `interlock run --log` wrote.")], json_file: JsonFile = "") -> None:
    """Whether a run's log is a behaviour of its system; names the first event that cannot be."""
    from checker.conform import conform as judge

    found = judge(log)
    if json_file:
        answer = {"system": found.system, "events": found.events, "conforms": found.conforms, "line": found.line, "reason": found.reason}
        _write_json(json_file, answer)
    if json_file != "-":
        if found.conforms:
            print(f"{log}: {found.events:,} events, a behaviour of {found.system}")
        else:
            print(f"{log}:{found.line}: does not conform to {found.system}: {found.reason}")
    raise typer.Exit(0 if found.conforms else 1)


# -- models ----------------------------------------------------------------------------------------------------------

model_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The models that the engine can run.")
app.add_typer(model_app, name="model")


@model_app.command("fetch")
def fetch_model(name: Annotated[str, typer.Argument(metavar="NAME", help="smollm2")]) -> None:
    """Download a model, verify it and unpack it into the user's cache."""
    from engine.model import smollm2

    if name != "smollm2":
        raise DefinitionError(f"there is no model {name!r} to fetch; smollm2 is the one (tiny needs no fetching)")
    where = smollm2.fetch(lambda text: print(text, file=sys.stderr))
    print(f"smollm2 is in {where}")


# -- printing --------------------------------------------------------------------------------------------------------


NARROW = 24
"""Characters of a column that may break, when it is decided which columns fit."""


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for people: `>name` is set right, `~name` may break; the last `?name` is left out while the terminal is too narrow."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    full = [max(len(c.lstrip("?>~")), *(Text.from_markup(r[k]).cell_len for r in rows), 0) + 3 for k, c in enumerate(columns)]
    widths = [min(w, NARROW) if "~" in c else w for w, c in zip(full, columns)]
    shown = list(range(len(columns)))
    while sum(widths[k] for k in shown) > console.width and (spare := [k for k in shown if "?" in columns[k]]):
        shown.remove(spare[-1])
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for k in shown:
        right = ">" in columns[k]
        table.add_column(columns[k].lstrip("?>~"), justify="right" if right else "left", no_wrap="~" not in columns[k])
    for row in rows:
        table.add_row(*(_verdict(row[k]) for k in shown))
    console.print(table)


def _prose(lines: list[str]) -> None:
    """Sentences, each on a line of its own, broken where the terminal ends."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    print("\n".join(textwrap.fill(line, width) for line in lines))


def _verdict(text: str) -> str:
    """A verdict, and what follows it, in its colour; any other text as it is."""
    colours = {"holds": "green", "violated": "red", "inconclusive": "yellow"}
    word, _, rest = text.partition(" ")
    return f"[{colours[word]}]{word}[/] {rest}".rstrip() if word in colours else text


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _write_json(path: str, content: Any) -> None:
    from protocol.trace import write_whole

    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        write_whole(path, text)


def main() -> None:
    """Run the command; an error on purpose is one line on standard error and exit code 2."""
    try:
        app()
    except (ProtocolError, TraceError) as error:
        print(f"interlock: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
