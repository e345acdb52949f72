"""`interlock run --lockstep` and `interlock hunt` from the outside: the same seed gives the same bytes in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--lockstep", "--limit", "4", "--input-len", "20", "--output-len", "3", "--request-rate", "inf", "--seed", "5")


def interlock(*words: str | Path, where: Path, hash_seed: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "interlock.py"), *map(str, words)]
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=where, env=environment)


def test_a_recorded_run_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    first = interlock("run", *SMALL, "--policy", "random", "--record", "choices", "--log", "a.ndjson", "--audit", where=tmp_path, hash_seed=1)
    assert (first.returncode, first.stderr) == (0, "")
    assert "audit: healthy; 4 requests, 12 tokens" in first.stdout and "turns random, seed 5" in first.stdout
    again = interlock("run", *SMALL, "--recorded", "choices", "--log", "b.ndjson", where=tmp_path, hash_seed=2)
    assert again.returncode == 0
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()


def test_a_version_goes_wrong_in_a_hunt_and_says_how(tmp_path: Path) -> None:
    done = interlock("hunt", "layer0-signal-dropped-in-e1", "--policy", "pct", "--first", "4", "--seeds", "1", where=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "never ends 1" in done.stdout and "pct, seed 4: requests 0 never end: sender[1] in MEETING waits for" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--record", "x"), "--record x: only a run in lockstep chooses its turns; give --lockstep"),
        (("run", "--policy", "pct"), "--policy pct: only a run in lockstep chooses its turns; give --lockstep"),
        (("run", "--lockstep", "--changes", "2"), "--changes 2: change points are of one policy; give --policy pct"),
        (("run", "--lockstep", "--recorded", "x", "--policy", "pct"), "--recorded: the choices of a run stand in the file"),
        (("run", "--request-rate", "-3"), "--request-rate=-3.0: give a positive number"),
        (("run", "--lockstep", "--monolithic"), "--lockstep: only the engine that the protocol drives has turns"),
        (("run", "--variant", "A"), "--variant: of the gate and its ranks; give --prefill 0"),
        (("hunt", "layer0-signal-dropped-in-e1", "--without", "fences_writes"), "hunt: --without leaves a rule of the whole engine out"),
        (("hunt", "--all", "--without", "fences_writes"), "hunt: --all is every version under both policies"),
        (("hunt", "--keep", "kept"), "hunt: --keep and -o are of the whole table; give --all"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = interlock(*words, where=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") == 1
