"""`interlock replay` as its users meet it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.replay.registry import SUBJECTS
from interlock import main
from protocol.catalogue import find_scenario
from protocol.trace import save_trace

from .paths import found

TASK = "sending-old-task-serves-the-next-request-in-e1"


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # noqa: ANN201
    """Run `interlock replay` in this process; returns (exit code, standard output, standard error)."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["interlock", "replay", *map(str, arguments)])
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
    assert "Request 1 never ends. life[1] in FORWARDED waits for answer (finished is <0>; life or messager changes it)." in text
    assert "24,576 bytes of keys and values are written into blocks of another request." in text


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
