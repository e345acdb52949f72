"""The operator's endpoints: a paused server takes requests and answers none, and goes on with the weights that it was given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from engine.in_process import InProcess
from engine.model.config import TINY
from engine.model.weight_file import save
from engine.model.weights import seeded
from engine.server.app import Server, make_app
from engine.vocabulary import ByteVocabulary

from .conftest import HTTP, serving

OLD, NEW = seeded(TINY, 0), seeded(TINY, 1)
ASKED = {"model": "tiny", "prompt": [72, 101, 108, 108, 111], "max_tokens": 6, "temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "new.safetensors"
    save(NEW, path)
    return path


def answers(weights: object) -> str:
    """What an engine that has had these weights from the start says."""
    with serving(InProcess(weights, sequences=2, context_tokens=64), TINY) as address:  # type: ignore[arg-type]
        return str(address.post(ASKED).json()["choices"][0]["text"])


def test_a_request_that_comes_during_a_pause_is_answered_with_the_new_weights(new_file: Path) -> None:
    with serving(InProcess(OLD, sequences=2, context_tokens=64), TINY) as address, ThreadPoolExecutor(1) as clients:
        before = address.post(ASKED).json()["choices"][0]["text"]
        assert HTTP.post(f"{address.url}/pause").json() == {"status": "paused"}
        assert address.get("/is_paused").json() == {"is_paused": True}
        waiting = clients.submit(address.post, ASKED)
        done = HTTP.post(f"{address.url}/update_weights", json={"path": str(new_file)})
        assert done.status_code == 200 and done.json()["success"]
        assert address.get("/is_paused").json() == {"is_paused": True}
        assert HTTP.post(f"{address.url}/resume").json() == {"status": "resumed"}
        after = waiting.result().json()["choices"][0]["text"]
    assert (before, after) == (answers(OLD), answers(NEW)) and before != after


def test_a_pause_may_give_up_what_is_under_way() -> None:
    with serving(InProcess(OLD, sequences=1, context_tokens=4096), TINY) as address, ThreadPoolExecutor(1) as clients:
        long = clients.submit(address.post, {**ASKED, "max_tokens": 4000})
        while not address.figures().get("num_requests_running{}", 0.0):
            pass
        assert HTTP.post(f"{address.url}/pause", params={"mode": "abort"}).status_code == 200
        assert long.result().json()["choices"][0]["finish_reason"] == "abort"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("update_weights", {"path": "/nowhere/at/all"}, "cannot be read"),
        ("update_weights_from_disk", {"model_path": __file__}, "holds no weights; give a safetensors file"),
        ("update_weights", {}, "Field required"),
        ("pause?mode=now", {}, "Input should be 'wait' or 'abort'"),
    ],
)
def test_a_bad_order_is_refused_in_openais_shape_and_changes_nothing(path: str, body: dict[str, str], message: str) -> None:
    with serving(InProcess(OLD, sequences=1, context_tokens=64), TINY) as address:
        refused = HTTP.post(f"{address.url}/{path}", json=body)
        assert refused.status_code == 400 and message in refused.json()["error"]["message"]
        assert address.get("/is_paused").json() == {"is_paused": False}


def test_the_endpoints_are_there_only_when_asked_for() -> None:
    service = InProcess(OLD, sequences=1, context_tokens=64)
    try:
        client = TestClient(make_app(Server(service, TINY, ByteVocabulary())))
        assert client.post("/pause").status_code == 404
    finally:
        service.close()
