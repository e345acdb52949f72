"""How fast SmolLM2 decodes beside the memory: the same weights through numpy matrix-vector products, on the same cores.

    python -m tests.benchmarks.decode [--runs K] [--context TOKENS]

A decode step reads every weight once, so the product of every matrix with a vector bounds it. Each line measures both in the same
processes, taking turns, and prints their medians and the ratio of step to bound; nothing is asserted. Needs `interlock model fetch smollm2`.

    one rank           one process, one thread a core
    one rank, 1 thread one process, one thread: what a process has that shares the cores with others
    three ranks        three shards in one process (lockstep)
    three processes    a process and a thread a rank, sums through shared memory (live)
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from statistics import median
from typing import Any

import numpy as np

from engine.model import smollm2
from engine.model.collective import AllReduce
from engine.model.kv_cache import KvCache
from engine.model.shard import Chunk, Shard, forward
from engine.model.shared_exchange import SharedExchange
from engine.model.threads import share_cores
from engine.model.weights import Weights, shapes

BLOCK_SIZE = 16
Times = tuple[list[float], list[float]]


def vectors_through(weights: Weights) -> Callable[[], None]:
    """The bound: every matrix of the shard times a vector, the output projection included."""
    generator = np.random.default_rng(0)
    matrices = [array for name, array in weights.arrays.items() if array.ndim == 2 and name != "embedding"]
    matrices.append(weights["embedding"][weights.vocabulary].T)
    vectors = [generator.standard_normal(len(matrix), np.float32) for matrix in matrices]

    def multiply() -> None:
        for vector, matrix in zip(vectors, matrices):
            vector @ matrix

    return multiply


def take_turns(step: Callable[[], Any], bound: Callable[[], Any], runs: int, meet: Callable[[], None] = lambda: None) -> Times:
    """Seconds of each, alternating, so that both see the same machine; `meet` waits for other processes."""
    times: Times = ([], [])
    for _ in range(runs):
        for action, found in zip((step, bound), times):
            meet()
            began = time.perf_counter()
            action()
            found.append(time.perf_counter() - began)
    return times


def chunk(context: int) -> Chunk:
    """A decode step behind so many tokens. Their keys and values are zeros: speed does not depend on them."""
    return Chunk((5,), context, tuple(range(context // BLOCK_SIZE + 1)))


def cache(weights: Weights, ranks: int, context: int) -> KvCache:
    """Room for the context."""
    return KvCache(weights.config, ranks, context // BLOCK_SIZE + 1, BLOCK_SIZE)


def in_one_process(ranks: int, processes: int, context: int, runs: int) -> list[Times]:
    """All ranks in this process, whose share of the cores is that of one among so many."""
    share_cores(processes)
    weights = smollm2.load()
    shards = [Shard(weights.shard(rank, ranks), cache(weights, ranks, context)) for rank in range(ranks)]
    bounds = [vectors_through(shard.weights) for shard in shards]
    return [take_turns(lambda: forward(shards, [chunk(context)]), lambda: [bound() for bound in bounds], runs)]


def rank_process(name: str, rank: int, ranks: int, context: int, runs: int, answers: Any) -> None:
    """One rank in a process of its own; the ranks begin every step and every bound together."""
    share_cores(ranks)
    weights = smollm2.load()
    exchange = SharedExchange(SharedMemory(name), rank, ranks, weights.config.vocabulary)
    shard = Shard(weights.shard(rank, ranks), cache(weights, ranks, context))
    multiply = vectors_through(shard.weights)

    def meet() -> None:
        exchange.exchange(AllReduce(0, "feed", np.zeros((1, 1), np.float32)))

    answers.send(take_turns(lambda: exchange.run(shard, [chunk(context)]), multiply, runs, meet))
    exchange.close()


def in_processes(ranks: int, context: int, runs: int) -> list[Times]:
    """A process a rank."""
    spawn = multiprocessing.get_context("spawn")
    segment = SharedMemory(create=True, size=SharedExchange.bytes_needed(ranks, smollm2.SMOLLM2.vocabulary))
    try:
        pipes = [spawn.Pipe() for _ in range(ranks)]
        arguments = [(segment.name, rank, ranks, context, runs, pipes[rank][1]) for rank in range(ranks)]
        children = [spawn.Process(target=rank_process, args=given) for given in arguments]
        for child in children:
            child.start()
        times = [end.recv() for end, _ in pipes]
        for child in children:
            child.join()
        return times
    finally:
        segment.close()
        segment.unlink()


def in_a_child(*arguments: int) -> list[Times]:
    """`in_one_process` in a process of its own, whose threads are limited for it alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(in_one_process, arguments)


def row(label: str, of_ranks: list[Times]) -> None:
    """Print a line; a step is over when its slowest rank is."""
    step, bound = (median(max(run) for run in zip(*(times[kind] for times in of_ranks))) for kind in (0, 1))
    weights_gb = 4 * sum(int(np.prod(shape)) for _, shape in shapes(smollm2.SMOLLM2)) / 1e9
    print(f"  {label:<20}{1 / step:>10.1f}{step * 1e3:>10.1f}{bound * 1e3:>12.1f}{weights_gb / bound:>12.1f}{bound / step:>10.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.decode")
    parser.add_argument("--runs", type=int, default=20, help="steps per line, of which the median is printed")
    parser.add_argument("--context", type=int, default=64, help="tokens before the one that is decoded")
    given = parser.parse_args()
    print(f"SmolLM2, one token behind {given.context}\n  {'':<20}{'tokens/s':>10}{'step ms':>10}{'product ms':>12}{'GB/s':>12}{'share':>10}")
    row("one rank", in_a_child(1, 1, given.context, given.runs))
    row("one rank, 1 thread", in_a_child(1, len(os.sched_getaffinity(0)), given.context, given.runs))
    row("three ranks", in_a_child(3, 1, given.context, given.runs))
    row("three processes", in_processes(3, given.context, given.runs))


if __name__ == "__main__":
    main()
