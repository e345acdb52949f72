"""The monolithic engine: prefill and decode in one thread of this process, by continuous batching, without the protocol.

It is the baseline that users and tests compare the disaggregated engine with. Each round is one forward over the running
sequences: every decoding one brings its last token, and what is left of the token budget goes to chunks of prompts, in order of
arrival. A sequence takes the blocks of its longest answer when it is admitted, so that none is ever preempted.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from pathlib import Path

import numpy as np

from protocol import DefinitionError

from .clock import LiveClock
from .errors import EngineError
from .generation import Finish, Generation, Handle, Stats, Token
from .model.kv_cache import BlockPool, KvCache
from .model.reference import log_softmax
from .model.sampling import choose
from .model.shard import Chunk, Shard, forward
from .model.threads import share_cores
from .model.weight_file import mapped
from .model.weights import Floats, Weights

logger = logging.getLogger(__name__)


class Sequence:
    """A generation that holds a slot: its tokens so far, how many of them are in the cache, its block table."""

    def __init__(self, handle: Handle, blocks: list[int]):
        self.handle, self.blocks = handle, blocks
        self.tokens = list(handle.generation.prompt)
        self.cached = 0

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.handle.generation.prompt)

    def chunk(self, most: int) -> Chunk:
        """The next tokens to compute, so many at most; with logits only if they are the last."""
        end = min(self.cached + most, len(self.tokens))
        return Chunk(tuple(self.tokens[self.cached : end]), self.cached, tuple(self.blocks), int(end == len(self.tokens)))

    def advance(self, logits: Floats) -> Finish | None:
        """All tokens so far are in the cache: choose and deliver the next. Why the sequence ends, if it does."""
        wanted = self.handle.generation
        token, log_probability = choose(logits, wanted.sampling, self.generated)
        self.tokens.append(token)
        self.handle.put(Token(token, log_probability, likeliest(logits, wanted.alternatives)))
        if token in wanted.stop_tokens:
            return Finish.STOP
        return Finish.LENGTH if self.generated == wanted.max_tokens else None


def likeliest(logits: Floats, count: int) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens with their log-probabilities, best first, lower id first among equals."""
    if count == 0:
        return ()
    logs = log_softmax(logits)
    return tuple((int(token), float(logs[token])) for token in np.argsort(-logs, kind="stable")[:count])


