"""Traces: what they record, the file form, and that a file is written whole or not at all."""

import errno
import json
import os
from enum import IntEnum
from pathlib import Path

import pytest

from protocol import BOOL, Machine, ProtocolError, Range, Row, System, TraceError, always, lost_store, private, register
from protocol.action import Instance
from protocol.trace import Trace, load_trace, save_trace, trace_of
from tests.reference import two_phase_commit


class Phase(IntEnum):
    START, MIDDLE, END = range(3)


def instances(system: System, *names: str) -> list[Instance]:
    """The path that these instances make, each by its text."""
    known = {str(instance): instance for instance in system.instances()}
    return [known[name] for name in names]


@pytest.fixture
def committed() -> Trace:
    """Two-phase commit with one resource manager, up to its commit."""
    system = two_phase_commit.build(1)
    names = ("resource[0].prepare", "tm.receive_prepared(rm=0)", "tm.commit", "resource[0].receive_commit")
    return trace_of(system, instances(system, *names), property="consistent")


def overflowing() -> tuple[System, list[Instance]]:
    """One counter that leaves its range at the second step."""
    counter = private("counter", Range(0, 1))
    machine = Machine("m", Phase, [Row("count", (Phase.START, Phase.MIDDLE), Phase.MIDDLE, True, [counter.add(1)])])
    system = System("overflowing", [machine])
    return system, instances(system, "m.count", "m.count")


def test_trace_records_changes_and_reads(committed: Trace) -> None:
    assert [step.name for step in committed.steps] == [
        "resource[0].prepare",
        "tm.receive_prepared(rm=0)",
        "tm.commit",
        "resource[0].receive_commit",
    ]
    assert [(c.cell, c.before, c.after, c.medium) for c in committed.steps[1].changes] == [("prepared_known[0]", "False", "True", "private")]
    assert committed.steps[1].reads == (("prepared_sent[0]", "True"),)
    assert committed.steps[2].reads == ()
    assert committed.states[-1]["resource.state"] == {"0": "COMMITTED"}
    assert committed.claim.startswith("always ")


def test_store_of_the_same_value_is_recorded_and_ghosts_read_nothing() -> None:
    flag = register("flag", BOOL)
    one = Machine("one", Phase, [Row("lower", Phase.START, Phase.END, True, [flag.set(False)])])
    two = Machine("two", Phase, [Row("raise_flag", Phase.START, Phase.END, True, [flag.set(True)])])
    system = System("watched", [one, two], [lost_store(flag)])
    trace = trace_of(system, instances(system, "one.lower", "two.raise_flag"))
    stored = [c for c in trace.steps[0].changes if c.cell == "flag"]
    assert [(c.before, c.after) for c in stored] == [("False", "False")]
    assert all(not step.reads for step in trace.steps)


def test_step_that_is_not_enabled_raises() -> None:
    system = two_phase_commit.build(1)
    with pytest.raises(ProtocolError, match="step 1 of the path, tm.commit, is not enabled"):
        trace_of(system, instances(system, "tm.commit"))


def test_last_step_out_of_range_has_no_successor() -> None:
    system, path = overflowing()
    trace = trace_of(system, path, property="range")
    assert len(trace.steps) == len(trace.states) == 2
    assert "lies outside 0..1" in trace.steps[-1].failure


def test_saved_trace_loads_as_it_was(committed: Trace, tmp_path: Path) -> None:
    committed.scenario, committed.config, committed.about, committed.loop_start = "some-name", {"ranks": 2, "variant": "B'"}, "What happens.", 2
    save_trace(committed, tmp_path / "trace.itf.json")
    assert load_trace(tmp_path / "trace.itf.json") == committed


def test_saved_failing_trace_loads_as_it_was(tmp_path: Path) -> None:
    system, path = overflowing()
    trace = trace_of(system, path)
    save_trace(trace, tmp_path / "trace.itf.json")
    assert load_trace(tmp_path / "trace.itf.json") == trace


def test_saved_trace_is_itf(committed: Trace, tmp_path: Path) -> None:
    save_trace(committed, tmp_path / "trace.itf.json")
    document = json.loads((tmp_path / "trace.itf.json").read_text())
    assert document["#meta"]["format"] == "ITF"
    assert all(set(document["vars"]) == set(state) - {"#meta"} for state in document["states"])


@pytest.mark.parametrize("target", ["/dev/full", ".", "missing/folder/trace.json"])
def test_target_that_cannot_be_written_raises_and_leaves_nothing(committed: Trace, tmp_path: Path, target: str) -> None:
    if target == "/dev/full" and not os.path.exists(target):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(TraceError, match="choose"):
        save_trace(committed, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("call", "number"), [("fsync", errno.ENOSPC), ("replace", errno.EACCES)])
def test_failure_while_writing_keeps_the_old_file(committed: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    target = tmp_path / "trace.itf.json"
    target.write_text("old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(TraceError, match=os.strerror(number)):
        save_trace(committed, target)
    assert [p.name for p in tmp_path.iterdir()] == ["trace.itf.json"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r":1: not JSON"),
        ("[]", "not a trace of ours"),
        ('{"#meta": {}, "states": [{}]}', "'system' is missing"),
        ('{"#meta": {"system": "s", "property": "p"}, "states": []}', "0 steps do not fit 0 states"),
        ('{"#meta": {"system": "s", "property": "p"}, "states": [{}, {"#meta": {"index": 1}}]}', "'step' is missing"),
        ("\x00\x01", "not JSON"),
    ],
)
def test_foreign_file_is_an_error_that_names_it(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "trace.itf.json"
    path.write_text(content)
    with pytest.raises(TraceError, match=said) as caught:
        load_trace(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere.json: No such file"):
        load_trace(tmp_path / "nowhere.json")


def test_claim_of_a_property_without_a_name_is_empty() -> None:
    system = System("quiet", [Machine("m", Phase, [Row("go", Phase.START, Phase.END)])], [always("fine", True)])
    assert trace_of(system, instances(system, "m.go")).claim == ""
