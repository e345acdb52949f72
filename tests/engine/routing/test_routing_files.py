"""A writer and a reader of routing files that share nothing but the file system, each driven by its rows (H-33)."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.clock import LiveClock
from engine.routing.file import BrokenFile, MissingFile
from engine.routing.reader import RoutingReader
from engine.routing.store import RoutingStore

LAYERS = [np.arange(8).reshape(4, 2) + layer for layer in range(2)]
SEEDS = range(30)


class Beside(LiveClock):
    """Time that goes on by a second a look, and at every look somebody else may have gone on by a row."""

    def __init__(self) -> None:
        self._seconds = itertools.count()
        self.begin(iter(()), 0)

    def begin(self, others: Iterator[str], seed: int) -> None:
        """Somebody else begins."""
        self._others, self._rng = others, random.Random(seed)

    def now(self) -> float:
        if self._rng.random() < 0.5:
            next(self._others, None)
        return float(next(self._seconds))

    def sleep(self, seconds: float) -> None:
        """Whoever reads looks at the time before long."""


def outcome(reader: RoutingReader, rollout: str, layers: list[np.ndarray]) -> str:
    """What reading comes to."""
    try:
        found = reader.read(rollout, len(layers))
    except (BrokenFile, MissingFile) as error:
        return type(error).__name__
    assert all(np.array_equal(one, wanted) for one, wanted in zip(found, layers, strict=True))
    return "whole"


@pytest.mark.parametrize("variant", ["published", "renamed", "repaired"])
def test_the_published_file_is_torn_until_it_is_written_and_a_renamed_one_never(tmp_path: Path, variant: str) -> None:
    """Behind each row of the writer, what somebody finds who does not wait."""
    reader = RoutingReader(tmp_path, variant, patience_s=0, clock=Beside())
    found = [outcome(reader, "r", LAYERS[:1]) for _ in RoutingStore(tmp_path, variant=variant).rows("r", LAYERS[:1])]
    torn = ["BrokenFile"] if variant == "published" else []
    assert [kind for kind, _ in itertools.groupby(found)] == ["MissingFile", *torn, "whole"]


@pytest.mark.parametrize(("variant", "outcomes"), [("published", {"BrokenFile", "whole"}), ("retried", {"whole"}), ("repaired", {"whole"})])
def test_a_reader_beside_a_writer_fails_at_a_torn_file_only_as_published(tmp_path: Path, variant: str, outcomes: set[str]) -> None:
    clock, store = Beside(), RoutingStore(tmp_path, variant=variant)
    reader, found = RoutingReader(tmp_path, variant, patience_s=1000, clock=clock), set()
    for seed in SEEDS:
        clock.begin(store.rows(str(seed), LAYERS), seed)
        found.add(outcome(reader, str(seed), LAYERS))
    assert found == outcomes


def test_what_is_cleared_beside_a_reader_may_vanish_from_under_it(tmp_path: Path) -> None:
    clock, store = Beside(), RoutingStore(tmp_path, variant="published")
    reader, found = RoutingReader(tmp_path, "published", patience_s=1000, clock=clock), set()
    for seed in SEEDS:
        store.put(str(seed), LAYERS)
        clock.begin(itertools.islice(store.rows(str(seed), LAYERS), 1), seed)
        found.add(outcome(reader, str(seed), LAYERS))
    assert found == {"MissingFile", "whole"}


def test_a_file_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="layer_0.npy is not there; ask for it when the rollout is over"):
        RoutingReader(tmp_path, patience_s=9, clock=Beside()).read("never", 1)


def test_a_thread_that_reads_what_another_writes_gets_every_file_whole(tmp_path: Path) -> None:
    store, names = RoutingStore(tmp_path), [f"rollout-{number}" for number in range(40)]

    def write() -> None:
        for name in names:
            store.put(name, LAYERS)

    writer = threading.Thread(target=write)
    writer.start()
    reader = RoutingReader(tmp_path)
    for name in names:
        assert all(np.array_equal(one, wanted) for one, wanted in zip(reader.read(name, len(LAYERS)), LAYERS, strict=True))
    writer.join()
    assert sorted(path.name for path in (tmp_path / names[0]).iterdir()) == ["layer_0.npy", "layer_1.npy"]
