"""The fence around D's memory: forced interleavings of a copy with the end of its reservation, between threads of two processes and in the engine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from engine.disaggregated.arena import Arena
from engine.disaggregated.fence import Fence
from engine.disaggregated.job import CacheTask
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.messager import Messager
from engine.disaggregated.plant import Plant
from engine.generation import Finish, Generation
from engine.model.config import TINY
from engine.model.reference import greedy
from engine.model.weights import seeded

WEIGHTS = seeded(TINY, 0)
PLANT = Plant(TINY, sequences=2, context_tokens=64)
NUMBER, KEY, BLOCKS = 2, 7, slice(0, 2)


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena.create(PLANT, f"interlock-test-{os.getpid()}")
    yield arena
    arena.remove()


def copy_in_two_halves(name: str, end: Connection) -> None:
    """A messager's process: writes one block, says so, waits for a word, and writes the other, if it is let in."""
    arena = Arena(PLANT, name)
    array = arena.cache(1, 0).array
    with arena.fence().writing(NUMBER, KEY) as is_let_in:
        if is_let_in:
            array[:, 0, :, 0] = 1
        end.send(is_let_in)
        end.recv()
        if is_let_in:
            array[:, 0, :, 1] = 1


def is_blocked() -> bool:
    """Whether a thread of this process waits for a lock of a file."""
    return any("->" in line and f" {os.getpid()} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_blocks_are_regranted_when_the_copy_under_way_is_over(arena: Arena) -> None:
    """The other process is inside its copy when D revokes: D goes on behind the second half, and nothing is written over what comes next."""
    fence, array = arena.fence(), arena.cache(1, 0).array
    fence.open(NUMBER, KEY)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    messager = spawn.Process(target=copy_in_two_halves, args=(arena.name, theirs))
    messager.start()
    assert ours.recv() is True

    def regrant() -> None:
        fence.revoke([NUMBER])
        array[:, 0, :, BLOCKS] = 2

    decode = threading.Thread(target=regrant)
    decode.start()
    while decode.is_alive() and not is_blocked():
        os.sched_yield()
    assert decode.is_alive(), "D has regranted the blocks while the other process writes there"
    ours.send("go on")
    decode.join()
    messager.join()
    assert (array[:, 0, :, BLOCKS] == 2).all()


def test_who_is_killed_inside_a_copy_holds_nobody_up(arena: Arena) -> None:
    fence = arena.fence()
    fence.open(NUMBER, KEY)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    messager = spawn.Process(target=copy_in_two_halves, args=(arena.name, theirs))
    messager.start()
    assert ours.recv() is True
    messager.kill()
    fence.revoke([NUMBER])
    messager.join()


def test_a_key_lets_in_its_own_request_only_and_not_for_ever() -> None:
    fence = Fence(np.zeros(3, np.int64))

    def lets_in(key: int) -> bool:
        with fence.writing(NUMBER, key) as is_let_in:
            return is_let_in

    assert not lets_in(KEY)
    fence.open(NUMBER, KEY)
    assert lets_in(KEY) and not lets_in(KEY + 1)
    fence.revoke(range(3))
    assert not lets_in(KEY)


@pytest.mark.parametrize("without", [None, "fences_writes"])
def test_a_copy_that_is_late_spoils_nobody(without: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """D dies when a layer's row has fired and its copy has not begun; its next life gives the blocks to another request; then the copy comes."""
    held: list[tuple[Messager, CacheTask, int, int]] = []
    write = Messager.write

    def holding(self: Messager, task: CacheTask, chunk: int, layer: int) -> None:
        if held:
            write(self, task, chunk, layer)
        else:
            held.append((self, task, chunk, layer))

    monkeypatch.setattr(Messager, "write", holding)
    engine = LockstepEngine(WEIGHTS, Plant(TINY, 1, sequences=1, context_tokens=64, mortal=True, without=without))
    lost = engine.submit(Generation(tuple(range(40)), 8))
    turn_until(engine, lambda: bool(held))
    engine.ensemble.kill("decode engine 0")
    engine.run()
    prompt = tuple(range(200, 240))
    other = engine.submit(Generation(prompt, 8))
    turn_until(engine, lambda: bool(engine.records[other].tokens))
    write(*held[0])
    engine.run()
    assert engine.records[lost].ends == [Finish.ERROR] and engine.records[other].ends == [Finish.LENGTH]
    tokens = [token.id for token in engine.records[other].tokens]
    assert (tokens == greedy(WEIGHTS, prompt, 8)) == (without is None)


def turn_until(engine: LockstepEngine, found: Callable[[], bool]) -> None:
    while not found():
        if not engine.turn():
            engine.ensemble.pass_time()
