"""Instances that share experts, a process for every rank: an idle one comes along, experts move, and whoever waits says where."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from checker.conform import conform
from engine.errors import EngineError
from engine.experts.common import Segments
from engine.experts.crews import placement_of
from engine.experts.plan import RoundPlan
from engine.experts.run import run_experts_live
from engine.model.collective import Exchanging
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.named import weights_of
from engine.model.reference import greedy
from engine.model.transport import Place, Transport
from engine.runtime.live import LiveEngine, start
from protocol import DefinitionError

from ..test_live import is_gone, process_numbers, segments

BUSY = [((256, *range(40, 60)), 4), ((256, 99), 3)]
SKEWED = [((256, *(40 + k % 3 for k in range(30))), 6), ((256, 41, 40, 42), 8)]
PATIENCE_S = 60.0

pytestmark = pytest.mark.live


def test_an_idle_instance_comes_along_while_experts_move(tmp_path: Path) -> None:
    """Experts change their processes between two forwards; the tokens are the reference's before, between and after."""
    run = run_experts_live(TINY_EXPERTS, [SKEWED, []], balance="end", redundant=1, log=tmp_path / "log", patience_s=PATIENCE_S)
    weights = weights_of(TINY_EXPERTS)
    assert run.stall is None and len(set(run.forwards.values())) == 1 and run.forwards[1, 1] >= 8
    assert [request.tokens for request in run.requests[0]] == [greedy(weights, prompt, wanted) for prompt, wanted in SKEWED]
    assert len(run.rebalances) > 1 and all(move.after < move.before for move in run.rebalances)
    judged = conform(tmp_path / "log")
    assert judged.conforms and judged.events == run.rows, judged.reason


def test_without_empty_batches_every_rank_says_where_it_waits() -> None:
    """The idle ranks are back at the top, where they meet all others to balance; the busy ones are in EPB."""
    run = run_experts_live(TINY_EXPERTS, [BUSY, []], variant="B-without-empty-batches", balance="top", patience_s=0.5)
    assert run.stall is not None and set(run.forwards.values()) == {0}
    assert run.stall.ranks == (
        "worker[0,0] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[0,1] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[1,0] waits in the broadcast of load balancing (STATUS) for worker[0,0], worker[0,1]",
        "worker[1,1] waits in the broadcast of load balancing (STATUS) for worker[0,0], worker[0,1]",
    )


class Deserter:
    """The transport of a rank that dies in the midst of a forward that all have entered."""

    def enter(self, computation: Exchanging) -> None:
        """Like any other."""

    def leave(self) -> None:
        """The others wait for it in their first exchange, for ever."""
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """It does not live to see it."""


class Deserted(Segments):
    """Shared memory to which one rank does not come."""

    def transport(self, place: Place) -> Transport:
        return Deserter() if place == (1, 0) else super().transport(place)


def test_the_supervision_notices_the_death_of_a_rank_for_which_others_wait_in_an_exchange() -> None:
    plan = RoundPlan(TINY_EXPERTS, "repaired", 2, (tuple(BUSY), ()))
    with Deserted.made(plan) as common, start(placement_of(plan, common)) as engine:
        processes = process_numbers(engine)
        with pytest.raises(EngineError, match=r"^worker\[1,0\] \(process \d+\) was killed by SIGKILL before the run was over"):
            engine.received()
    assert len(processes) == 7 and all(map(is_gone, processes)) and not segments()


@pytest.mark.parametrize("victim", ["queue server", "engine 1", "worker[0,1]"])
def test_whoever_is_killed_the_run_ends_with_its_name_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    processes, started = list[int](), LiveEngine.start

    def start_and_kill(engine: LiveEngine) -> None:
        started(engine)
        processes.extend(process_numbers(engine))
        os.kill(engine.children[victim].process.pid or 0, signal.SIGKILL)

    monkeypatch.setattr(LiveEngine, "start", start_and_kill)
    with pytest.raises(EngineError, match=rf"^{re.escape(victim)} \(process \d+\) was killed by SIGKILL before the run was over; [^\n]*$"):
        run_experts_live(TINY_EXPERTS, [BUSY, []], log=tmp_path / "log", patience_s=PATIENCE_S)
    assert len(processes) == 7 and all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == []


def test_a_model_without_experts_is_refused_before_a_process_starts() -> None:
    with pytest.raises(DefinitionError, match="0 experts, which 4 ranks cannot share evenly"):
        run_experts_live(TINY, [BUSY, []])
