"""The intake: the paths of H17, H18, H19, H-10 and H-11, and the batching loops against a slow simulation of the facts' section 5."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from checker import check
from protocol import DefinitionError, System
from protocol.action import Instance
from protocol.catalogue.intake import SCENARIOS
from protocol.evaluate import evaluate, loader, may_fire, successor
from protocol.machines.intake import batching, dispatch, expiry, recycle
from protocol.machines.intake.algorithm import ALGORITHMS
from protocol.machines.intake.recycling import ABORTS, List, in_slice
from protocol.variable import Variable, private

from .paths import in_order, paths_of

path_of = paths_of("intake")

PATIENCE = 20
"""Passes that take nothing, after which the time is over; more than the tokens of any call."""


# -- paths -----------------------------------------------------------------------------------------------------------


def test_third_request_arrives_left_of_the_cursor() -> None:
    steps = path_of("third-request-skipped-in-t1")
    first_pass, second_pass = ["fetch.take", "fetch.end_pass", "fetch.advance_cursor"], ["fetch.take", "fetch.end_pass", "fetch.advance_cursor"]
    put = "arrivals.put(length=1)"
    assert in_order(steps, put, *first_pass, "fetch.wait_for_more", put, *second_pass, "fetch.leave_late", "arrivals.put_last(length=1)")
    assert steps[-1].startswith("arrivals")


def test_cursor_passes_the_request_that_it_rejects() -> None:
    steps = path_of("rejected-request-skipped-in-t1")
    assert in_order(steps, "fetch.take", "fetch.advance_cursor", "fetch.reject", "fetch.advance_cursor")
    assert sum(step.startswith("arrivals") for step in steps) == 2


@pytest.mark.parametrize("variant", ["t1", "t2", "tested-first"])
def test_mutex_is_kept_from_one_rejection_to_the_next(variant: str) -> None:
    steps = path_of(f"mutex-kept-in-vain-in-{variant}")
    since = steps[len(steps) - steps[::-1].index("fetch.find_requests") :]
    assert in_order(since, "fetch.reject", "fetch.look_again", "fetch.reject")
    assert not {"fetch.wait_for_more", "fetch.leave", "fetch.leave_late"} & set(since)  # the mutex is not given back


def test_mend_proposed_in_the_review_spins_until_the_time_is_over() -> None:
    asked = next(s for s in SCENARIOS if s.name == "intake-spin-ends-by-the-clock-alone-in-tested-first")
    finding = check(asked.system()).findings[asked.property]
    assert finding.path is not None and finding.loop_start is not None
    assert {str(step) for step in finding.path[finding.loop_start :]} == {"fetch.look_again", "fetch.reject"}


def test_aborted_unread_request_brings_back_the_one_in_flight() -> None:
    steps = path_of("request-in-flight-returned-twice-in-locked")
    first, again = (step for step in steps if step.startswith("fetch.look_up"))
    assert first == again == "fetch.look_up(request=0)"
    assert in_order(steps, "intake.abort(request=1)", first, "intake.remove_id", "intake.store_cursor", "fetch.admit_last(request=0)", again)


def test_cursor_and_list_part_without_the_mutex() -> None:
    lost = path_of("update-lost-and-request-skipped-in-b")
    assert in_order(lost, "fetch.reload_cursor", "intake.store_cursor", "fetch.store_cursor", "intake.add_id")
    shrunk = path_of("list-shrinks-and-request-skipped-in-checked")
    assert in_order(shrunk, "fetch.take_slice", "intake.remove_id", "intake.keep_cursor", "fetch.store_cursor", "intake.add_id")


def test_request_on_its_way_to_the_manager_is_recycled_and_runs() -> None:
    steps = path_of("recycler-misses-an-id-in-locked-checked")
    assert in_order(steps, "intake.abort(request=0)", "fetch.store_cursor", "intake.remove_id", "fetch.admit_last(request=0)", "results.id_is_gone")


def test_clean_up_takes_a_live_id_away() -> None:
    steps = path_of("wrong-ids-popped-in-reached")
    assert in_order(steps, "intake.begin_cleanup", "intake.collect", "intake.collect", "intake.pop", "intake.pop", "intake.end_cleanup")


def test_refused_request_vanishes_behind_the_wrapper() -> None:
    assert path_of("refused-request-lost-in-dp-wrapper")[-1] == "dp_in.refuse"


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_slice_counts_as_python_does(batch: int) -> None:
    s = List(ABORTS["B"], requests=3, aborts=2)
    own = private("own", s.positions)
    for cursor, length, request in product(range(-2, 4), range(4), s.request):
        values = {id(own): cursor, id(s.ids): tuple(range(length))}
        found = evaluate(in_slice(s, own.cell(), batch, request), {}, lambda variable, _: values[id(variable)])  # noqa: B023
        assert found == (request in list(range(length))[cursor : cursor + batch])


# -- the algorithms, against a slow simulation -------------------------------------------------------------------------


class Simulation:
    """Section 5 of the facts, word for word: lists, a cursor, and a clock that runs only when nothing else happens.

    `at_once` requests are there before the first call; each of the others arrives when a call finds nothing to look at.
    """

    def __init__(self, variant: str, lengths: tuple[int, ...], at_once: int, batch: int, blocks: int, tokens: int):
        self.variant, self.batch, self.available, self.maxtok = variant, batch, blocks, tokens
        self.later = [(k, n) for k, n in enumerate(lengths)]
        self.ids: list[tuple[int, int]] = []
        self.cursor = 0
        for _ in range(at_once):
            self.arrive()

    def arrive(self) -> None:
        request = self.later.pop(0)
        if self.variant != "repaired" or request[1] <= min(self.available, self.maxtok):
            self.ids.append(request)

    def wait(self, batch: int) -> list[tuple[int, int]]:
        while not self.ids[self.cursor : self.cursor + batch] and self.later:
            self.arrive()
        return self.ids[self.cursor : self.cursor + batch]

    def get_requests(self) -> list[int]:
        if self.variant in ("N1", "local"):
            taken = self.wait(1 if self.variant == "N1" else self.batch)
            self.cursor += len(taken)
            return [k for k, _ in taken]
        if self.variant == "repaired":
            return self.one_pass()
        return self.rounds()

    def one_pass(self) -> list[int]:
        out: list[int] = []
        total = 0
        for k, length in self.wait(self.batch):
            if total + length > min(self.available, self.maxtok):
                break
            total += length
            out.append(k)
        self.cursor += len(out)
        return out

    def rounds(self) -> list[int]:
        tot = tok = vain = 0
        out: list[int] = []
        while True:
            seen, before = self.wait(self.batch), len(out)
            for k, length in seen:
                if self.variant in ("tested_first", "leaves_first") and tot + length > self.available:
                    if self.variant == "leaves_first":
                        return out
                    break
                tok += length
                tot += length
                if tot > self.available:
                    break
                if self.variant == "T1" and tok > self.maxtok:
                    break
                out.append(k)
                if self.variant != "T1":
                    self.cursor += 1
                    if tok > self.maxtok:
                        break
                if len(out) >= self.batch:
                    break
            if seen and self.variant == "T1":
                self.cursor += len(out)
            vain = vain + 1 if len(out) == before else 0
            if tok > self.maxtok or len(out) >= self.batch or not seen or vain > PATIENCE:
                return out


class Driven:
    """The same call by call, by firing the rows of the system: a time-out only where nothing else can, or after PATIENCE."""

    def __init__(self, system: System, lengths: tuple[int, ...], at_once: int):
        self.system, self.state = system, system.initial_state()
        self.rows: dict[str, list[Instance]] = {"arrivals": [], "fetch": []}
        for instance in system.instances():
            self.rows[instance.action.machine.name].append(instance)
        self.cursor_variable, self.taken = system.variable("scheduler_cursor"), system.variable("fetch_taken")
        self.lengths = list(lengths)
        for _ in range(at_once):
            self.arrive()

    def value(self, variable: Variable) -> Any:
        return loader(self.system, self.state)(variable, ())

    @property
    def cursor(self) -> int:
        return self.value(self.cursor_variable)

    def fire(self, instance: Instance) -> None:
        self.state = successor(self.system, self.state, instance)

    def enabled(self, machine: str) -> list[Instance]:
        load = loader(self.system, self.state)
        return [i for i in self.rows[machine] if may_fire(i, load)]

    def arrive(self) -> None:
        length = self.lengths.pop(0)
        self.fire(next(i for i in self.enabled("arrivals") if str(i).endswith(f"(length={length})")))

    def get_requests(self) -> list[int]:
        vain = 0
        while True:
            enabled = {i.action.row.event: i for i in self.enabled("fetch")}
            event = next((e for e in enabled if e not in ("leave_late", "time_out")), None)
            if event == "look_again" and vain > PATIENCE:
                event = "leave_late"
            if event is None and "time_out" in enabled and self.lengths:
                self.arrive()
                continue
            event = event or next(iter(enabled))
            vain = vain + 1 if event == "reject" else 0 if event == "take" else vain
            taken = list(self.value(self.taken))
            self.fire(enabled[event])
            if event in ("return_batch", "log_and_return"):
                return taken


@pytest.mark.parametrize("variant", ALGORITHMS)
@pytest.mark.parametrize("bounds", [{"batch": 3, "blocks": 3, "tokens": 4}, {"batch": 2, "blocks": 4, "tokens": 2}], ids=str)
def test_batches_are_those_of_the_simulation(variant: str, bounds: dict[str, Any]) -> None:
    system = batching.build(variant, requests=3, longest=3, **bounds)
    for lengths, at_once in product(product((1, 2, 3), repeat=3), (1, 2, 3)):
        simulated, driven = Simulation(variant, lengths, at_once, **bounds), Driven(system, lengths, at_once)
        for _ in range(4):
            assert (driven.get_requests(), driven.cursor) == (simulated.get_requests(), simulated.cursor), (lengths, at_once)


def test_simulation_has_the_verified_trace_of_the_facts() -> None:
    """A at 0, B at 20 ms, C at 40 ms, D at 300 ms: the first call returns [A, B] with the cursor at 3, and C never comes."""
    simulated = Simulation("T1", (1, 1, 1, 1), 1, batch=8, blocks=99, tokens=99)
    late = [simulated.later.pop(), simulated.later.pop()]
    assert (simulated.get_requests(), simulated.cursor) == ([0, 1], 3)
    simulated.later = late[::-1]
    assert [simulated.get_requests() for _ in range(3)] == [[3], [], []]


# -- bounds ------------------------------------------------------------------------------------------------------------

WRONG = [
    (batching.build, {"variant": "T3"}),
    (batching.build, {"requests": 0}),
    (batching.build, {"tokens": 9}),
    (recycle.build, {"variant": "T1"}),
    (recycle.build, {"aborts": 3}),
    (expiry.build, {"variant": "B"}),
    (expiry.build, {"room": 0}),
    (dispatch.build, {"variant": "B"}),
    (dispatch.build, {"room": 5}),
]


@pytest.mark.parametrize(("build", "wrong"), WRONG, ids=lambda part: str(part) if isinstance(part, dict) else "")
def test_parameters_are_judged_with_their_choices(build: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)
