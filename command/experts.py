"""`interlock experts`: data-parallel instances that share the experts of a model, some of them idle, in lockstep or in processes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import DefinitionError

from .lockstep import Turns

if TYPE_CHECKING:
    from engine.experts.run import Run

ROWS = 4_000
"""About how many rows a run takes, for the change points of PCT."""


PROMPT_TOKENS = 24


class Balance(StrEnum):
    """Where in an iteration all ranks meet to move experts."""

    NEVER = "never"
    TOP = "top"
    END = "end"


def experts(
    instances: Annotated[int, typer.Option("--instances", "--dp", min=1, help="Data-parallel instances.")] = 2,
    ranks: Annotated[int, typer.Option("--ranks", "--tp", min=1, help="Tensor-parallel ranks of an instance.")] = 2,
    busy: Annotated[int, typer.Option(min=1, help="Instances that get requests; the others are idle.")] = 1,
    requests: Annotated[int, typer.Option(min=1, max=8, help="Requests of a busy instance.")] = 2,
    tokens: Annotated[int, typer.Option(min=1, max=16, help="Tokens of every answer.")] = 4,
    variant: Annotated[str, typer.Option(help="A version of the round: repaired, B (#6680), B-without-empty-batches, A ...")] = "repaired",
    balance: Annotated[Balance, typer.Option(help="Where in an iteration the ranks meet to move experts (EPLB).")] = Balance.NEVER,
    redundant: Annotated[int, typer.Option(min=0, help="Replicas of busy experts on every rank, with --balance.")] = 0,
    policy: Annotated[Turns, typer.Option(help="Whose turn it is; random and pct draw from --seed.")] = Turns.ROUND_ROBIN,
    changes: Annotated[int, typer.Option(min=0, help="Change points of --policy pct.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the prompts and of the policy.")] = 0,
    live: Annotated[bool, typer.Option("--live", help="A process for every engine and rank, instead of lockstep.")] = False,
    patience: Annotated[float, typer.Option(min=0.1, help="With --live: seconds without a new token after which the run is stalled.")] = 10.0,
    log: Annotated[Path | None, typer.Option(help="Write the event log, which `interlock conform` judges.")] = None,
) -> None:
    """Spread the experts of tiny-experts over all instances. Exit code 1: the run stalls; it says who waits for whom."""
    from engine.experts.run import run_experts, run_experts_live
    from engine.load.prompts import prompt_of
    from engine.model.named import config_of, weights_of
    from engine.model.reference import greedy
    from engine.workload import Request
    from protocol.trace import check_target

    if busy > instances:
        raise DefinitionError(f"--busy {busy}: there are {instances} instances; give at most as many")
    if redundant and balance is Balance.NEVER:
        raise DefinitionError("--redundant: replicas are made when experts are moved; give --balance end")
    if log is not None:
        check_target(log)
    weights = weights_of(config_of("tiny-experts"))
    asked = Request(0.0, PROMPT_TOKENS, tokens)
    prompts = [[(prompt_of(asked, requests * instance + k, seed), tokens) for k in range(requests)] for instance in range(busy)]
    wanted = [*prompts, *([] for _ in range(instances - busy))]
    place = None if balance is Balance.NEVER else balance.value
    if live:
        run = run_experts_live(weights.config, wanted, variant=variant, ranks=ranks, balance=place, redundant=redundant, log=log, patience_s=patience)
    else:
        turns = policy.policy(seed, changes, ROWS)
        run = run_experts(weights, wanted, variant=variant, ranks=ranks, balance=place, redundant=redundant, policy=turns, log=log)
    wrong = sum(list(r.tokens) != greedy(weights, r.prompt, len(r.tokens)) for mine in run.requests for r in mine)
    _tell(run, wrong)
    if log is not None:
        print(f"event log written to {log}")
    raise typer.Exit(1 if run.stall is not None or wrong else 0)


def _tell(run: Run, wrong: int) -> None:
    for (instance, rank), forwards in sorted(run.forwards.items()):
        print(f"instance {instance}, rank {rank}: {forwards} forwards")
    for move in run.rebalances:
        held = "  ".join(",".join(map(str, mine)) for mine in move.placement.held)
        print(f"experts moved: {held}  (most loaded place over the mean: {move.before:.2f} before, {move.after:.2f} after)")
    ended = [request for mine in run.requests for request in mine if request.ended]
    print(f"{len(ended)} of {sum(map(len, run.requests))} requests completed, {sum(len(r.tokens) for r in ended)} tokens, {run.rows:,} rows")
    if any(r.tokens for mine in run.requests for r in mine):
        print(f"{wrong} requests differ from the monolithic pass" if wrong else "all tokens are those of the monolithic pass")
    if run.stall is not None:
        print(f"stalled: {run.stall}")
