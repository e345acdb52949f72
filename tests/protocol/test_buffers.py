"""The small buffers: the paths of H-33 and H-36 and of open question Q5, and what files, slices and lists really do."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from checker import check
from protocol import DefinitionError
from protocol.machines.buffers import draft_tokens, graph_buffers, reasoning_budget, routing_file, sampling_mirror

from .paths import in_order, paths_of

path_of = paths_of("buffers")


PATHS = {
    "unfinished-file-loaded-in-published": ["writer.open_path", "reader.find_file", "reader.load_broken"],
    "unfinished-file-loaded-in-cleared-first": ["clearer.tell", "writer.open_path", "reader.find_file", "reader.load_broken"],
    "found-file-vanishes-in-published": ["writer.open_path", "reader.find_file", "clearer.unlink", "reader.load_vanished"],
    "found-file-vanishes-in-renamed": ["writer.rename", "reader.find_file", "clearer.unlink", "reader.load_vanished"],
    "missing-file-loaded-in-published": ["reader.time_out", "reader.load_missing"],
    "stale-file-loaded-in-renamed": ["reader.find_file", "reader.load_stale"],
    "written-file-cleared-in-published": ["writer.write_rest", "clearer.unlink"],
    "directory-taken-from-under-a-put-in-published": ["writer.make_directory", "clearer.remove_directory", "writer.miss_directory"],
    "stale-rows-captured-in-full-size": ["runner.clear", "runner.create", "runner.capture"],
    "token-of-the-row-before-decoded-by-naive": ["runner.insert", "runner.decode", "runner.insert", "runner.decode"],
    "every-attempt-paid-when-kept": ["decode_loop.begin", "decode_loop.refuse", "decode_loop.begin", "decode_loop.grant"],
}


@pytest.mark.parametrize("name", PATHS)
def test_path_tells_the_story(name: str) -> None:
    assert in_order(path_of(name), *PATHS[name]), path_of(name)


def test_replay_writes_past_the_end_after_a_small_step() -> None:
    steps = path_of("replay-writes-past-the-end-in-cloned")
    assert in_order(steps, "runner.clear", "runner.create", "runner.capture") and steps[0].startswith("runner.replay(tokens=")
    assert steps[-1].startswith("runner.replay_past_end") and steps[0][-2] < steps[-1][-2]


def test_swapped_row_leaves_its_entry_behind() -> None:
    steps = path_of("top-p-ignored-in-unswapped")
    assert steps == ["runner.insert(row=1, below=True)", "runner.swap_states(row=0, other=1)", "runner.sample"]


# -- what the machines stand for -----------------------------------------------------------------------------------------


def test_file_that_was_only_opened_is_found_and_cannot_be_loaded(tmp_path: Path) -> None:
    path, beside = tmp_path / "layer_0.pdtensor", tmp_path / "layer_0.part"
    with path.open("wb") as file:
        assert path.exists()
        with pytest.raises(EOFError, match="Ran out of input"), path.open("rb") as found:
            pickle.load(found)
        path.unlink()
        file.write(pickle.dumps([1]))
    assert not path.exists()  # what is written into an unlinked file lies at no path
    beside.write_bytes(pickle.dumps([1]))
    os.replace(beside, path)
    assert pickle.loads(path.read_bytes()) == [1] and not beside.exists()


@pytest.mark.parametrize(("swaps", "resets"), [(True, True), (False, True), (True, False)])
def test_random_steps_break_the_mirror_as_the_checker_says(swaps: bool, resets: bool) -> None:
    """Lists instead of rows: which of the three claims break in a long random run is what the scenarios record."""
    draw, n = random.Random(7), 3
    device, host, occupied = [1.0] * n, [1.0] * n, [False] * n
    broken = set()
    for _ in range(3000):
        row, other, top_p = draw.randrange(n), draw.randrange(n), draw.choice([1.0, 0.5])
        action = draw.choice(["insert", "finish", "swap"])
        if action == "insert" and not occupied[row]:
            device[row], host[row], occupied[row] = top_p, top_p, True
        elif action == "finish" and occupied[row]:
            device[row], occupied[row] = 1.0, False
            host[row] = 1.0 if resets else host[row]
        elif action == "swap":
            for mirrored in (device, occupied, *([host] if swaps else [])):
                mirrored[row], mirrored[other] = mirrored[other], mirrored[row]  # type: ignore[index]
        real_bsz = max((k + 1 for k in range(n) if occupied[k]), default=0)
        fast = all(p == 1.0 for p in host[:real_bsz])
        needed = any(occupied[k] and device[k] != 1.0 for k in range(n))
        broken |= {"list_mirrors_tensor"} if device[:real_bsz] != host[:real_bsz] else set()
        broken |= {"no_top_p_ignored"} if fast and needed else {"no_fast_path_missed"} if real_bsz and not fast and not needed else set()
    variant = "repaired" if swaps and resets else "stale" if swaps else "unswapped"
    findings = check(sampling_mirror.build(variant, rows=n)).findings
    assert broken == {name for name, finding in findings.items() if finding.verdict.value == "violated"}


# -- bounds --------------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Any, dict[str, Any]]] = [
    (routing_file.build, {"variant": "E0"}),
    (graph_buffers.build, {"variant": "E0"}),
    (graph_buffers.build, {"tokens": 1}),
    (sampling_mirror.build, {"variant": "E0"}),
    (sampling_mirror.build, {"rows": 1}),
    (draft_tokens.build, {"variant": "E0"}),
    (draft_tokens.build, {"method": "ngram"}),
    (draft_tokens.build, {"requests": 0}),
    (reasoning_budget.build, {"variant": "E0"}),
    (reasoning_budget.build, {"budget": 1}),
]


@pytest.mark.parametrize(("build", "wrong"), WRONG, ids=lambda part: str(part) if isinstance(part, dict) else "")
def test_parameters_are_judged_with_their_choices(build: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)
