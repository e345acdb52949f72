"""The operator's endpoints, as reinforcement learning uses them: pause, resume, and new weights without a restart.

They are the paths of vLLM and FastDeploy; `/update_weights_from_disk` with `model_path` is SGLang's. Whoever can reach them can stop the
service and name files of the server's machine, so they are there only when they are asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ..generation import Operable
from .form import Json


class NewWeights(BaseModel):
    """The body of an update: a safetensors file on the server's machine."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    path: Path = Field(alias="model_path")


def control_routes(service: Operable) -> APIRouter:
    """The endpoints; each answers when it is done, while the server goes on answering others."""
    routes = APIRouter()

    @routes.post("/pause")
    async def pause(mode: Literal["wait", "abort"] = "wait") -> Json:
        """Begin no further request. `mode`: what is under way is waited for, or given up."""
        await run_in_threadpool(service.pause, abort=mode == "abort")
        return {"status": "paused"}

    @routes.post("/resume")
    async def resume() -> Json:
        """Begin what has waited."""
        await run_in_threadpool(service.resume)
        return {"status": "resumed"}

    @routes.get("/is_paused")
    async def is_paused() -> Json:
        """Whether requests are begun."""
        return {"is_paused": service.is_paused}

    @routes.post("/update_weights")
    @routes.post("/update_weights_from_disk")
    async def update_weights(body: NewWeights) -> Json:
        """What is under way ends with the old weights, what waits gets the new ones."""
        await run_in_threadpool(service.update_weights, body.path)
        return {"success": True, "message": f"serving the weights of {body.path}"}

    return routes
