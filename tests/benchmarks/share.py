"""The protocol's share of the CPU time of a live run, beside the same requests without machines.

    python -m tests.benchmarks.share [--model NAME] [--requests N] [--prompt TOKENS] [--answer TOKENS] [--sequences N] [--tp T] [--log]

One prefill and one decode instance, every rank and messager a process. The share is that of `engine.meter.Usage`: CPU time of all processes
once they are ready, less what handlers take - tensors, sampling, KV copies, letters. The lines below it are the monolithic engine with the
same requests, in one process and without any row: its time is what the tensors alone take, more or less (it forms other batches, and
copies nothing). SmolLM2 needs `interlock model fetch smollm2`. CPU time grows on a busy machine, for rows more than for products:
measure on an idle one. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Generation, Service
from engine.in_process import InProcess
from engine.meter import Usage
from engine.model.config import ModelConfig
from engine.model.named import config_of, weights_of

CONTEXT_TOKENS = 2048


def requests(config: ModelConfig, count: int, prompt: int, answer: int) -> list[Generation]:
    """Random prompts of half to one and a half times so many tokens, each answered by so many."""
    rng = random.Random(1)
    lengths = [rng.randrange(prompt // 2, prompt + prompt // 2 + 1) for _ in range(count)]
    return [Generation(tuple(rng.randrange(config.vocabulary) for _ in range(length)), answer) for length in lengths]


async def answer_all(service: Service, generations: list[Generation], at_once: int) -> int:
    """The number of tokens that come back."""
    free = asyncio.Semaphore(at_once)

    async def one(generation: Generation) -> int:
        async with free:
            return len([token async for token in service.submit(generation)])

    return sum(await asyncio.gather(*map(one, generations)))


def live(config: ModelConfig, generations: list[Generation], at_once: int, ranks: int, log: Path | None) -> tuple[Usage, int, float]:
    """What the processes used; tokens; seconds."""
    plant = Plant(config, ranks=ranks, sequences=at_once, context_tokens=CONTEXT_TOKENS, mortal=True)
    service = Disaggregated(plant, log)
    try:
        began = time.perf_counter()
        tokens = asyncio.run(answer_all(service, generations, at_once))
        wall = time.perf_counter() - began
        return service.stop(), tokens, wall
    finally:
        service.close()


def monolithic(config: ModelConfig, generations: list[Generation], at_once: int, ranks: int) -> tuple[float, float]:
    """CPU and wall seconds of the engine without machines."""
    service = InProcess(weights_of(config), ranks=ranks, sequences=at_once, context_tokens=CONTEXT_TOKENS)
    try:
        cpu, wall = time.process_time(), time.perf_counter()
        asyncio.run(answer_all(service, generations, at_once))
        return time.process_time() - cpu, time.perf_counter() - wall
    finally:
        service.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.share")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=256, help="tokens of a prompt, on the average")
    parser.add_argument("--answer", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--sequences", type=int, default=8, help="requests at once")
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--log", action="store_true", help="write event logs, too")
    given = parser.parse_args()
    config = config_of(given.model)
    generations = requests(config, given.requests, given.prompt, given.answer)
    with tempfile.TemporaryDirectory() as folder:
        usage, tokens, wall = live(config, generations, given.sequences, given.tp, Path(folder) / "log.ndjson" if given.log else None)
    alone_cpu, alone_wall = monolithic(config, generations, given.sequences, given.tp)
    own = usage.cpu_s - usage.handlers_s
    print(f"{given.model}, 1P1D, TP {given.tp}: {given.requests} requests, {sum(len(g.prompt) for g in generations):,} tokens in, {tokens:,} out")
    print(f"  {'':<26}{'CPU s':>8}{'wall s':>8}")
    print(f"  {'live engine':<26}{usage.cpu_s:>8.2f}{wall:>8.1f}")
    print(f"  {'  handlers':<26}{usage.handlers_s:>8.2f}")
    print(f"  {'  protocol':<26}{own:>8.2f}        {100 * usage.protocol_share:.1f} %; {usage.rows:,} rows, {1e6 * own / usage.rows:.0f} us each")
    print(f"  {'monolithic, no machines':<26}{alone_cpu:>8.2f}{alone_wall:>8.1f}")


if __name__ == "__main__":
    main()
