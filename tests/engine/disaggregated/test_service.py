"""The disaggregated engine in processes: its answers, its aborts, its log, and what is left when it ends."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.disaggregated.letters import Produced
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.errors import EngineError
from engine.generation import Finish, Generation, Handle
from engine.model.config import TINY
from engine.model.reference import log_probabilities
from engine.model.sampling import Sampling, choose
from engine.model.weights import seeded
from engine.runtime.supervision import Died
from protocol import DefinitionError

from .clients import after_return, first_token, read

WEIGHTS = seeded(TINY, 0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


@pytest.fixture
def service(log: Path) -> Iterator[Disaggregated]:
    service = Disaggregated(Plant(TINY, ranks=2, sequences=3, context_tokens=128), log, keeps_records=True)
    yield service
    service.close()


def generations(count: int) -> list[Generation]:
    rng = random.Random(7)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 100))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(1, 9)) for prompt in prompts]


def test_clients_do_not_wait_for_the_processes_of_an_engine_that_is_closed(service: Disaggregated, monkeypatch: pytest.MonkeyPatch) -> None:
    end_processes, under_way = service.engine.close, []
    monkeypatch.setattr(service.engine, "close", lambda: (under_way.append(service.under_way), end_processes()))

    async def run() -> Finish | None:
        handle = service.submit(Generation((65,) * 20, 100))
        service.close()
        return await read(handle)

    assert asyncio.run(run()) == Finish.ABORT
    assert under_way == [0]


def test_answers_are_those_of_the_monolithic_pass_and_the_log_is_a_behaviour(service: Disaggregated, log: Path) -> None:
    async def run() -> list[Finish | None]:
        given_up, *others = [service.submit(generation) for generation in generations(8)]
        service.abort(given_up)
        return list(await asyncio.gather(*map(read, [given_up, *others])))

    first, *rest = asyncio.run(run())
    assert first in (Finish.ABORT, Finish.LENGTH) and set(rest) == {Finish.LENGTH}
    found = audit(WEIGHTS, [record for record in service.records.values() if record.ends], service.leaks())
    assert found.tokens >= sum(g.max_tokens for g in generations(8)[1:])
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9
    service.stop()
    judged = conform(log)
    assert judged.conforms and judged.events > 1000, judged.reason


def test_a_sender_hears_why_the_engine_has_ended_before_anybody_else_does(service: Disaggregated) -> None:
    with service._lock:
        service.engine.children["queue server"].process.kill()
        with pytest.raises(EngineError, match=r"^queue server \(process \d+\) was killed by SIGKILL before the run was over"):
            while True:
                service.engine.send("nobody", None)


def test_who_gives_up_while_the_engine_fails_meets_no_error(service: Disaggregated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client leaves before the thread that would tell him has heard of the engine's end."""

    def fail(*_: object) -> None:
        raise EngineError("the engine has failed")

    async def run() -> None:
        handle = service.submit(Generation((65,) * 20, 100))
        monkeypatch.setattr(service.engine, "send", fail)
        service.abort(handle)

    asyncio.run(run())


def test_a_closed_engine_takes_no_letter(service: Disaggregated) -> None:
    service.close()
    with pytest.raises(EngineError, match="the engine has been stopped; start it again"):
        service.engine.send("router", None)


def test_a_prompt_that_is_too_long_is_refused(service: Disaggregated) -> None:
    async def run() -> None:
        service.submit(Generation((1,) * 127, 2))

    with pytest.raises(DefinitionError, match="127 tokens of prompt and 2 of answer are more than 128"):
        asyncio.run(run())


