"""`interlock run --ep --routing --audit`: the routes of a run are stored, read back as a trainer does, and replayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from checker.conform import conform
from engine.audit import Routes, audit
from engine.deployment import Deployment
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.generation import Generation
from engine.model.config import TINY_EXPERTS
from engine.model.weights import seeded
from interlock import app
from protocol import DefinitionError

WEIGHTS = seeded(TINY_EXPERTS, 0)
SMALL = ("--lockstep", "--limit", "3", "--input-len", "20", "--output-len", "3", "--request-rate", "inf", "--model", "tiny-experts")


def run(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["run", *SMALL, *map(str, words)])
    return done.exit_code, done.output


@pytest.mark.parametrize("parallel", [2, 4])
def test_a_run_stores_the_routes_of_every_answer_and_reads_them_back(tmp_path: Path, parallel: int) -> None:
    folder, files = tmp_path / "routes", ("--log", tmp_path / "log.ndjson", "--audit")
    code, told = run("--tp", "2", "--decode", "2", "--ep", str(parallel), "--routing", folder, *files)
    assert code == 0 and f"expert parallel {parallel}" in told
    assert "routes of 3 rollouts read back: 0 missing or not whole, 0 that replay another pass" in told
    assert sorted(path.name for path in folder.iterdir()) == ["request-0", "request-1", "request-2"]
    assert conform(tmp_path / "log.ndjson").conforms


def test_an_audit_tells_a_torn_file_and_routes_of_another_pass(tmp_path: Path) -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY_EXPERTS, sequences=3, context_tokens=96, routing=str(tmp_path)))
    for name in ("kept", "torn", "changed"):
        engine.submit(Generation((256, *name.encode()), 3, rollout=name))
    engine.run(40_000)
    found = audit(WEIGHTS, engine.records.values(), engine.leaks(), str(tmp_path))
    assert found.healthy and found.routes == Routes(3, 0, 0)
    torn, changed = tmp_path / "torn" / "layer_1.npy", tmp_path / "changed" / "layer_2.npy"
    torn.write_bytes(torn.read_bytes()[:-8])
    np.save(changed, (np.load(changed) + 1) % TINY_EXPERTS.experts)
    found = audit(WEIGHTS, engine.records.values(), engine.leaks(), str(tmp_path))
    assert not found.healthy and found.routes == Routes(3, 1, 1)


def test_a_place_that_can_be_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DefinitionError, match=r"--routing .*/file: File exists; name a folder that can be written"):
        Deployment("tiny-experts", routing=str(tmp_path / "file")).start()


@pytest.mark.parametrize("words", [("--ep", "2", "--prefill", "0"), ("--routing", "x", "--prefill", "0"), ("--ep", "3")])
def test_what_cannot_be_is_refused(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["run", *SMALL, *words])
    assert done.exit_code == 1 and type(done.exception).__name__ == "DefinitionError"  # `main` tells it in one line, with exit code 2
