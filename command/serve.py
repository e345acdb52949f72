"""`interlock serve`: a model behind the OpenAI API."""

from __future__ import annotations

from typing import Annotated

import typer

from protocol.errors import DefinitionError

from .options import AsyncExecution, Drafts, Eplb, ExpertParallel, PrefixCaching, Routing


def serve(
    model: Annotated[str, typer.Option(help="tiny, tiny-experts or smollm2.")] = "tiny",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
    prefill: Annotated[int, typer.Option(min=0, help="Prefill instances, which share the decode instances; 0 is --monolithic.")] = 1,
    decode: Annotated[int, typer.Option(min=1, help="Decode instances.")] = 1,
    tp: Annotated[int, typer.Option(min=1, help="Tensor-parallel ranks of an instance.")] = 1,
    ep: ExpertParallel = 1,
    eplb: Eplb = None,
    monolithic: Annotated[bool, typer.Option("--monolithic", help="Prefill and decode in one thread, without the protocol: the baseline.")] = False,
    max_num_seqs: Annotated[int, typer.Option(min=1, help="Generations that run at once.")] = 8,
    max_model_len: Annotated[int, typer.Option(min=2, help="Tokens of the longest prompt and answer together.")] = 2048,
    seed: Annotated[int, typer.Option(help="Where requests without a seed draw theirs.")] = 0,
    prefix_caching: PrefixCaching = True,
    drafts: Drafts = 0,
    routing: Routing = "",
    async_execution: AsyncExecution = False,
    control: Annotated[bool, typer.Option("--control", help="Also the operator's endpoints: /pause, /resume, /is_paused, /update_weights.")] = False,
) -> None:
    """Serve a model with the OpenAI API; Ctrl-C ends it. Prefill and decode are processes that the repaired protocol drives."""
    from engine.deployment import Deployment

    try:
        from engine.server.serve import serve_deployment
    except ImportError as error:
        raise DefinitionError(f"the package {error.name} is missing; install interlock[server]") from None
    wanted = Deployment(
        model, prefill=0 if monolithic else prefill, decode=decode, tensor_parallel=tp, expert_parallel=ep, redundant_experts=eplb,
        sequences=max_num_seqs, context_tokens=max_model_len, prefix_cache=prefix_caching, drafts=drafts, routing=routing,
        asynchronous=async_execution,
    )  # fmt: skip
    serve_deployment(wanted, host, port, seed=seed, control=control, say=lambda text: print(text, flush=True))
