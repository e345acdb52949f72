"""The timeline against the rules of its format, and against the log that it was made of."""

from __future__ import annotations

import io
import json
import random
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.driver import Driver
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.run import run_lockstep
from engine.log import TextPart, last_line
from engine.runtime.placement import Composition
from engine.store import Store
from engine.timeline import Event, read_log, timeline, write_timeline
from engine.workload import Request
from protocol import TraceError

REPAIRED = Composition("protocol.machines.repaired.protocol:build", {"requests": 2, "turns": 2, "ranks": 2, "slots": 2, "chunks": 2, "room": 2})


def signalling_log() -> str:
    """A run of the forward-signal engine: virtual time, in which rows take none."""
    log = io.StringIO()
    run_lockstep([Request(0.0, 100, 3), Request(0.1, 50, 2)], SignalPlan(2), log=log)
    return log.getvalue()


def repaired_log(steps: int = 700) -> str:
    """A random walk of the repaired protocol, as if by three processes whose rows overlap in time."""
    system = REPAIRED.system()
    driver, log, rng = Driver(system, Store(system)), io.StringIO(), random.Random(2)
    fired: Counter[str] = Counter()
    ends: dict[str, float] = defaultdict(float)
    for now in range(steps):
        able = [(copy, rows) for copy in driver.copies.values() if (rows := list(driver.enabled(copy)))]
        copy, rows = rng.choice(able)
        step = driver.fire(copy, rng.choice(rows))
        process = "router" if step.machine == "router" else "decode" if step.machine in ("decode_loop", "decode_worker", "listener") else "prefill"
        moment = 1000 + now * 1e-5  # a run's clock starts anywhere
        began = max(ends[process], moment - rng.random() * 1e-4)
        ends[process] = max(began, moment) + 1e-6
        TextPart(log, process).write(step, began, ends[process])
        fired[copy.name] += 1
    return log.getvalue() + last_line(REPAIRED.described(), fired)


LOGS = {"signalling": signalling_log(), "repaired": repaired_log()}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def events_of(folder: Path, *texts: str) -> list[Event]:
    """What is in the file, as a reader of JSON gets it."""
    logs = [written(folder, f"log{k}", text) for k, text in enumerate(texts)]
    write_timeline(dict.fromkeys(logs, ""), folder / "timeline.json")
    content = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
    assert set(content) == {"displayTimeUnit", "traceEvents"} and content["displayTimeUnit"] in ("ms", "ns")
    return content["traceEvents"]  # type: ignore[no-any-return]


def rows_of(text: str) -> list[Event]:
    return [json.loads(line) for line in text.splitlines()[:-1]]


def judge(events: list[Event]) -> None:
    """The rules of the Trace Event Format for the kinds of events that we write."""
    timed = [e for e in events if e["ph"] != "M"]
    assert events[: len(events) - len(timed)] == [e for e in events if e["ph"] == "M"], "names come before what they name"
    assert all(type(e["pid"]) is int and type(e["tid"]) is int and isinstance(e["name"], str) for e in events)
    _judge_names(events)
    moments = [e["ts"] for e in timed]
    assert moments == sorted(moments) and all(isinstance(t, (int, float)) and t >= 0 for t in moments) and moments[0] == 0
    tracks: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for e in timed:
        assert isinstance(e["cat"], str)
        if e["ph"] == "X":
            assert set(e) == {"ph", "name", "cat", "ts", "dur", "pid", "tid", "args"} and e["dur"] > 0
            tracks[e["pid"], e["tid"]].append(e)
    for slices in tracks.values():
        assert all(one["ts"] + one["dur"] <= other["ts"] + 1e-3 for one, other in pairwise(slices)), "slices of a track do not overlap"
    _judge_flows([e for e in timed if e["ph"] != "X"], tracks)


def _judge_names(events: list[Event]) -> None:
    kinds = {"process_name": "name", "process_sort_index": "sort_index", "thread_name": "name", "thread_sort_index": "sort_index"}
    named = Counter[tuple[object, ...]]()
    for e in events:
        if e["ph"] == "M":
            assert list(e["args"]) == [kinds[e["name"]]] and "ts" not in e
            named[e["name"], e["pid"], e["tid"] if e["name"].startswith("thread") else 0] += 1
    assert set(named.values()) <= {1}
    for e in events:
        if e["ph"] != "M":
            assert named["process_name", e["pid"], 0] == named["thread_name", e["pid"], e["tid"]] == 1


