"""Launched forwards of the repaired protocol with tensors: what the device's stream is for, and that those who keep the rule do no damage."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.numerics import exact
from engine.replay.replay import run
from engine.replay.schedule import Rough, Schedule
from engine.replay.subjects.repaired import Repaired
from protocol.machines.repaired.protocol import build

from .paths import replayed

LEFT_OUT = "repaired-launched-faults-without-speaks-in-stream"


def test_kernels_in_the_stream_write_blocks_that_nobody_holds() -> None:
    after = replayed(f"{LEFT_OUT}-freed-block-written").after
    assert after.stray > 0 and after.overwritten == 0 and after.tokens == 0


def test_signals_behind_the_withdrawal_leave_the_request_without_an_end() -> None:
    outcome = replayed(f"{LEFT_OUT}-requests-answered")
    assert outcome.before.harmless and outcome.after.unanswered == ("0",)
    assert outcome.after.leaked["prefill"] > 0 and outcome.after.leaked["decode 0"] > 0


def test_signals_behind_the_withdrawal_speak_for_the_next_request_of_that_number() -> None:
    after = replayed("repaired-launched-chunks-without-speaks-in-stream-uncomputed-sent").after
    assert after.unanswered == ("0",) and after.requests == 2 and after.tokens == 0 and after.stray > 0
    assert any(line.startswith("sender[0] in SENDING waits for find_layer (computed_mark[0,0] is 1") for line in after.waiting)


def test_a_schedule_during_a_launched_forward_hurts_no_tensor() -> None:
    after = replayed("repaired-launched-without-speaks-in-stream-schedule-during-forward").after
    assert after.harmless and after.tokens > 0


@pytest.mark.parametrize("bounds", [{"ranks": 2, "layers": 2}, {"turns": 2, "chunks": 2, "aborts": True, "errors": True}, {"control": True}])
def test_launched_forwards_do_no_damage_where_the_device_speaks_for_itself(bounds: dict[str, Any]) -> None:
    config = {"asynchronous": True, **bounds}
    schedules = (Schedule(1), Rough(2), Rough(3), Rough(4))
    found = [run(Repaired, build(**config), config, schedule, seed=1, kept=(exact,))[0] for schedule in schedules]
    assert all(damage.harmless for damage in found) and sum(damage.tokens for damage in found) > 0, found
