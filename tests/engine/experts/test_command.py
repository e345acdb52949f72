"""`interlock experts` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock import app


def experts(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["experts", *words])
    return done.exit_code, done.output


def test_an_idle_instance_comes_along() -> None:
    code, told = experts("--variant", "B", "--policy", "random")
    lines = told.splitlines()
    forwards = {line.rpartition(": ")[2] for line in lines[:4]}
    assert code == 0 and len(forwards) == 1 and lines[0].startswith("instance 0, rank 0: ")
    assert lines[4].startswith("2 of 2 requests completed, 8 tokens, ") and lines[5:] == ["all tokens are those of the monolithic pass"]


def test_without_empty_batches_the_ranks_that_wait_are_told() -> None:
    code, told = experts("--variant", "B-without-empty-batches")
    assert code == 1 and "worker[0,0] waits in EPB (MEET) for worker[1,0], worker[1,1]" in told


def test_a_log_is_written_in_lockstep_too(tmp_path: Path) -> None:
    code, told = experts("--log", str(tmp_path / "log"))
    assert code == 0 and f"event log written to {tmp_path / 'log'}" in told.replace("\n", "")
    assert experts("--log", str(tmp_path / "missing" / "log"))[0] == 1


def test_experts_are_moved_and_the_loads_are_told() -> None:
    code, told = experts("--busy", "2", "--requests", "4", "--tokens", "8", "--balance", "end", "--redundant", "1")
    assert code == 0 and "experts moved: " in told and "(most loaded place over the mean: " in told


def test_the_most_that_can_be_asked_for_has_room() -> None:
    code, told = experts("--requests", "8", "--tokens", "16", "--busy", "1", "--tp", "1")
    assert code == 0 and "8 of 8 requests completed, 128 tokens, " in told


REFUSED = [("--busy", "3"), ("--redundant", "1"), ("--dp", "3"), ("--variant", "X"), ("--redundant", "4", "--balance", "end")]


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_run_is_refused(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["experts", *words])
    assert done.exit_code == 1 and type(done.exception).__name__ == "DefinitionError"  # `main` tells it in one line, with exit code 2
