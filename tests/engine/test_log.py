"""The event log: parts merged by time, whole or not at all."""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.log import Line, beside, line, lines_of, merge
from protocol import TraceError
from protocol.trace import check_target

SYSTEM = {"builder": "a.b:build", "config": {}}


TOLD = '"copy": "taker[0]", "event": "take", "values": {"number": "2"}, "reads": {"box": "<2>"}, "writes": {"box_filled": "False"}'


def part(process: str, *times: float) -> Iterable[Line]:
    return lines_of(io.StringIO("".join(line(process, TOLD, t - 0.5, t) for t in times)))


def test_parts_are_merged_by_time(tmp_path: Path) -> None:
    merge([part("a", 1.0, 4.0), part("b", 2.0, 3.0)], tmp_path / "log", SYSTEM)
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()[:-1]]
    assert [(e["t"], e["process"]) for e in events] == [(1.0, "a"), (2.0, "b"), (3.0, "b"), (4.0, "a")]
    assert events[0] == {
        "t": 1.0, "began": 0.5, "process": "a", "copy": "taker[0]", "event": "take",
        "values": {"number": "2"}, "reads": {"box": "<2>"}, "writes": {"box_filled": "False"},
    }  # fmt: skip


def test_a_log_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "absent" / "log"):
        with pytest.raises(TraceError, match="; choose a file"):
            check_target(target)
        with pytest.raises(TraceError, match="; choose a file"):
            merge([part("a", 1.0)], target, SYSTEM)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_device_is_written_to_and_not_replaced() -> None:
    merge([part("a", 1.0)], os.devnull, SYSTEM)
    assert not Path(os.devnull).is_file()
    with pytest.raises(TraceError, match="/dev/full: No space left on device"):
        merge([part("a", 1.0)], "/dev/full", SYSTEM)


def test_logs_beside_one_have_names_of_their_own_and_a_device_has_none_beside_it(tmp_path: Path) -> None:
    assert beside(tmp_path / "a.ndjson", "engine2") == tmp_path / "a.engine2.ndjson" and beside("/dev/null", "engine2") == Path("/dev/null")
