"""`interlock run --lockstep`: the engine in this process, one row at a time, on virtual time."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from protocol.errors import DefinitionError

from .printing import check_targets

if TYPE_CHECKING:
    from engine.audit import Audit
    from engine.deployment import Deployment
    from engine.forward_signal.plan import SignalPlan
    from engine.load.bench import Answers
    from engine.load.traffic import Traffic
    from engine.metrics import Measurement
    from engine.runtime.policy import Policy
    from engine.runtime.recording import Recorder
    from engine.workload import Request

CHANGES = 3
"""Change points of PCT, unless one says otherwise."""
ROWS_REQUEST, ROWS_TOKEN = 250, 25
"""About how many rows a request and each token of its answer take, for the change points of PCT."""


class Turns(StrEnum):
    """The policies by name."""

    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    PCT = "pct"

    def policy(self, seed: int, changes: int, rows: int) -> Policy:
        """A new policy; `changes` and `rows` are of PCT, see `Priorities`."""
        from engine.runtime.policy import Priorities, RoundRobin, SeededRandom

        if self is Turns.ROUND_ROBIN:
            return RoundRobin()
        return SeededRandom(seed) if self is Turns.RANDOM else Priorities(seed, changes, rows)


@dataclass(frozen=True)
class Lockstep:
    """What a command line says of a run in lockstep.

    Args:
        turns, seed, changes: the policy. record: where its choices go. recorded: whose choices are made again, instead of a policy's.
        without: a rule of the repaired protocol to leave out.
    """

    turns: Turns
    seed: int
    changes: int
    record: Path | None
    recorded: Path | None
    without: str | None

    @classmethod
    def asked(
        cls, lockstep: bool, turns: Turns | None, seed: int, changes: int | None, record: Path | None, recorded: Path | None, without: str | None
    ) -> Lockstep | None:
        """What was asked; None for a run in processes.

        Raises:
            DefinitionError: an option of lockstep for one of these.
        """
        if lockstep:
            if recorded is not None and (turns, changes) != (None, None):
                raise DefinitionError("--recorded: the choices of a run stand in the file; leave out --policy and --changes")
            if changes is not None and turns is not Turns.PCT:
                raise DefinitionError(f"--changes {changes}: change points are of one policy; give --policy pct")
            check_targets(record)
            return cls(turns or Turns.ROUND_ROBIN, seed, CHANGES if changes is None else changes, record, recorded, without)
        for option, value in (("policy", turns), ("changes", changes), ("record", record), ("recorded", recorded), ("without", without)):
            if value is not None:
                raise DefinitionError(f"--{option} {value}: only a run in lockstep chooses its turns; give --lockstep")
        return None

    def __str__(self) -> str:
        who = f"choices of {self.recorded}" if self.recorded is not None else f"{self.turns.value}, seed {self.seed}"
        return who if self.without is None else f"{who}, without {self.without}"

    def policy(self, requests: Sequence[Request]) -> Recorder:
        """The policy for these requests; it keeps its choices."""
        from engine.runtime.recording import Recorder, Repeated, load_choices

        rows = ROWS_REQUEST * len(requests) + ROWS_TOKEN * sum(request.output_tokens for request in requests)
        chosen: Policy = self.turns.policy(self.seed, self.changes, rows)
        return Recorder(Repeated(load_choices(self.recorded)) if self.recorded is not None else chosen)

    def play(
        self,
        requests: Sequence[Request],
        traffic: Traffic,
        wanted: Deployment,
        answers: Answers,
        progress: Callable[[int], None],
        log: Path | None,
        audits: bool,
    ) -> tuple[Measurement, dict[str, Any], Audit | None]:
        """The disaggregated engine; also what the table says beside its figures."""
        from engine.disaggregated.lockstep_memory import USUAL
        from engine.errors import StandsStill
        from engine.load import bench

        policy = self.policy(requests)
        service = wanted.in_lockstep(policy, logged=log is not None, cost=USUAL, without=self.without)
        try:
            measured, figures, found = bench.run_in_lockstep(requests, traffic, service, answers, progress, log, audits=audits)
        except StandsStill as error:
            what, _, copies = str(error).partition(": ")
            print("\n  ".join([f"interlock: {what}:", *copies.split("; ")]), file=sys.stderr)
            raise typer.Exit(1) from None
        finally:
            self._keep(policy)
        return measured, {"turns": str(self)} | figures, found

    def signal(self, requests: Sequence[Request], plan: SignalPlan, speed: float, log: Path) -> tuple[Measurement, dict[str, Any]]:
        """The gate and its ranks, without tensors."""
        from engine.forward_signal.run import run_lockstep
        from protocol.trace import write_whole

        if self.without is not None:
            raise DefinitionError("--without: a rule of the whole protocol; leave out --prefill 0, or choose a --variant")
        policy, text = self.policy(requests), io.StringIO()
        report = run_lockstep(requests, plan, speed=speed, seed=self.seed, log=text, policy=policy)
        write_whole(log, text.getvalue())
        self._keep(policy)
        return report.measurement, report.details() | {"turns": str(self)}

    def _keep(self, policy: Recorder) -> None:
        from engine.runtime.recording import save_choices

        if self.record is not None:
            save_choices(policy.choices, self.record)