def _judge_flows(flows: list[Event], tracks: dict[tuple[int, int], list[Event]]) -> None:
    by_id: dict[int, list[Event]] = defaultdict(list)
    for e in flows:
        assert e["ph"] in "stf" and e.get("bp") == (None if e["ph"] == "s" else "e")
        around = [s for s in tracks[e["pid"], e["tid"]] if s["ts"] <= e["ts"] <= s["ts"] + s["dur"]]
        assert len(around) == 1, "an arrow is bound to the slice around it"
        by_id[e["id"]].append(e)
    for arrows in by_id.values():
        assert "".join(e["ph"] for e in arrows) == "s" + "t" * (len(arrows) - 2) + "f"
        assert len({(e["cat"], e["name"]) for e in arrows}) == 1


@pytest.mark.parametrize("name", LOGS)
def test_a_timeline_keeps_the_rules_of_its_format(tmp_path: Path, name: str) -> None:
    judge(events_of(tmp_path, LOGS[name]))


@pytest.mark.parametrize("name", LOGS)
def test_every_row_is_one_slice_of_its_copys_track_in_order(tmp_path: Path, name: str) -> None:
    events = events_of(tmp_path, LOGS[name])
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    threads = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found, expected = defaultdict(list), defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            found[processes[e["pid"]], threads[e["tid"]]].append((e["name"], e["args"]))
    for row in rows_of(LOGS[name]):
        shown = {key: row[key] for key in ("values", "reads", "writes") if row[key]}
        expected[row["process"], row["copy"]].append((row["event"], shown))
    assert found == expected


def test_slices_last_as_long_as_their_rows(tmp_path: Path) -> None:
    rows = rows_of(LOGS["repaired"])
    first = min(row["began"] for row in rows)
    took = sorted((round((row["began"] - first) * 1e6, 3), max(1.0, round((row["t"] - row["began"]) * 1e6, 3))) for row in rows)
    slices = sorted((e["ts"], e["dur"]) for e in events_of(tmp_path, LOGS["repaired"]) if e["ph"] == "X")
    assert all(s == pytest.approx(r, abs=2e-3) for s, r in zip(slices, took, strict=True))


def test_a_flow_leads_through_a_turn_of_a_request_from_the_client_and_back(tmp_path: Path) -> None:
    events = events_of(tmp_path, LOGS["repaired"])
    flows, slices = defaultdict(list), [e for e in events if e["ph"] == "X"]
    for e in events:
        if e["ph"] in "stf":
            around = next(s for s in slices if s["tid"] == e["tid"] and s["ts"] <= e["ts"] <= s["ts"] + s["dur"])
            flows[e["name"]].append((around["cat"], around["name"]))
    assert {"request 0, turn 0", "request 1, turn 0"} <= set(flows)
    visited = [machine for machine, _ in flows["request 0, turn 0"]]
    assert flows["request 0, turn 0"][0] == ("router", "post_to_decode")
    assert {"prepare", "registrar", "consumer", "sender", "completer", "connector", "listener", "decode_loop", "decode_worker"} <= set(visited)
    assert ("router", "receive_answer") in flows["request 0, turn 0"]


def row(t: float, copy: str, event: str, values: dict[str, str], reads: dict[str, str], writes: dict[str, str]) -> dict[str, Any]:
    return {"t": t, "began": t, "process": "p", "copy": copy, "event": event, "values": values, "reads": reads, "writes": writes}


