"""Clients of an engine in processes: they read an answer to its end, and try until one has been answered."""

from __future__ import annotations

import asyncio

from engine.generation import Finish, Generation, Handle, Service


async def read(handle: Handle) -> Finish | None:
    """How the answer ends."""
    async for _ in handle:
        pass
    return handle.finish


async def first_token(service: Service) -> None:
    """Until P and D both work: what is asked before is answered with an error."""
    while await read(service.submit(Generation((1, 2), 1))) is not Finish.LENGTH:
        pass


async def after_return(service: Service, wanted: list[Generation]) -> set[Finish | None]:
    """How these end when P and D both work."""
    await first_token(service)
    return set(await asyncio.gather(*(read(service.submit(generation)) for generation in wanted)))