def test_whoever_is_killed_comes_back_and_every_request_ends(tmp_path: Path) -> None:
    log = tmp_path / "events.ndjson"
    service = Disaggregated(Plant(TINY, ranks=2, sequences=3, context_tokens=128, mortal=True), log, keeps_records=True)

    async def run(victim: str) -> set[Finish | None]:
        await first_token(service)
        handles = [service.submit(Generation((k,) * 40, 30)) for k in range(1, 7)]
        service.engine.children[victim].process.kill()
        return set(await asyncio.wait_for(asyncio.gather(*map(read, handles)), 60))

    with closing(service):
        for victim in ("decode engine 0", "prefill worker 1", "messager 0", "prefill engine", "decode 0 worker 1"):
            assert asyncio.run(run(victim)) <= {Finish.LENGTH, Finish.ERROR}
        last = asyncio.run(after_return(service, generations(3)))
        found = audit(WEIGHTS, service.records.values(), service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and last == {Finish.LENGTH}
        service.stop()
    judged = conform(log)
    assert judged.conforms, judged


def test_who_decodes_elsewhere_is_not_harmed_when_a_decode_instance_dies() -> None:
    homes: dict[int, str] = {}

    class Noting(Disaggregated):
        """Notes which D produces the tokens of a request."""

        def _hear(self, content: object, sender: str) -> None:
            if isinstance(content, Produced):
                homes[content.key] = sender
            super()._hear(content, sender)

    async def begin(handle: Handle) -> None:
        async for _ in handle:
            return

    with closing(Noting(Plant(TINY, decodes=2, sequences=3, context_tokens=128, mortal=True), keeps_records=True)) as service:

        async def run() -> list[Handle]:
            handles = [service.submit(Generation((k, 7, 9), 120)) for k in range(1, 7)]
            await asyncio.gather(*map(begin, handles))
            service.engine.children["decode engine 0"].process.kill()
            await asyncio.gather(*map(read, handles))
            return handles

        ends: dict[str, set[tuple[Finish | None, str]]] = {}
        for key, handle in enumerate(asyncio.run(run()), 1):
            ends.setdefault(homes[key], set()).add((handle.finish, handle.message.partition(" after ")[0]))
        lost = (Finish.ERROR, "its decode instance died")
        assert ends["decode engine 1"] == {(Finish.LENGTH, "")} and lost in ends["decode engine 0"] <= {lost, (Finish.LENGTH, "")}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ())


def test_what_is_posted_behind_the_news_of_a_death_waits_for_the_return() -> None:
    died = threading.Event()

    class Noting(Disaggregated):
        """Notes that it has heard of a death."""

        def _hear(self, content: object, sender: str) -> None:
            super()._hear(content, sender)
            if isinstance(content, Died):
                died.set()

    with closing(Noting(Plant(TINY, sequences=3, context_tokens=128, mortal=True), keeps_records=True)) as service:

        async def run(victim: str) -> list[Finish | None]:
            service.engine.children[victim].process.kill()
            await asyncio.to_thread(died.wait, 60)
            died.clear()
            return await asyncio.gather(*(read(service.submit(generation)) for generation in generations(6)))

        for victim in ("messager 0", "decode engine 0"):
            assert asyncio.run(run(victim)) == [Finish.LENGTH] * 6
        assert audit(WEIGHTS, service.records.values(), service.leaks()).healthy


def test_prefixes_are_found_and_drafts_accepted_over_processes(tmp_path: Path) -> None:
    """Rounds of a session, drawn and greedy, over everything that a data plane has: the tokens stay the reference's."""
    log = tmp_path / "events.ndjson"
    service = Disaggregated(Plant(TINY, ranks=2, sequences=3, context_tokens=128, drafts=3), log, keeps_records=True)
    samplings = (Sampling(), Sampling(1.0, 0.3, 1), Sampling(1.0, seed=2))

    async def run() -> list[Finish | None]:
        ends = []
        for prompt in ((72, 101) * 20, (72, 101) * 25):
            handles = [service.submit(Generation(prompt, 10, sampling)) for sampling in samplings]
            ends += await asyncio.gather(*map(read, handles))
        return ends

    with closing(service):
        assert asyncio.run(run()) == [Finish.LENGTH] * 6
        stats, found = service.stats(), audit(WEIGHTS, service.records.values(), service.leaks())
        assert found.healthy and found.tokens == 60
        assert stats.prefix.hits >= 3 * 32 and stats.drafts.proposed > 0
        service.stop()
    for record in service.records.values():
        tokens = list(record.generation.prompt)
        for drawn, token in enumerate(record.tokens):
            assert token.id == choose(log_probabilities(WEIGHTS, tokens)[-1], record.generation.sampling, drawn)[0]
            tokens.append(token.id)
    judged = conform(log)
    assert judged.conforms, judged.reason
