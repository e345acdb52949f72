"""Machines against tensors: no walk and no witness of a version that holds does damage, and some walk of a violating version does.

About 30 s. `interlock replay --holding` is the whole of it: every configuration, as many walks as are asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.model.numerics import exact
from engine.replay import Damage
from engine.replay.cross_check import Version, holding
from engine.replay.registry import SUBJECTS
from engine.replay.replay import run, walk_of
from engine.replay.schedule import Schedule
from protocol.catalogue import Scenario, find_scenario, scenarios
from protocol.machines.buffers.graph_buffers import build as graph_buffers
from protocol.system import System

from .paths import found

VERSIONS_MAX = 4
"""Configurations of a builder that are walked here, spread over all that the catalogue has."""
DAMAGED = (
    "sending-error-of-one-rank-in-e0",
    "engine-threads-zero-threads-in-r",
    "repaired-early-zero-without-top-barriers-tp2",
    "layer0-signal-slot-reused-in-e1",
    "lifecycle-lost-block-written-on-decode-in-unkept",
    "prefix-cache-overtaken-in-e1-7364",
    "decode-running-request-reclaimed-in-monitored",
    "buffers-top-p-ignored-in-unswapped",
    "network-stuck-without-repetition",
    "preparation-refused-client-hangs-in-e1",
    "lifecycle-prefill-nothing-waits-in-schedule",
    "repaired-layers-without-sends-computed-uncomputed-sent",
    "buffers-token-of-the-row-before-decoded-by-naive",
    "buffers-stale-file-loaded-in-published",
    "buffers-replay-writes-past-the-end-in-cloned",
    "sending-completion-of-another-write",
    "preparation-foreign-slot-in-e1",
    "sending-signal-of-an-earlier-life-in-e2",
    "collectives-weights-batch-lost-between-clears-in-b",
    "collectives-decode-hangs-with-meeting-in-every-role",
)
"""Violated scenarios of each builder, in which a rough walk does damage soon."""
DAMAGED_ON_PATH = (
    "sending-row-taken-for-slot",
    "sending-old-task-serves-the-next-request-in-e1",
    "sending-torn-pair-in-v0",
    "sending-nothing-to-send-never-finishes",
    "sending-struct-rewritten-under-the-stream",
    "sending-request-never-reported-awaited-alone",
)
"""Those in which it would take many walks: driven along the shortest path."""
SILENT = (graph_buffers,)
"""Builders of which no client is told a token, and none is drawn."""
SEEDS_MAX = 40
SMALL = 20_000
"""Distinct states of a scenario whose witness is replayed here."""


def along(name: str) -> Damage:
    """What the scenario's shortest path does, and a fair schedule after it."""
    scenario = find_scenario(name)
    return run(SUBJECTS[scenario.build], scenario.system(), scenario.config, Schedule(0), found(name), seed=0, kept=(exact,))[0]


def holds_whole(scenario: Scenario) -> bool:
    """Whether the scenario's own configuration is the version that holds."""
    subject, config = SUBJECTS[scenario.build], scenario.config
    return subject.drives(config) and all(config.get(name, value) == value for name, value in subject.harmless(config).items())


BUILDERS = {build.__module__.rpartition(".")[2]: build for build in SUBJECTS}
WITNESSES = [
    s.name
    for s in scenarios().values()
    if s.build in SUBJECTS and s.property.startswith("some_") and s.expected == "holds" and (s.distinct or 0) < SMALL and holds_whole(s)
]


def spread(versions: list[Version]) -> list[Version]:
    return versions[:: max(1, -(-len(versions) // VERSIONS_MAX))]


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_no_walk_does_damage_where_the_properties_hold(build: Callable[..., System]) -> None:
    told = 0
    for seed, version in enumerate(spread(holding(build))):
        damage = version.walk(seed)
        assert damage.harmless and damage.k3_mean < 1e-9, f"{version}, seed {seed}: {damage}"
        told += damage.tokens + len(damage.distances)
    assert told or build in SILENT


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_handlers_fit_the_rows_of_every_version(build: Callable[..., System]) -> None:
    seen = set()
    for version in holding(build):
        system = build(**version.config)
        rows = frozenset(action.name for action in system.actions)
        if rows not in seen:
            walk_of(system, [SUBJECTS[build](system, version.config, 0, exact)])
        seen.add(rows)


def test_every_subject_has_a_version_that_does_damage() -> None:
    assert {find_scenario(name).build for name in (*DAMAGED, *DAMAGED_ON_PATH)} == set(SUBJECTS)


@pytest.mark.parametrize("name", DAMAGED)
def test_some_walk_does_damage_where_they_do_not(name: str) -> None:
    scenario = find_scenario(name)
    assert any(not Version(scenario, scenario.config).walk(seed).harmless for seed in range(SEEDS_MAX))


@pytest.mark.parametrize("name", DAMAGED_ON_PATH)
def test_a_path_does_damage_where_they_do_not(name: str) -> None:
    assert not along(name).harmless


@pytest.mark.parametrize("name", WITNESSES)
def test_no_witness_does_damage_where_the_properties_hold(name: str) -> None:
    damage = along(name)
    assert damage.harmless and damage.k3_mean < 1e-9, f"{name}, seed 0: {damage}"
