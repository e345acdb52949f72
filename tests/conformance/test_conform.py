"""The log of every run conforms, and any single lie in it is found and named."""

from __future__ import annotations

import io
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from checker.conform import Conformance, conform, judge
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.run import run_lockstep
from engine.workload import Request, generate
from interlock import app
from protocol import TraceError

PLAN = SignalPlan(2)


def log_of(plan: SignalPlan = PLAN, count: int = 2, seed: int = 0) -> list[str]:
    log = io.StringIO()
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 6)) for r in generate(seed=1, count=count, rate=20)]
    run_lockstep(requests, plan, seed=seed, log=log)
    return log.getvalue().splitlines()


LINES = log_of()
EVENTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[:-1]]
SYSTEM = PLAN.composition.system()


def judged(events: list[dict[str, Any]]) -> Conformance:
    return judge(SYSTEM, events)


def written(tmp_path: Path, events: list[dict[str, Any]], last: str = LINES[-1]) -> Path:
    path = tmp_path / "log.ndjson"
    path.write_text("".join(json.dumps(e) + "\n" for e in events) + last + "\n")
    return path


@pytest.mark.parametrize("variant", ["A", "B", "B'", "repaired"])
@pytest.mark.parametrize("role", ["mixed", "prefill"])
def test_every_run_conforms(variant: str, role: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = log_of(SignalPlan(2, variant, role), seed=3)
    path.write_text("\n".join(lines) + "\n")
    found = conform(path)
    assert found.conforms and found.events == len(lines) - 1


def shared(kind: str) -> list[int]:
    """The events that read or write something."""
    return [k for k, e in enumerate(EVENTS) if e[kind]]


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.integers(0, len(EVENTS) - 1))
def test_a_dropped_event_is_missed(tmp_path_factory: pytest.TempPathFactory, k: int) -> None:
    found = conform(written(tmp_path_factory.mktemp("log"), EVENTS[:k] + EVENTS[k + 1 :]))
    assert not found.conforms and EVENTS[k]["copy"] in found.reason


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.integers(0, len(EVENTS) - 1))
def test_a_duplicated_event_is_one_too_many(tmp_path_factory: pytest.TempPathFactory, k: int) -> None:
    found = conform(written(tmp_path_factory.mktemp("log"), EVENTS[: k + 1] + EVENTS[k:]))
    assert not found.conforms and EVENTS[k]["copy"] in found.reason


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.data())
def test_swapped_events_of_one_copy_are_out_of_order(data: st.DataObject) -> None:
    copy = data.draw(st.sampled_from(sorted({e["copy"] for e in EVENTS})))
    mine = [k for k, e in enumerate(EVENTS) if e["copy"] == copy]
    place = data.draw(st.integers(0, len(mine) - 2))
    a, b = mine[place], mine[place + 1]
    events = deepcopy(EVENTS)
    for field in ("event", "values", "reads", "writes"):
        events[a][field], events[b][field] = EVENTS[b][field], EVENTS[a][field]
    if all(EVENTS[a][f] == EVENTS[b][f] for f in ("event", "values", "reads", "writes")):
        return  # a polling loop: the same row twice
    found = judged(events)
    assert not found.conforms and found.line is not None


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.data())
def test_a_forged_value_is_named(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["reads", "writes"]))
    k = data.draw(st.sampled_from(shared(kind)))
    events = deepcopy(EVENTS)
    cell = data.draw(st.sampled_from(sorted(events[k][kind])))
    events[k][kind][cell] += "?"
    found = judged(events)
    assert found.line == k + 1 and cell in found.reason


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.integers(0, len(EVENTS) - 1))
def test_a_forged_event_is_named(k: int) -> None:
    events = deepcopy(EVENTS)
    events[k]["event"] = "announce" if events[k]["event"] != "announce" else "retract"
    found = judged(events)
    assert not found.conforms and found.line == k + 1


def test_overlapping_rows_may_have_been_either_way_round() -> None:
    apart = deepcopy(EVENTS)
    for number, event in enumerate(apart):
        event["began"], event["t"] = number - 3.0, float(number)
    assert judged(apart).conforms


def test_a_log_is_whole_and_of_ours(tmp_path: Path) -> None:
    def told(text: str) -> str:
        path = tmp_path / "bad"
        path.write_text(text)
        with pytest.raises(TraceError) as error:
            conform(path)
        return str(error.value)

    assert "cut off" in told("\n".join(LINES[:-1]))
    assert "bad:1: is not JSON" in told("no\n" + "\n".join(LINES[1:]))
    assert "has the fields" in told('{"t": 1}\n' + LINES[-1])
    foreign = json.loads(LINES[-1]) | {"system": {"builder": "os:system", "config": {}}}
    assert "not below protocol.machines" in told(json.dumps(foreign))
    with pytest.raises(TraceError, match="No such file or directory; give the file that"):
        conform(tmp_path / "absent")


def test_the_command_tells_the_first_event_that_cannot_be(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["conform", str(written(tmp_path, EVENTS))])
    assert good.exit_code == 0 and f"{len(EVENTS)} events" in good.stdout.replace(",", "")
    k = next(k for k, e in enumerate(EVENTS) if e["event"] == "announce")
    bad = CliRunner().invoke(app, ["conform", str(written(tmp_path, EVENTS[:k] + EVENTS[k + 1 :]))])
    assert bad.exit_code == 1 and "does not conform" in bad.stdout
