"""`interlock serve` from the outside: what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from fastapi import FastAPI

from engine.deployment import Deployment
from engine.in_process import InProcess
from engine.load.http import KEPT_S
from engine.model.config import TINY
from engine.model.named import config_of, weights_of
from engine.server.app import Server, make_app
from engine.server.serve import open_socket, serve, serve_deployment, uvicorn_for
from engine.vocabulary import ByteVocabulary
from protocol import ProtocolError

from .conftest import HTTP, WEIGHTS, Address, serving

ROOT = Path(__file__).resolve().parents[3]
ENDLESS = {"model": "tiny", "prompt": "Hi", "max_tokens": 90_000, "ignore_eos": True, "stream": True}
COMMAND = [sys.executable, str(ROOT / "interlock.py"), "serve"]


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A serving process and its address."""
    command = [*COMMAND, "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"serves at (http://\S+)/v1; Ctrl-C ends it", process.stdout.readline())
            assert found is not None, process.stderr and process.stderr.read()
            yield process, found[1]
        finally:
            process.kill()


@pytest.mark.live
def test_the_disaggregated_engine_answers_as_the_monolithic_one_and_leaves_nothing() -> None:
    """Whole, streamed, with n, and after a client that left; a Ctrl-C on the terminal reaches every process."""
    wanted: dict[str, Any] = {"model": "tiny-experts", "prompt": ["Hello", "Good morning, how are you?"], "n": 2, "max_tokens": 12, "seed": 3}
    config = config_of("tiny-experts")
    with serving(InProcess(weights_of(config)), config) as monolithic:
        expected = monolithic.post(wanted | {"logprobs": 1}).json()
    with served("--model", "tiny-experts", "--tp", "2", "--max-model-len", "256") as (process, url):
        disaggregated = Address(url)
        with HTTP.stream("POST", f"{url}/v1/completions", json=ENDLESS | {"model": "tiny-experts", "max_tokens": 200}) as response:
            next(response.iter_lines())
        answer = disaggregated.post(wanted | {"logprobs": 1}).json()
        assert [c["text"] for c in answer["choices"]] == [c["text"] for c in expected["choices"]] and answer["usage"] == expected["usage"]
        for mine, theirs in zip(answer["choices"], expected["choices"]):
            assert np.allclose(mine["logprobs"]["token_logprobs"], theirs["logprobs"]["token_logprobs"], atol=1e-4)
        figures, phases = disaggregated.figures(), [f"request_{phase}_time_seconds" for phase in ("queue", "prefill", "decode", "inference")]
        assert [figures[f"{phase}_count{{}}"] for phase in phases] == [5, 5, 5, 5] and all(figures[f"{phase}_sum{{}}"] > 0 for phase in phases)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")  # and so nobody is left who could write
    assert process.returncode == 0 and not list(Path("/dev/shm").glob(f"interlock-{process.pid}-*"))


@pytest.mark.live
def test_a_process_killed_in_the_middle_is_told_and_the_server_goes_on() -> None:
    """The youngest process is one of a decode rank. The client hears of it; while it comes back the server is healthy, and who asks then waits."""
    with served("--tp", "2", "--max-model-len", "2048") as (process, url):
        listed = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=True)
        with HTTP.stream("POST", f"{url}/v1/completions", json=ENDLESS | {"max_tokens": 2000}) as response:
            lines = response.iter_lines()
            next(lines)
            os.kill(max(map(int, listed.stdout.split())), signal.SIGKILL)
            *_, last, end = (line for line in lines if line)
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_error" and end == "data: [DONE]"
        assert Address(url).get("/health").status_code == 200
        assert Address(url).post({"model": "tiny", "prompt": "Hi", "max_tokens": 3, "ignore_eos": True}).json()["usage"]["completion_tokens"] == 3
        process.send_signal(signal.SIGTERM)
        out, told = process.communicate(timeout=60)
    group = "decode 0 worker 0, decode 0 worker 1, decode engine 0"
    assert out == "" and re.fullmatch(rf"decode .* \(process \d+\) was killed by SIGKILL; started again: {group}\nback: {group}\n", told)
    assert process.returncode == 0 and not list(Path("/dev/shm").glob(f"interlock-{process.pid}-*"))


@pytest.mark.live
def test_sigterm_ends_it_without_a_word() -> None:
    with served("--monolithic", "--model", "tiny-experts", "--tp", "2", "--ep", "2", "--max-model-len", "64") as (process, url):
        body = {"model": "tiny-experts", "prompt": "Hi", "max_tokens": 3}
        assert httpx.post(f"{url}/v1/completions", json=body).json()["usage"]["completion_tokens"] == 3
        assert httpx.get(f"{url}/v1/models").json()["data"][0]["max_model_len"] == 64
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def last_events(service: InProcess, during: Callable[[str], None]) -> list[str]:
    """Serve in this thread, as signals want it, and read an endless stream in another, `during` which something happens; its last two events."""
    events: list[str] = []

    def read(url: str) -> None:
        with HTTP.stream("POST", f"{url}/v1/completions", json=ENDLESS) as response:
            lines = response.iter_lines()
            next(lines)
            during(url)
            events.extend(line for line in lines if line)

    with open_socket("127.0.0.1", 0) as listener:
        reader = threading.Thread(target=read, args=(f"http://127.0.0.1:{listener.getsockname()[1]}",))
        with closing(service):
            serve(make_app(Server(service, TINY, ByteVocabulary())), service, listener, started=reader.start)
        reader.join()
    return events[-2:]


def signal_once(url: str) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def signal_twice(url: str) -> None:
    """The second time when the first was heeded: nobody new is served."""
    signal_once(url)
    with suppress(httpx.TransportError):
        while True:
            httpx.get(f"{url}/health")
    signal_once(url)


@pytest.mark.parametrize(("grace_s", "during"), [(0.0, signal_once), (1e6, signal_twice)])
def test_ctrl_c_ends_the_answers_under_way(monkeypatch: pytest.MonkeyPatch, grace_s: float, during: Callable[[str], None]) -> None:
    """The first time after the grace, the second time at once; the stream ends as it should and not in the middle."""
    monkeypatch.setattr("engine.server.serve.GRACE_S", grace_s)
    last, end = last_events(InProcess(WEIGHTS, context_tokens=100_000, sequences=1), during)
    assert '"finish_reason":"abort"' in last and end == "data: [DONE]"


def test_what_is_not_there_is_one_line() -> None:
    done = subprocess.run([*COMMAND, "--tp", "5"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "model tiny cannot be cut into 5 ranks; choose one of 1, 2, 3, 6" in done.stderr


@pytest.mark.parametrize(
    ("settings", "host", "message"),
    [
        ({"expert_parallel": 2}, "127.0.0.1", "one instance; give --decode 1, and --ep 1 or as many as --tp"),
        ({"expert_parallel": 2, "tensor_parallel": 2}, "127.0.0.1", "model tiny has 0 experts, which 2 ranks cannot share evenly"),
        ({"model": "gpt-4"}, "127.0.0.1", "there is no model 'gpt-4'; choose one of tiny, tiny-experts, smollm2"),
        ({"model": "smollm2", "context_tokens": 8193}, "127.0.0.1", "8193 tokens: model smollm2 has learnt 8192; give a smaller --max-model-len"),
        ({"context_tokens": 10**9}, "127.0.0.1", "8 sequences of 1000000000 tokens take .* GB of KV cache, and this machine has .*; give a smaller"),
        ({"asynchronous": True}, "127.0.0.1", "--async-execution: of P's ranks, and the monolithic engine has none; leave out --monolithic"),
        ({"drafts": 3}, "127.0.0.1", "--num-speculative-tokens 3: .*; give 0, or leave out --monolithic"),
        ({"tensor_parallel": 5}, "127.0.0.1", "cannot be cut into 5 ranks; choose one of 1, 2, 3, 6"),
        ({}, "256.0.0.1", "256.0.0.1:0: .*; choose another --host or --port"),
    ],
)
def test_what_cannot_be_served_is_told_with_the_remedy(settings: dict[str, Any], host: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        serve_deployment(Deployment(prefill=0, **settings), host, 0, seed=0, say=print)


def test_more_processes_than_the_machine_carries_are_not_started() -> None:
    with pytest.raises(ProtocolError, match=r"an engine of 30,005 processes is more than \d+ cores carry \(\d+\); give fewer instances or ranks"):
        Deployment(decode=15_000, sequences=1, context_tokens=16).start()


def test_a_taken_port_is_told_with_the_remedy() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProtocolError, match=f"^127.0.0.1:{port}: Address already in use; choose another --host or --port$"):
            open_socket("127.0.0.1", port)


def test_connections_are_kept_for_longer_than_clients_keep_them() -> None:
    """Else a request meets the end of its connection. Ours keeps them for less time than a server that leaves it to uvicorn."""
    ours, left = uvicorn_for(FastAPI()).config.timeout_keep_alive, uvicorn.Config(FastAPI()).timeout_keep_alive
    kept = [httpx.Limits().keepalive_expiry, openai.DEFAULT_CONNECTION_LIMITS.keepalive_expiry, KEPT_S]
    assert all(seconds is not None and seconds < ours for seconds in kept) and KEPT_S < left


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with open_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
