"""What handlers keep: of every request what the cells say that there is to keep, at every turn; and nothing that docs/engine.md does not tell."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import random
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine as engine_package
from engine.audit import audit
from engine.binding import after, bound_rows
from engine.disaggregated.crews import DecodeCrew, DecodeRankCrew, MessagerCrew, PrefillCrew, RouterCrew
from engine.disaggregated.hunt import SMALL
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.messager import Messager
from engine.disaggregated.plant import Plant
from engine.model.config import TINY_EXPERTS
from engine.model.weights import seeded
from engine.runtime.lockstep import LockstepAgent
from engine.step import Step
from protocol.machines.repaired.decode import DecodeWorker
from protocol.machines.repaired.plane import HOLDING, RESERVING, Entry, Stage
from protocol.machines.repaired.prepare import Prepare
from protocol.machines.repaired.router import Router as RouterState

from .test_lockstep import WEIGHTS, generations

PAGE = Path(__file__).parents[3] / "docs" / "engine.md"
PLANTS: dict[str, dict[str, Any]] = {
    "1P2D": {"decodes": 2},
    "2P1D": {"prefills": 2, "prefix_cache": True},
    "drafts": {"drafts": 2},
    "launched": {"asynchronous": True},
    "shared": {"config": TINY_EXPERTS, "decodes": 2, "expert_parallel": 4, "redundant_experts": 1},
}


class Cells:
    """The cells of the protocol as an engine has them at the moment."""

    def __init__(self, engine: LockstepEngine):
        self._store, self._system = engine.ensemble.driver.store, engine.ensemble.driver.system
        self._variables = {variable.name: variable for variable in self._store.numbering.variables}

    def __call__(self, name: str, *where: int) -> Any:
        """What is in a cell."""
        return self._store.load(self._variables[name], where)


Parts = dict[tuple[str, tuple[Any, ...]], LockstepAgent]
"""The agents of a process, by machine and copy."""
Compared = Iterator[tuple[str, Any, Any]]
"""What is compared, what is kept of it, and what the cells say."""


def differences(engine: LockstepEngine) -> Iterator[str]:
    """Where what a handler keeps is not what the cells say."""
    cells = Cells(engine)
    for name, process in engine.ensemble._processes.items():
        parts = {part: engine.ensemble._agents[number] for number, part in process.agents.items()}
        for what, kept, said in COMPARED.get(type(process.crew), nothing)(process.crew, parts, cells, engine.plant):
            if kept != said:
                yield f"{name}, {what}: it keeps {kept}, and the cells say {said}"


def nothing(crew: Any, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    """Of who keeps nothing of a request."""
    return iter(())


def of_router(crew: RouterCrew, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    jobs = {q: line.job for q, line in enumerate(crew._router.lines) if line.job is not None}
    yield "jobs", set(jobs), {q for q in range(plant.numbers) if cells("router.state", q) not in (RouterState.NEW, RouterState.ANSWERED)}
    keys = {job.key for job in jobs.values()}
    yield "requests to abort that are over", crew._router.to_abort - keys, set()
    yield "requests to post that are posted", keys & {key for key, _ in crew._router.to_post}, set()


def of_prefill(crew: PrefillCrew, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    engine = crew._engine
    leading = next(where for machine, where in parts if machine == "gate")
    stages = {q: cells("request.state", *leading, q) for q in range(plant.numbers) if plant.homes.prefill_of(q) in leading or not leading}
    yield "block tables", set(engine.cache._leases), {engine.jobs[q].key for q, stage in stages.items() if stage in HOLDING}
    granted = {q for q, stage in stages.items() if stage in (Stage.GRANTED, *HOLDING)}
    yield "D's blocks that are missing", granted - set(engine.targets), set()
    through = {q for q, stage in stages.items() if stage in (Stage.PREFILLED, Stage.DOOMED_PREFILLED, Stage.COMMITTING)}
    yield "first tokens that are missing", through - set(engine._first_tokens), set()
    for (machine, where), agent in parts.items():
        if machine == "prepare" and agent.copy.state is Prepare.HOLDING:
            thread = agent._bindings.of("prepare.hold").after.__self__  # type: ignore[union-attr]
            yield "cache task in hand", thread._task.number, cells("prepare_hand", *where)


def of_messager(crew: MessagerCrew, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    rank = next(where for _, where in parts)
    registered = {q for q in range(plant.numbers) if cells("cache_task", *rank, q) is not None}
    yield "cache tasks", set(crew._role._tasks), registered | {cells("registrar_hand", *rank)} - {None}


def of_decode(crew: DecodeCrew, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    engine, d = crew._engine, next(where[0] for machine, where in parts if machine == "decode_worker")
    entries = {q: cells("entry.state", d, q) for q in range(plant.numbers) if plant.homes.decode_of(q) == d}
    yield "answers", set(engine.answers), {q for q, entry in entries.items() if entry in RESERVING}
    yield "ends of requests that have not ended", {q for q in engine._ended if entries[q] not in (Entry.ENDING, Entry.ANSWERING)}, set()
    if cells("decode_worker.state", d) is DecodeWorker.CREDITING:
        stepping = {q for q in entries if cells("decode_batch", d, q)}
        yield "tokens that are missing", {q for q in stepping if engine.answers[q].finish is None} - set(engine._tokens), set()


def of_decode_rank(crew: DecodeRankCrew, parts: Parts, cells: Cells, plant: Plant) -> Compared:
    (_, where) = next(iter(parts))
    batch = cells("decode_worker_batch" if plant.shares_experts else "decode_rank_batch", *where)
    yield "the step in hand", crew._forwards._work is not None, batch is not None


COMPARED: dict[type | None, Callable[..., Compared]] = {
    RouterCrew: of_router,
    PrefillCrew: of_prefill,
    MessagerCrew: of_messager,
    DecodeCrew: of_decode,
    DecodeRankCrew: of_decode_rank,
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PLANTS)
def test_handlers_keep_of_a_request_what_the_cells_say(name: str, seed: int) -> None:
    """At every turn, with clients that give up and processes that die."""
    plant, rng = replace(SMALL, context_tokens=128, **PLANTS[name]), random.Random(f"{name} {seed}")
    weights = seeded(plant.config, 0)
    engine = LockstepEngine(weights, plant, seed)
    keys = [engine.submit(generation) for generation in generations(8, seed=4)]
    for rows, mishap in sorted((rng.randrange(1600), k) for k in range(6)):
        walk(engine, rows)
        if mishap < 4:
            engine.abort(keys[mishap])
        else:
            engine.ensemble.kill(rng.choice([process for process in engine.ensemble.mortal if not engine.ensemble.is_dead(process)]))
        assert list(differences(engine)) == []
    walk(engine, 20_000)
    engine.run(20_000)
    assert list(differences(engine)) == []
    found = audit(weights, engine.records.values(), engine.leaks())
    assert (found.mismatched, found.answered_twice, found.leaks, engine.open) == (0, 0, (), [])
    assert all(engine.records[key].ends for key in keys)


def walk(engine: LockstepEngine, rows: int) -> None:
    """Until so many rows have fired since the start, or every request has ended."""
    while engine.ensemble.fired < rows and engine.open:
        if not engine.turn():
            engine.ensemble.pass_time()
        assert list(differences(engine)) == []


def test_what_is_not_forgotten_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    @after("sender.clean")
    def keep(self: Messager, step: Step) -> None:
        """Forget nothing."""

    monkeypatch.setattr(Messager, "clean", keep)
    engine = LockstepEngine(WEIGHTS, SMALL)
    engine.submit(generations(1, seed=4)[0])
    engine.run(20_000)
    assert list(differences(engine)) == [f"messager {rank}, cache tasks: it keeps {{0}}, and the cells say set()" for rank in range(2)]


# -- the list of what is kept ------------------------------------------------------------------------------------------

MUTATORS = {"append", "popleft", "pop", "add", "discard", "remove", "clear", "update", "setdefault", "extend"}


ROLES = ("engine.disaggregated.", "engine.forward_signal.", "engine.experts.", "engine.routing.")
"""Where roles are; those of a replay stand for a world that it is to show."""


def kept_by_handlers() -> set[str]:
    """Everything that a role changes in itself, or in another object, once it has been made, as `Role.attribute`."""
    found = set[str]()
    for info in pkgutil.walk_packages(engine_package.__path__, f"{engine_package.__name__}."):
        if not info.name.startswith(ROLES) or info.name.endswith(".left_out"):
            continue
        module = importlib.import_module(info.name)
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and kind.__module__ == info.name and is_role(kind):
                found |= {f"{name}.{attribute}" for attribute in changed_in(kind)}
    return found


def is_role(kind: type) -> bool:
    """Whether the class, or one that derives from it, is bound to rows."""
    return bool(bound_rows(kind)) or any(map(is_role, kind.__subclasses__()))


def changed_in(kind: type) -> Iterator[str]:
    """The attributes of `self`, or of what `self` knows, that methods of the class other than the first change."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    for method in ast.iter_child_nodes(tree):
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for node in ast.walk(method):
                for target in targets_of(node):
                    chain = re.sub(r"\[[^]]*\]", "", ast.unparse(target))
                    if chain.startswith("self."):
                        yield chain.removeprefix("self.")


def targets_of(node: ast.AST) -> Iterator[ast.AST]:
    """What a statement or a call changes."""
    if isinstance(node, ast.Assign | ast.Delete):
        for target in node.targets:
            yield from target.elts if isinstance(target, ast.Tuple) else [target]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        yield node.target
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        yield node.func.value


def test_docs_tell_everything_that_handlers_keep() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## What handlers keep")[1].split("\n## ")[0]
    told = {name for name in re.findall(r"`(\w+(?:\.\w+)+)`", section) if name[0].isupper() and not name.startswith("Step.")}
    assert kept_by_handlers() == told
