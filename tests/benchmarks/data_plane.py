"""What the prefix cache, draft tokens and launched forwards save: live engines with and without them, taking turns over the same requests.

    python -m tests.benchmarks.data_plane [--model NAME] [--prompt TOKENS] [--answer TOKENS] [--drafts N] [--tp T] [--runs K]

Requests come one after the other, each behind the same system prompt and with an end of its own, and answers are greedy. Printed are the
medians of both engines and their ratio: of the time to first token with and without the prefix cache, of the time per output token
with and without drafts, and of the time to first token where P's ranks launch their forwards (`--async-execution`) and where they wait for
them, without the cache; nothing is asserted. Model smollm2 needs `interlock model fetch smollm2`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from statistics import median

from engine.deployment import Deployment
from engine.generation import Generation, Service, Stats

TEXT = b"The quick brown fox jumps over the lazy dog. "
TAIL = 8
"""Tokens of a prompt that are its own."""


def prompts(tokens: int, runs: int) -> Iterator[tuple[int, ...]]:
    """One more than runs: the first is computed by everybody, and not measured."""
    system = tuple((TEXT * (tokens // len(TEXT) + 1))[: tokens - TAIL])
    return ((*system, *(97 + (run + k) % 26 for k in range(TAIL))) for run in range(runs + 1))


async def ask(service: Service, prompt: tuple[int, ...], answer: int) -> tuple[float, float]:
    """Seconds to the first token, and seconds a token after it."""
    began = time.perf_counter()
    handle = service.submit(Generation(prompt, answer))
    times = [time.perf_counter() async for _ in handle]
    return times[0] - began, (times[-1] - times[0]) / max(1, len(times) - 1)


def found_prefixes(stats: Stats) -> str:
    """Of the prefix cache."""
    return f"{stats.prefix.hit_rate:.0%} of prompt tokens found"


def accepted_drafts(stats: Stats) -> str:
    """Of the draft tokens."""
    return f"{stats.drafts.acceptance_rate:.0%} of drafts accepted"


def launched(stats: Stats) -> str:
    """Of the forwards."""
    return "forwards launched"


def measure(wanted: list[Deployment], given: argparse.Namespace, which: int, detail: Callable[[Stats], str]) -> None:
    """Let both engines answer, in turn; print the medians of one of the two figures that `ask` gives, and what the first engine did."""
    services = [each.start() for each in wanted]
    found: list[list[float]] = [[] for _ in services]
    with closing(services[0]), closing(services[1]):
        for run, prompt in enumerate(prompts(given.prompt, given.runs)):
            for service, times in zip(services, found):
                seconds = asyncio.run(ask(service, prompt, given.answer))[which]
                if run:
                    times.append(seconds)
        ours, plain = (1e3 * median(times) for times in found)
        stats = services[0].stats()
    figure = ("time to first token", "time per output token")[which]
    print(f"{figure:<24}{ours:>9.1f} ms{plain:>12.1f} ms without{plain / ours:>9.2f} times    {detail(stats)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.data_plane")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--prompt", type=int, default=1024, help="tokens of a prompt")
    parser.add_argument("--answer", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--drafts", type=int, default=3, help="draft tokens a step")
    parser.add_argument("--tp", type=int, default=1, help="tensor-parallel ranks of an instance")
    parser.add_argument("--runs", type=int, default=5, help="requests of which the median is printed")
    given = parser.parse_args()
    plain = {"model": given.model, "tensor_parallel": given.tp, "sequences": 2, "context_tokens": given.prompt + given.answer}
    print(f"{given.model}, 1P1D, TP {given.tp}, prompts of {given.prompt} tokens, answers of {given.answer}")
    measure([Deployment(**plain), Deployment(**plain, prefix_cache=False)], given, 0, found_prefixes)
    measure([Deployment(**plain, drafts=given.drafts), Deployment(**plain)], given, 1, accepted_drafts)
    waiting = Deployment(**plain, prefix_cache=False)
    measure([replace(waiting, asynchronous=True), waiting], given, 0, launched)


if __name__ == "__main__":
    main()
