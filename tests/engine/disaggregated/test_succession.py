"""Succession: engines that are renewed before they wear out, that are started again when they have failed, and that share requests."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.deployment import Deployment
from engine.disaggregated import succession
from engine.disaggregated.plant import Plant
from engine.disaggregated.succession import Succession, total
from engine.errors import EngineError
from engine.generation import Finish, Generation, Handle, Operable, Stats
from engine.model.config import TINY
from engine.model.named import weights_of
from engine.model.weight_file import save
from engine.model.weights import seeded

from ..test_live import is_gone, process_numbers, segments
from .clients import first_token, read

SMALL = Plant(TINY, sequences=2, context_tokens=64, mortal=True)
PATIENCE_S = 120

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "PAUSE_S", 0.01)


def ask(service: Succession, count: int, tokens: int = 3) -> list[Handle]:
    return [service.submit(Generation((k % 250 + 1, 7, 9), tokens)) for k in range(count)]


def finishes(service: Succession, wanted: Callable[[], list[Handle]]) -> list[Finish | None]:
    async def run() -> list[Finish | None]:
        return list(await asyncio.wait_for(asyncio.gather(*map(read, wanted())), PATIENCE_S))

    return asyncio.run(run())


class NoRoom:
    """Starts no engine, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)

    def __call__(self, *args: object, **more: object) -> None:
        self.asked.release()
        raise EngineError("no room for another engine")


