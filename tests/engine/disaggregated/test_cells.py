"""Cells: engines that are renewed before they wear out, that are started again when they have failed, and that share requests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.deployment import Deployment
from engine.disaggregated import cells
from engine.disaggregated.cells import Cells, beside, total
from engine.disaggregated.plant import Plant
from engine.errors import EngineError
from engine.generation import Finish, Generation, Handle, Operable, Stats
from engine.model.config import TINY
from engine.model.named import weights_of
from engine.model.weight_file import save
from engine.model.weights import seeded

from ..test_live import is_gone, process_numbers, segments
from .test_service import after_return, first_token, read

SMALL = Plant(TINY, sequences=2, context_tokens=64, mortal=True)
PATIENCE_S = 120

pytestmark = pytest.mark.live


def ask(service: Cells, count: int, tokens: int = 3) -> list[Handle]:
    return [service.submit(Generation((k % 250 + 1, 7, 9), tokens)) for k in range(count)]


def finishes(service: Cells, wanted: Callable[[], list[Handle]]) -> list[Finish | None]:
    async def run() -> list[Finish | None]:
        return list(await asyncio.wait_for(asyncio.gather(*map(read, wanted())), PATIENCE_S))

    return asyncio.run(run())


def test_an_engine_is_renewed_before_its_numbers_are_used_up(tmp_path: Path) -> None:
    """Four numbers, three turns each: twenty requests need two engines at least, and nobody notices."""
    with closing(Cells([Plant(TINY, sequences=2, context_tokens=64, mortal=True, turns=3)], {"": tmp_path / "log"}, keeps_records=True)) as service:
        assert finishes(service, lambda: ask(service, 20)) == [Finish.LENGTH] * 20
        found = audit(weights_of(TINY), service.records, service.leaks())
        assert found.requests == 20 and found.healthy, found
        service.stop()
        assert len(service.written) >= 2 and list(service.written)[:2] == [tmp_path / "log", tmp_path / "log.engine2"]
        assert all(conform(log).conforms for log in service.written)
    assert not segments()


def test_an_engine_is_renewed_before_a_process_has_lost_its_last_life() -> None:
    with closing(Cells([Plant(TINY, sequences=2, context_tokens=64, mortal=True, lives=2)], keeps_records=True)) as service:
        for _ in range(3):
            worn = service.cells[0].engines[-1]
            worn.engine.children["decode engine 0"].process.kill()
            while service.cells[0].engines[-1] is worn:
                assert set(finishes(service, lambda: ask(service, 1))) <= {Finish.LENGTH, Finish.ERROR}
        assert finishes(service, lambda: ask(service, 3)) == [Finish.LENGTH] * 3
        assert service.leaks() == [] and service.cells[0].lost == 0


@pytest.mark.parametrize("victim", ["queue server", "router"])
def test_an_engine_that_has_failed_ends_its_requests_and_the_next_one_takes_over(victim: str) -> None:
    with closing(Cells([SMALL], keeps_records=True)) as service:
        first = service.cells[0].engines[0].engine
        processes = process_numbers(first)

        async def run() -> tuple[list[Handle], list[Handle]]:
            handles = ask(service, 6, 30)
            first.children[victim].process.kill()
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            late = ask(service, 3)
            await asyncio.wait_for(asyncio.gather(*map(read, late)), PATIENCE_S)
            return handles, late

        handles, late = asyncio.run(run())
        assert {handle.finish for handle in handles} <= {Finish.ERROR, Finish.LENGTH} and handles[-1].finish is Finish.ERROR
        told = {handle.message for handle in handles if handle.finish is Finish.ERROR}
        assert len(told) == 1 and told.pop().startswith(f"{victim} (process ")
        assert {handle.finish for handle in late} == {Finish.LENGTH} and service.leaks() == []
    assert all(map(is_gone, processes)) and not segments()


def test_a_cell_that_cannot_be_started_again_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Cells([SMALL])) as service:
        monkeypatch.setattr(cells, "RESTARTS", 1)
        monkeypatch.setattr(cells, "PAUSE_S", 0.01)

        def refuse(*args: object, **more: object) -> None:
            raise EngineError("no room for another engine")

        monkeypatch.setattr(cells, "Disaggregated", refuse)

        async def run() -> list[Handle]:
            handles = ask(service, 2, 30)
            service.cells[0].engines[0].engine.children["queue server"].process.kill()
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
    assert not segments()


def test_requests_are_spread_over_cells_and_a_cell_fails_alone(tmp_path: Path) -> None:
    logs = {name: tmp_path / f"events{name}" for name in ("", "decode0", "decode1")}
    with closing(Cells([replace(SMALL, cells=2, decodes=decodes) for decodes in (2, 1)], logs, keeps_records=True)) as service:

        async def run() -> list[Handle]:
            handles = ask(service, 9, 20)
            assert [cell.under_way for cell in service.cells] == [6, 3]
            number = service.cells[1].engines[0].engine.children["router"].process.pid
            os.kill(number or 0, signal.SIGKILL)
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            return handles

        handles = asyncio.run(run())
        assert sorted(str(handle.finish) for handle in handles) == ["error"] * 3 + ["length"] * 6
        assert asyncio.run(after_return(service, [Generation((3, 4), 2)] * 6)) == {Finish.LENGTH} and service.leaks() == []
        service.stop()
        names = {path.name for path in service.written}
        assert names == {"events", "eventsdecode0", "eventsdecode1", "events.cell1.engine2", "eventsdecode0.cell1.engine2"}
        assert all(conform(path).conforms for path in service.written)
    assert not segments()


def test_a_fresh_engine_has_the_orders_that_were_given(tmp_path: Path) -> None:
    """New weights, then as many requests as need several engines; and a failure while the service is paused."""
    new = seeded(TINY, 5)
    save(new, tmp_path / "weights")
    with closing(Cells([Plant(TINY, sequences=2, context_tokens=64, mortal=True, turns=3)], keeps_records=True)) as service:
        service.update_weights(tmp_path / "weights")
        assert finishes(service, lambda: ask(service, 20)) == [Finish.LENGTH] * 20
        service.pause()
        first = service.cells[0].engines[-1]
        first.engine.children["router"].process.kill()

        async def run() -> list[Handle]:
            while service.cells[0].lost == 0:
                await asyncio.sleep(0.01)
            handles = ask(service, 2)
            while service.cells[0].engines[-1:] in ([], [first]) or service.stats().waiting < 2:
                await asyncio.sleep(0.01)
            assert service.is_paused and [handle.finish for handle in handles] == [None, None]
            service.resume()
            await asyncio.wait_for(asyncio.gather(*map(read, handles)), PATIENCE_S)
            return handles

        assert [handle.finish for handle in asyncio.run(run())] == [Finish.LENGTH] * 2
        found = audit(new, service.records, service.leaks())
        assert found.requests == 22 and found.healthy and isinstance(service, Operable), found


def test_prefill_instances_share_a_decode_instance_and_one_dies_alone(tmp_path: Path) -> None:
    service = Deployment(prefill=2, decode=1, sequences=4, context_tokens=64).start({"": tmp_path / "events"}, keeps_records=True)
    assert isinstance(service, Cells)
    with closing(service):

        async def run() -> list[Finish | None]:
            handles = ask(service, 6, 20)
            await first_token(service)
            service.cells[0].engines[0].engine.children["prefill 1 engine"].process.kill()
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


def test_sums_and_names(tmp_path: Path) -> None:
    summed = total([Stats(1, 2, 0.25), Stats(3, 4, 0.5)])
    assert (summed.running, summed.waiting, summed.kv_usage) == (4, 6, 0.5)
    assert beside(tmp_path / "a.ndjson", "cell1") == tmp_path / "a.cell1.ndjson" and beside("/dev/null", "cell1") == Path("/dev/null")
