"""`interlock replay` as its users meet it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from engine.replay.registry import SUBJECTS
from interlock import main
from protocol.catalogue import find_scenario
from protocol.trace import save_trace

from .paths import found

TASK = "sending-old-task-serves-the-next-request-in-e1"
LAUNCHED = "repaired-launched-faults-without-speaks-in-stream-requests-answered"


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # noqa: ANN201
    """Run `interlock replay` in this process; returns (exit code, standard output, standard error)."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["interlock", "replay", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command


def test_damage_exits_1_and_is_told(replay) -> None:  # noqa: ANN001
    code, out, _ = replay(TASK)
    text = " ".join(out.split())
    assert code == 1 and "13 steps, then a fair schedule of seed 0" in text
    assert "15 of the 16 tokens told are not the reference's" in text
    assert "Request 1 never ends. life[1] in FORWARDED waits for answer (finished is <0>, which life or messager changes)." in text
    assert "24,576 bytes of keys and values are written into blocks of another request." in text


def test_the_table_tells_how_many_times_k3_has_grown_in_both_engines(replay) -> None:  # noqa: ANN001
    text = " ".join(replay(TASK)[1].split())
    assert "k3_kl_mean, 32-bit floats below 1e-9 3.6 over 10^9" in text
    assert re.search(r"k3_kl_mean, bfloat16 0\.000\d+ 3\.\d \d+,\d{3} ", text)
    assert "requests that never end none 1 of 3 (1)" in text and "blocks that stay taken none 4 of prefill, 8 of decode" in text


def test_a_request_called_0_is_in_the_table_and_so_is_the_rule_that_is_left_out(replay) -> None:  # noqa: ANN001
    code, out, _ = replay(LAUNCHED, "--rough", "2")
    text = " ".join(out.split())
    assert code == 1 and "version repaired without speaks_in_stream: 68 steps" in text
    assert "requests that never end none 1 of 1 (0)" in text and "2 0 0 no token told -" in text


def test_who_is_left_where_nobody_can_help_stays_there(replay) -> None:  # noqa: ANN001
    out = " ".join(replay("sending-nothing-to-send-never-finishes")[1].split())
    assert "Request 0 never ends. sender in READY: nothing that another does lets it go on." in out


def test_blocks_overwritten_in_time_are_told_with_what_to_try_next(replay) -> None:  # noqa: ANN001
    code, out, _ = replay("decode-other-request-overwritten-in-rechecked")
    assert code == 1 and "if the last step is in time: --late holds it back." in " ".join(out.split())


def test_no_damage_exits_0(replay) -> None:  # noqa: ANN001
    code, out, _ = replay("buffers-some-fast-path-in-ours", "--rough", "2", "--late")
    assert code == 0 and "under rough schedules" in out and "Holding the last step back hurts no token." in out


def test_a_trace_file_is_replayed(replay, tmp_path: Path) -> None:  # noqa: ANN001
    save_trace(found(TASK), tmp_path / "task.itf.json")
    code, out, _ = replay(tmp_path / "task.itf.json", "--seed", "1")
    assert code == 1 and "seed 1" in out and "Request 1 never ends." in out


def test_rows_without_tensors_say_who_is_left_waiting(replay) -> None:  # noqa: ANN001
    name = "collectives-lock-kept-by-dead-rank"
    assert find_scenario(name).build not in SUBJECTS
    code, out, _ = replay(name)
    text = " ".join(out.split())
    assert code == 1 and "No tensor lies behind the rows of collectives.lock_holder. This happens instead: A rank dies between" in text
    assert "This does not hold: P15: a call gets the lock (engine_reaches_the_queue). engine in LOCKING waits for" in text


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("buffers-no-top-p-ignored-in-stale", 0, "No path breaks it, so there is none to drive; `interlock hunt buffers-no-top-p"),
        ("intake-clean-up-never-reached-as-published", 1, "gets there, so there is no path to drive. The clean-up asks for more entries than"),
    ],
)
def test_what_is_answered_without_a_path_is_told_in_words(replay, name: str, code: int, said: str) -> None:  # noqa: ANN001
    told, out, _ = replay(name)
    assert told == code and said in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a trace or a scenario, or give --all"),
        ((TASK, "--all"), "(one of them)"),
        (("nosuch",), "there is no scenario 'nosuch'"),
        ((f"{Path(__file__).parents[2]}/reference/two_phase_commit.py:build",), "only scenarios of the catalogue are replayed"),
    ],
)
def test_what_cannot_be_replayed_is_one_line_and_exit_2(replay, arguments: tuple[str, ...], said: str) -> None:  # noqa: ANN001
    code, out, err = replay(*arguments)
    assert code == 2 and out == "" and said in err and err.count("\n") == 1