def test_an_engine_is_renewed_before_its_numbers_are_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four numbers, three turns each, and no room for a second engine at first: thirty requests, and nobody notices."""
    with closing(Succession(replace(SMALL, turns=3), tmp_path / "log", keeps_records=True)) as service:
        with monkeypatch.context() as patched:
            no_room = NoRoom()
            patched.setattr(succession, "RESTARTS", 1)
            patched.setattr(succession, "Disaggregated", no_room)
            assert finishes(service, lambda: ask(service, 6)) == [Finish.LENGTH] * 6
            assert all(no_room.asked.acquire(timeout=PATIENCE_S) for _ in range(4)) and service.failure is None
            assert finishes(service, lambda: ask(service, 4)) == [Finish.LENGTH] * 4
        assert finishes(service, lambda: ask(service, 20)) == [Finish.LENGTH] * 20
        found = audit(weights_of(TINY), service.records, service.leaks())
        assert found.requests == 30 and found.healthy, found
        service.stop()
        assert [path.name for path in service.written][:2] == ["log", "log.engine2"]
        assert all(conform(log).conforms for log in service.written)
    assert not segments()


def test_an_engine_is_renewed_before_a_process_has_lost_its_last_life() -> None:
    with closing(Succession(replace(SMALL, lives=2), keeps_records=True)) as service:
        for _ in range(2):
            worn = service.engines[-1]
            worn.engine.children["decode engine 0"].process.kill()
            while service.engines[-1] is worn:
                assert set(finishes(service, lambda: ask(service, 1))) <= {Finish.LENGTH, Finish.ERROR}
        assert finishes(service, lambda: ask(service, 3)) == [Finish.LENGTH] * 3
        assert service.leaks() == [] and service.lost == 0


def test_an_engine_that_has_failed_ends_its_requests_and_the_next_one_takes_over() -> None:
    processes = list[int]()
    with closing(Succession(SMALL, keeps_records=True)) as service:

        async def run(victim: str) -> tuple[list[Handle], list[Handle]]:
            engine = service.engines[0].engine
            processes.extend(process_numbers(engine))
            handles = ask(service, 6, 30)
            engine.children[victim].process.kill()
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            late = ask(service, 3)
            await asyncio.wait_for(asyncio.gather(*map(read, late)), PATIENCE_S)
            return handles, late

        for victim in ("queue server", "router"):
            handles, late = asyncio.run(run(victim))
            assert {handle.finish for handle in handles} <= {Finish.ERROR, Finish.LENGTH} and handles[-1].finish is Finish.ERROR
            told = {handle.message for handle in handles if handle.finish is Finish.ERROR}
            assert len(told) == 1 and re.fullmatch(rf"{victim} \(process \d+\) was killed by SIGKILL; send it again", told.pop())
            assert {handle.finish for handle in late} == {Finish.LENGTH} and service.leaks() == []
    assert all(map(is_gone, processes)) and not segments()


def test_an_engine_that_cannot_be_started_again_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Succession(SMALL)) as service:
        monkeypatch.setattr(succession, "RESTARTS", 1)
        monkeypatch.setattr(succession, "Disaggregated", NoRoom())

        async def run() -> list[Handle]:
            handles = ask(service, 2, 30)
            service.engines[0].engine.children["queue server"].process.kill()
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            waiting = ask(service, 1)
            await asyncio.wait_for(read(waiting[0]), PATIENCE_S)
            return waiting

        try:
            assert "no room for another engine; it has been started again 1 times in vain" in asyncio.run(run())[0].message
        except EngineError:
            pass  # it gave up before it was asked
        with pytest.raises(EngineError, match="no room for another engine; it has been started again 1 times in vain"):
            service.stats()
        with pytest.raises(EngineError, match="in vain"):
            service.stop()
    first, *_, last = [record.message for record in caplog.records]
    assert first.startswith("queue server (process ") and first.endswith(" was killed by SIGKILL; a fresh engine takes over")
    assert last.endswith("no room for another engine; it has been started again 1 times in vain")
    assert not segments()


def test_a_fresh_engine_has_the_orders_that_were_given(tmp_path: Path) -> None:
    """New weights, then as many requests as need several engines; and a failure while the service is paused."""
    new = seeded(TINY, 5)
    save(new, tmp_path / "weights")
    with closing(Succession(replace(SMALL, turns=3), keeps_records=True)) as service:
        service.update_weights(tmp_path / "weights")
        assert finishes(service, lambda: ask(service, 20)) == [Finish.LENGTH] * 20
        service.pause()
        first = service.engines[-1]
        first.engine.children["router"].process.kill()

        async def run() -> list[Handle]:
            while service.lost == 0:
                await asyncio.sleep(0.01)
            handles = ask(service, 2)
            while service.engines[-1:] in ([], [first]) or service.stats().waiting < 2:
                await asyncio.sleep(0.01)
            assert service.is_paused and [handle.finish for handle in handles] == [None, None]
            service.resume()
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            return handles

        assert [handle.finish for handle in asyncio.run(run())] == [Finish.LENGTH] * 2
        found = audit(new, service.records, service.leaks())
        assert found.requests == 22 and found.healthy and isinstance(service, Operable), found


def test_prefill_instances_share_a_decode_instance_and_one_dies_alone(tmp_path: Path) -> None:
    service = Deployment(prefill=2, decode=1, sequences=4, context_tokens=64).start(tmp_path / "events", keeps_records=True)
    assert isinstance(service, Succession)
    with closing(service):

        async def run() -> list[Finish | None]:
            handles = ask(service, 6, 20)
            await first_token(service)
            service.engines[0].engine.children["prefill 1 engine"].process.kill()
            await asyncio.gather(*map(read, handles))
            while {await read(handle) for handle in ask(service, 2)} != {Finish.LENGTH}:
                pass  # the other one is on its way back
            return [handle.finish for handle in handles]

        ends = asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
        assert set(ends) <= {Finish.LENGTH, Finish.ERROR} and ends.count(Finish.LENGTH) >= 3, ends
        found = audit(weights_of(TINY), service.records, service.leaks())
        assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ())
        service.stop()
    assert conform(tmp_path / "events").conforms
    assert not segments()


def test_sums() -> None:
    summed = total([Stats(1, 2, 0.25), Stats(3, 4, 0.5)])
    assert (summed.running, summed.waiting, summed.kv_usage) == (4, 6, 0.5)
