"""Ranks in processes of their own give the same bits as ranks in one thread; a rank that does not come is named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from engine.errors import EngineError
from engine.model.collective import AllReduce, CollectiveMismatch
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.group import Group
from engine.model.kv_cache import KvCache
from engine.model.shard import Chunk, Forward, Shard, forward
from engine.model.shared_exchange import Parted, SharedExchange
from engine.model.weights import seeded

FLOATS = 4096
BATCHES = [[Chunk((256, 1, 2, 3, 4), 0, (4, 2)), Chunk((9, 9), 0, (0,))], [], [Chunk((7,), 5, (4, 2)), Chunk((8,), 2, (0,)), Chunk((1,), 0, (1,))]]


@pytest.fixture
def segment() -> Iterator[SharedMemory]:
    made = SharedMemory(create=True, size=SharedExchange.bytes_needed(4, FLOATS))
    yield made
    made.close()
    made.unlink()


def dense_shard(rank: int, ranks: int) -> Shard:
    return Shard(seeded(TINY, 7).shard(rank, ranks), KvCache(TINY, ranks, 8, 4))


def expert_shard(place: int, places: int) -> Shard:
    """Instances of one rank each."""
    return Shard(seeded(TINY_EXPERTS, 7).expert_shard(0, 1, place, places), KvCache(TINY_EXPERTS, 1, 8, 4))


def rank_process(name: str, rank: int, ranks: int, answers: Connection) -> None:
    """Every batch, one forward after the other; the logits go back."""
    exchange = SharedExchange(SharedMemory(name), rank, ranks, FLOATS, patience_s=60)
    shard = dense_shard(rank, ranks)
    answers.send([exchange.run(shard, batch) for batch in BATCHES])
    exchange.close()


@pytest.mark.live
def test_processes_give_the_bits_of_one_thread(segment: SharedMemory) -> None:
    context = multiprocessing.get_context("spawn")
    ends, children = [], []
    for rank in (1, 2):
        end, other = context.Pipe()
        children.append(context.Process(target=rank_process, args=(segment.name, rank, 3, other)))
        ends.append(end)
        children[-1].start()
    shards = [dense_shard(rank, 3) for rank in range(3)]
    expected = [forward(shards, batch) for batch in BATCHES]
    exchange, own = SharedExchange(segment, 0, 3, FLOATS, patience_s=60), dense_shard(0, 3)
    here = [exchange.run(own, batch) for batch in BATCHES]
    for answers in (here, *(end.recv() for end in ends)):
        assert all(np.array_equal(got, wanted) for got, wanted in zip(answers, expected, strict=True))
    for child in children:
        child.join()
        assert child.exitcode == 0


def test_experts_are_spread_over_two_instances(segment: SharedMemory) -> None:
    """Two threads, an instance of one rank each; one has an empty batch in the second forward."""
    batches = [[[Chunk((256, 5, 6), 0, (0,))], [Chunk((7,), 3, (0,))]], [[Chunk((256, 9), 0, (0,))], []]]
    own = [SharedMemory(create=True, size=SharedExchange.bytes_needed(1, FLOATS)) for _ in batches]

    def instance(place: int) -> list[np.ndarray]:
        tensor, world = SharedExchange(own[place], 0, 1, FLOATS), SharedExchange(segment, place, 2, FLOATS)
        shard = expert_shard(place, 2)
        answers = [tensor.run(shard, batch, world) for batch in batches[place]]
        tensor.close()
        own[place].unlink()
        return answers

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(instance, range(2)))
    shards = [expert_shard(place, 2) for place in range(2)]
    for number in range(2):
        expected = Group([Forward(shards[place], batches[place][number]) for place in range(2)], 1).run()
        assert all(np.array_equal(found[place][number], expected[place]) for place in range(2))


def test_a_rank_that_does_not_come_is_named(segment: SharedMemory) -> None:
    exchange = SharedExchange(segment, 0, 3, FLOATS, patience_s=0.01)
    with pytest.raises(EngineError, match="waited 0.01 s in the all-reduce of feed, layer 2 for rank 1, rank 2"):
        exchange.exchange(AllReduce(2, "feed", np.zeros((1, 4), np.float32)))


def test_a_rank_that_has_closed_its_end_is_not_waited_for(segment: SharedMemory) -> None:
    """Whoever waits for it hears so at once, and not by a time-out."""
    given = AllReduce(2, "feed", np.ones((1, 4), np.float32))
    first, second = (SharedExchange(memory, rank, 2, FLOATS) for rank, memory in enumerate((segment, SharedMemory(segment.name))))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second.exchange, given)
        assert first.exchange(given).tolist() == other.result().tolist() == [[2, 2, 2, 2]]
    second.close()
    with pytest.raises(Parted, match="rank 0 waits in the all-reduce of feed, layer 2 for rank 1, of whom some come no more"):
        first.exchange(given)


def test_ranks_at_different_layers_are_told_apart(segment: SharedMemory) -> None:
    first, second = (SharedExchange(segment, rank, 2, FLOATS, patience_s=0.01) for rank in range(2))
    with pytest.raises(EngineError, match="for rank 1"):
        first.exchange(AllReduce(2, "feed", np.zeros((1, 4), np.float32)))
    with pytest.raises(CollectiveMismatch, match="rank 1 is at the all-reduce of feed, layer 3; rank 0 at feed, layer 2"):
        second.exchange(AllReduce(3, "feed", np.zeros((1, 4), np.float32)))


def test_more_than_there_is_room_for_is_refused(segment: SharedMemory) -> None:
    exchange = SharedExchange(segment, 0, 2, FLOATS)
    with pytest.raises(EngineError, match="there is room for 4096"):
        exchange.exchange(AllReduce(0, "feed", np.zeros((64, 96), np.float32)))