def test_what_names_a_request_and_its_turn(tmp_path: Path) -> None:
    rows = [
        row(0.0, "router[1]", "post_to_decode", {}, {}, {}),  # by its copy; nobody has told of a turn yet
        row(0.1, "router[0]", "register", {}, {}, {"turn_of[0]": "1"}),  # a new turn
        row(0.2, "timer", "ask", {"request": "0"}, {"turn_of[0]": "1"}, {}),  # by its choice
        row(0.3, "listener[0]", "hear", {"request": "0", "turn": "0"}, {}, {}),  # delayed from an earlier turn
        row(0.4, "worker[0]", "compute", {}, {"turn_of[1]": "0"}, {"report[0,1]": "2", "forward_signal": "1"}),  # by what it stores
        row(0.5, "worker[0]", "look", {}, {"report[0,1]": "2"}, {}),  # by nothing
        row(0.6, "gate", "schedule", {}, {}, {"scheduled_chunks[0]": "1", "scheduled_chunks[1]": "1"}),  # two
    ]
    path = written(tmp_path, "log", "".join(json.dumps(r) + "\n" for r in rows) + last_line(REPAIRED.described(), {}))
    log = read_log(path)
    assert [log.request_of(r) for r in rows] == ["1", "0", "0", "0", "0", None, None]
    assert [log.turn_of(r, "0") for r in rows] == [None, "1", "1", None, None, None, None]
    arrows = [(e["ph"], e["name"]) for e in timeline([log]) if e["ph"] in "stf"]
    assert arrows == [("s", "request 0, turn 1"), ("t", "request 0, turn 1"), ("f", "request 0, turn 1")]


def test_a_flow_goes_by_time_where_rows_overlap(tmp_path: Path) -> None:
    """A log is in order of the rows' ends; an arrow must not lead back in time."""
    early = row(0.2, "router[0]", "post_to_decode", {}, {}, {}) | {"began": 0.1}
    late = row(0.9, "router[0]", "register", {}, {}, {}) | {"began": 0.8}
    long = row(1.0, "timer", "ask", {"request": "0"}, {}, {}) | {"began": 0.0}
    last = row(1.1, "timer", "ask", {"request": "0"}, {}, {})
    events = events_of(tmp_path, "".join(json.dumps(r) + "\n" for r in (early, late, long, last)) + last_line(REPAIRED.described(), {}))
    judge(events)
    moments = [(e["ph"], e["ts"]) for e in events if e["ph"] in "stf"]
    assert moments == [("s", 150000.0), ("t", 500000.0), ("t", 850000.0), ("f", 1100000.5)]


def test_processes_and_tracks_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [row(k / 10, f"worker[{rank}]", "look", {}, {}, {}) | {"process": f"worker {rank}"} for k, rank in enumerate((10, 9, 2, 100))]
    events = events_of(tmp_path, "".join(json.dumps(r) + "\n" for r in rows) + last_line(REPAIRED.described(), {}))
    order = {e["pid"]: e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index"}
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert [names[pid] for pid in sorted(names, key=order.__getitem__)] == ["worker 2", "worker 9", "worker 10", "worker 100"]
    assert [e["args"]["name"] for e in events if e["name"] == "thread_name"] == ["worker[2]", "worker[9]", "worker[10]", "worker[100]"]


def test_processes_are_in_the_order_in_which_a_request_comes_by(tmp_path: Path) -> None:
    names = ["decode engine 0", "timer", "messager 0", "prefill engine", "router"]
    rows = [row(k / 10, "worker[0]", "look", {}, {}, {}) | {"process": name} for k, name in enumerate(names)]
    events = events_of(tmp_path, "".join(json.dumps(r) + "\n" for r in rows) + last_line(REPAIRED.described(), {}))
    told = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert told == ["router", "prefill engine", "messager 0", "decode engine 0", "timer"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log: has no last line that names its system; the log was cut off or is of another kind"),
        ("{}\n[1]\n", "log: has no last line that names its system; the log was cut off or is of another kind"),
        ('{"system": {"builder": "os:system", "config": {}}, "fired": {}}\n', "log: has no last line that names its system"),
        ("{}\n{oops\n", "log:2: is not JSON"),
        (f"{{oops\n{last_line(REPAIRED.described(), {})}", "log:1: is not JSON"),
        (f"{{}}\n{last_line(REPAIRED.described(), {})}", "log:1: is no fired row; give an event log"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TraceError) as raised:
        write_timeline({written(tmp_path, "log", text): ""}, tmp_path / "timeline.json")
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "timeline.json").exists()


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="absent: cannot be read"):
        write_timeline({tmp_path / "absent": ""}, tmp_path / "timeline.json")
