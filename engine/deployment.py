"""The engine that a command line asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from protocol import DefinitionError

from .disaggregated.lockstep_memory import FREE, Cost
from .disaggregated.lockstep_service import LockstepService
from .disaggregated.plant import Plant
from .disaggregated.succession import Succession
from .generation import Service
from .in_process import InProcess
from .model.config import ModelConfig
from .model.named import config_of, weights_of
from .runtime.policy import Policy


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True)
class Deployment:
    """An engine to start.

    Args:
        model: its name. prefill, decode: instances, the former share the latter; no prefill instance means the monolithic engine, with one
            decode instance.
        tensor_parallel: ranks of each. expert_parallel: 1 cuts every expert; see `Plant` for more.
        sequences: generations that run at once. context_tokens: the longest prompt and answer together.
        routing: where the disaggregated engine stores which experts every token visits; empty for nowhere.
        prefix_cache, drafts, redundant_experts, asynchronous: of the disaggregated engine; see `Plant`.

    Raises:
        DefinitionError: no model has that name, it has learnt shorter contexts only, the machine's memory cannot
            hold so many tokens, or drafts or asynchronous forwards for the monolithic engine.
    """

    model: str = "tiny"
    prefill: int = 1
    decode: int = 1
    tensor_parallel: int = 1
    expert_parallel: int = 1
    sequences: int = 8
    context_tokens: int = 2048
    routing: str = ""
    prefix_cache: bool = True
    drafts: int = 0
    redundant_experts: int | None = None
    asynchronous: bool = False

    def __post_init__(self) -> None:
        config = config_of(self.model)
        config.check_context(self.context_tokens)
        needed, there = self.decode * self.sequences * self.context_tokens * config.kv_bytes_per_token, memory_bytes()
        if needed > there:
            what = f"{self.decode} x {self.sequences} sequences of {self.context_tokens} tokens take {needed / 1e9:,.0f} GB of KV cache"
            raise DefinitionError(f"{what}, and this machine has {there / 1e9:,.0f}; give a smaller --max-model-len, --max-num-seqs or --decode")
        if self.drafts and not self.prefill:
            raise DefinitionError(
                f"--num-speculative-tokens {self.drafts}: the monolithic engine verifies no drafts; give 0, or leave out --monolithic"
            )
        if self.asynchronous and not self.prefill:
            raise DefinitionError("--async-execution: of P's ranks, and the monolithic engine has none; leave out --monolithic")

    def __str__(self) -> str:
        kind = f"{self.prefill}P{self.decode}D" if self.prefill else "monolithic"
        return f"{self.model} ({kind}, TP {self.tensor_parallel}, EP {self.expert_parallel})"

    def start(self, log: str | os.PathLike[str] | None = None, *, keeps_records: bool = False, signals: bool = False) -> Service:
        """The running engine.

        Args:
            log: where the disaggregated one writes its event log when it is stopped; see `Succession`.
            keeps_records: whether that one keeps all that it generates, for an audit.
            signals: whether Ctrl-C and SIGTERM end that one; a program that handles them itself says no.

        Raises:
            DefinitionError: the model cannot be cut so, or no routes can be stored there. EngineError: a process of it does not start.
        """
        config = config_of(self.model)
        if self.prefill > 0:
            return Succession(self._plant(config), log, keeps_records=keeps_records, signals=signals)
        if self.decode != 1 or self.expert_parallel not in (1, self.tensor_parallel):
            raise DefinitionError("the monolithic engine is one instance; give --decode 1, and --ep 1 or as many as --tp")
        if self.routing:
            raise DefinitionError("--routing: the monolithic engine captures no routes; leave out --monolithic")
        if self.redundant_experts is not None:
            raise DefinitionError("--eplb: the monolithic engine moves no experts; leave out --monolithic")
        return InProcess(
            weights_of(config),
            ranks=self.tensor_parallel,
            spread_experts=self.expert_parallel > 1,
            sequences=self.sequences,
            context_tokens=self.context_tokens,
        )

    def in_lockstep(self, policy: Policy, *, logged: bool = False, cost: Cost = FREE, without: str | None = None) -> LockstepService:
        """The disaggregated engine in this process, on virtual time.

        Args:
            policy: whose turn it is. logged: whether its events are kept. cost: of forwards. without: see `Plant`.

        Raises:
            DefinitionError: no such model or rule, the model cannot be cut so, or no routes can be stored there.
        """
        config = config_of(self.model)
        return LockstepService(weights_of(config), replace(self._plant(config), without=without), policy, logged, cost)

    def _plant(self, config: ModelConfig) -> Plant:
        if self.routing:
            try:
                Path(self.routing).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DefinitionError(f"--routing {self.routing}: {error.strerror}; name a folder that can be written") from error
        return Plant(
            config,
            self.tensor_parallel,
            self.decode,
            self.sequences,
            self.context_tokens,
            mortal=True,
            prefix_cache=self.prefix_cache,
            drafts=self.drafts,
            expert_parallel=self.expert_parallel,
            redundant_experts=self.redundant_experts,
            routing=self.routing,
            prefills=self.prefill,
            asynchronous=self.asynchronous,
        )