class InProcess:
    """A `generation.Service` over all tensor-parallel shards in one thread.

    Args:
        weights, ranks: the model, and into how many shards it is cut (the sums are then those of that many ranks).
        spread_experts: whether a rank has whole experts (expert parallelism over all ranks), or a part of each.
        sequences: that run at once. context_tokens: the longest prompt and answer together.
        round_tokens: budget of a round. block_size: tokens a block. blocks: of the cache; None for `sequences` full contexts.

    Raises:
        DefinitionError: the model cannot be cut so, a number below 1, a budget or a cache that some generation could never fit.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        ranks: int = 1,
        spread_experts: bool = False,
        sequences: int = 8,
        context_tokens: int = 2048,
        round_tokens: int = 512,
        block_size: int = 16,
        blocks: int | None = None,
    ):
        for name, value in (("sequences", sequences), ("context_tokens", context_tokens), ("block_size", block_size)):
            if value < 1:
                raise DefinitionError(f"{name}={value}: give at least 1")
        if round_tokens < sequences:
            raise DefinitionError(f"round_tokens={round_tokens}: give at least the number of sequences, {sequences}, a token each")
        weights.config.check_ranks(ranks)
        self.sequences, self.round_tokens, self.block_size = sequences, round_tokens, block_size
        self._context_tokens = context_tokens
        whole = self._blocks_for(context_tokens)
        if blocks is not None and blocks < whole:
            raise DefinitionError(f"blocks={blocks}: one context of {context_tokens} tokens takes {whole}; give as many or shorten it")
        count = sequences * whole if blocks is None else blocks
        self._ranks, self._spreads_experts = ranks, spread_experts
        parts = self._parts(weights)
        try:
            self._shards = [Shard(part, KvCache(weights.config, ranks, count, block_size)) for part in parts]
        except (MemoryError, ValueError) as error:  # numpy has a limit of its own, far above any memory
            gigabytes = count * block_size * weights.config.kv_bytes_per_token / 1e9
            raise DefinitionError(f"the KV cache would take {gigabytes:,.0f} GB; ask for fewer sequences or a shorter context") from error
        self._pool = BlockPool(count)
        share_cores(2)  # the other half is for the event loop and for clients: a product waits for its slowest thread
        self._change = threading.Condition()  # guards everything below; the running sequences are the thread's alone during a round
        self._waiting: deque[Handle] = deque()
        self._running: list[Sequence] = []
        self._aborted: set[Handle] = set()
        self.is_paused = self._closed = False
        self._thread = threading.Thread(target=self._work, name="interlock-in-process", daemon=True)
        self._thread.start()

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self._context_tokens

    def submit(self, generation: Generation) -> Handle:
        """Put a generation behind those that wait; see `Service`."""
        if generation.tokens > self._context_tokens:
            raise DefinitionError(f"{generation.tokens} tokens of prompt and answer; the context has {self._context_tokens}")
        handle = Handle(generation)
        with self._change:
            self._check_open()
            self._waiting.append(handle)
            self._change.notify_all()
        return handle

    def abort(self, handle: Handle) -> None:
        """End a generation before the next round; see `Service`."""
        with self._change:
            if handle in self._waiting or any(s.handle is handle for s in self._running):
                self._aborted.add(handle)
                self._change.notify_all()

    def stats(self) -> Stats:
        """What runs, what waits, and how full the pool is."""
        with self._change:
            self._check_open()
            return Stats(len(self._running), len(self._waiting), 1 - self._pool.free / self._pool.blocks)

    def close(self) -> None:
        """Abort everything and end the thread, after the round that it is in."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further generation, and return when none runs; see `Operable`."""
        with self._change:
            self._check_open()
            self.is_paused = True
            if abort:
                self._aborted |= {*self._waiting, *(s.handle for s in self._running)}
            self._change.notify_all()
            self._change.wait_for(lambda: self._closed or not (self._running or self._aborted))

    def resume(self) -> None:
        """Begin what has waited; see `Operable`."""
        with self._change:
            self._check_open()
            self.is_paused = False
            self._change.notify_all()

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Go on with the weights of a file; see `Operable`."""
        weights = mapped(Path(path), self._shards[0].config)
        was_paused = self.is_paused
        self.pause()
        for shard, part in zip(self._shards, self._parts(weights)):
            shard.weights = part
        if not was_paused:
            self.resume()

    def _parts(self, weights: Weights) -> list[Weights]:
        """What each shard has of the model."""
        ranks = range(self._ranks)
        return [weights.expert_shard(r, len(ranks), r, len(ranks)) if self._spreads_experts else weights.shard(r, len(ranks)) for r in ranks]

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed; start it again")

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while self._prepare():
                self._round(self._schedule())
        finally:  # nothing is left here, unless this thread itself has a fault: then nobody may wait for it for ever
            with self._change:
                self._closed = True
                self._change.notify_all()
                left = [*self._waiting, *(s.handle for s in self._running)]
            for handle in left:
                handle.end(Finish.ERROR, "the engine's thread ended")

    def _round(self, batch: list[tuple[Sequence, Chunk]]) -> None:
        try:
            logits = forward(self._shards, [chunk for _, chunk in batch])
            for sequence, chunk in batch:
                sequence.cached += len(chunk.tokens)
            ended = [(s, s.advance(row)) for s, row in zip((s for s, chunk in batch if chunk.outputs), logits)]
        except Exception as error:  # whatever a forward raises ends the generations in it, and the engine goes on
            logger.exception("a round failed; its generations end with an error")
            self._end([(s, Finish.ERROR) for s, _ in batch], f"the forward failed: {type(error).__name__}: {error}")
        else:
            self._end([(s, finish) for s, finish in ended if finish is not None])

    def _prepare(self) -> bool:
        """Drop what was aborted, admit what fits, wait while nothing runs; False once the engine is closed and everything dropped."""
        while True:
            with self._change:
                while not (self._closed or self._aborted or self._running or (self._waiting and not self.is_paused)):
                    self._change.wait()
                gone = {*self._waiting, *(s.handle for s in self._running)} if self._closed else self._aborted
                self._aborted = set()
                dropped = [h for h in self._waiting if h in gone]
                self._waiting = deque(h for h in self._waiting if h not in gone)
            self._end([(s, Finish.ABORT) for s in self._running if s.handle in gone])
            for handle in dropped:
                handle.end(Finish.ABORT)
            self._admit()
            if self._running or self._closed:
                return not self._closed

    def _admit(self) -> None:
        with self._change:
            while self._waiting and len(self._running) < self.sequences and not self.is_paused:
                blocks = self._blocks_for(self._waiting[0].generation.tokens)
                if blocks > self._pool.free:
                    break
                handle = self._waiting.popleft()
                self._running.append(Sequence(handle, self._pool.take(blocks, id(handle))))

    def _schedule(self) -> list[tuple[Sequence, Chunk]]:
        """The round: a token of every decoding sequence, then chunks of prompts while the budget lasts."""
        now = LiveClock().now()
        decoding = [s for s in self._running if s.generated]
        batch = [(s, s.chunk(1)) for s in decoding]
        left = self.round_tokens - len(batch)
        for sequence in self._running:
            if not sequence.generated and left > 0:
                sequence.handle.begin(now)
                batch.append((sequence, sequence.chunk(left)))
                left -= len(batch[-1][1].tokens)
        return batch

    def _end(self, ended: list[tuple[Sequence, Finish]], message: str = "") -> None:
        """Free slots and blocks before the clients hear of it."""
        with self._change:
            for sequence, _ in ended:
                self._running.remove(sequence)
                self._pool.give_back(sequence.blocks, id(sequence.handle))
            self._change.notify_all()
        for sequence, finish in ended:
            sequence.handle.end(finish, message)
