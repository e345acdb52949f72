"""The engine's threads: the paths that the facts describe, E0's loop against real lists, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from checker import Verdict, check
from protocol import DefinitionError
from protocol.catalogue.engine_threads import HAZARDS, SCENARIOS
from protocol.machines.engine_threads import acknowledgement, engine_threads, snapshot, token_wait

from .paths import in_order, paths_of

path_of = paths_of("engine-threads")


def is_violated(asked: str, **bounds: Any) -> bool:
    """Whether the question is answered with a counterexample at these bounds."""
    system = engine_threads.build(**bounds).focused(asked)
    return check(system).findings[asked].verdict is Verdict.VIOLATED


# -- the paths of the facts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stale-prefill-after-abort-in-b-prime", "stale-prefill-after-abort-in-r"])
def test_stop_overtakes_the_prefill_in_hand(name: str) -> None:
    assert in_order(
        path_of(name),
        "schedule.schedule_waiting(slot=1, block=1)",
        "control.find_with_slot",
        "control.put_stop",
        "rank[0].read_batch",
        "schedule.put_batch",
        "rank[0].report_step",
        "rank[0].read_batch",
        "rank[0].start_step",
        "token_processor.recycle_aborted(slot=1)",
    )


def test_stale_prefill_writes_the_block_of_the_next_owner() -> None:
    assert in_order(
        path_of("stale-prefill-writes-the-next-owners-block-in-r"),
        "schedule.schedule_waiting(slot=1, block=1)",
        "control.put_stop",
        "schedule.put_batch",
        "token_processor.recycle_aborted(slot=1)",
        "schedule.schedule_waiting(slot=0, block=1)",
    )


def test_pause_overtakes_the_prefill_in_hand() -> None:
    steps = path_of("stale-prefill-after-pause-in-a")
    assert in_order(steps, "schedule.see_not_paused", "schedule.schedule_waiting(slot=0, block=0)", "control.pause", "control.preempt_all")
    assert steps[-5:] == ["control.put_preempted", "rank[0].read_batch", "schedule.put_batch", "rank[0].read_batch", "rank[0].start_step"]


def test_stop_names_a_slot_that_another_request_has_got() -> None:
    steps = path_of("stop-hits-the-next-in-r")
    assert in_order(steps, "control.find_with_slot", "finisher.free_slot", "schedule.schedule_waiting(slot=0, block=0)", "schedule.put_batch")
    assert "control.put_stop" not in steps


def test_report_of_a_stop_is_taken_for_the_next_requests() -> None:
    assert in_order(
        path_of("report-of-a-stop-hits-the-next-in-r-prime"),
        "token_processor.handle_last(slot=0)",
        "control.ask_abort",
        "schedule.schedule_stops",
        "rank[0].report_step",
        "finisher.free_slot",
        "schedule.schedule_waiting(slot=0, block=0)",
        "rank[0].report_step",
        "control.ask_abort",
        "schedule.schedule_stops",
        "token_processor.recycle_aborted(slot=0)",
        "schedule.schedule_waiting(slot=0, block=0)",
        "token_processor.handle_last(slot=0)",
        "finisher.free_slot",
    )


def test_aborted_in_preparation_joins_without_its_slot() -> None:
    steps = path_of("aborted-in-preparation-in-r")
    assert in_order(
        steps,
        "fetch[0].hold(slot=1, block=1)",
        "control.find_with_slot",
        "control.put_stop",
        "token_processor.recycle_aborted(slot=1)",
        "fetch[0].add_request",
    )
    shared = path_of("aborted-in-preparation-shares-its-slot-in-r")
    assert shared.count("fetch[0].hold(slot=1, block=1)") == 2


def test_cache_is_reset_under_a_request_in_preparation() -> None:
    steps = path_of("paused-in-preparation-in-r")
    assert in_order(steps, "fetch[0].hold(slot=0, block=0)", "control.clear_data", "control.reset_cache")
    assert "fetch[0].add_request" not in steps


def test_cache_is_reset_between_the_two_halves_of_a_finish() -> None:
    steps = path_of("paused-while-finishing-in-a")
    assert in_order(steps, "finisher.free_slot", "control.reset_cache")
    assert "finisher.free_block" not in steps


def test_request_of_before_the_reset_is_added_after_it() -> None:
    for name in ("request-survives-the-reset-in-a", "request-survives-the-reset-in-b"):
        assert in_order(path_of(name), "fetch[0].get_request(request=0)", "control.pause", "control.answer_all", "fetch[0].add_request")


def test_second_fetch_is_submitted_between_two_looks() -> None:
    assert in_order(
        path_of("two-fetches-wait-in-a"),
        "schedule.see_nothing_waiting",
        "fetch[0].add_request",
        "fetch[0].lower_fetching",
        "schedule.see_fetch_over",
        "schedule.submit_fetch",
        "fetch[0].add_request",
    )


def test_whole_queue_moves_while_the_gate_is_closed() -> None:
    steps = path_of("more-waits-than-two-fetches-in-b")
    assert steps.count("fetch[0].add_request") == 4
    assert sum(step.startswith("schedule.schedule_waiting") for step in steps) == 1


def test_intake_is_behind_the_put() -> None:
    steps = path_of("abort-keeps-a-message-waiting-in-b")
    assert in_order(steps, "schedule.put_batch", "client.say_abort(request=0)", "client.send_request", "control.find_with_slot")
    assert "rank[0].read_batch" not in steps


def test_pool_closes_between_the_look_and_the_submission() -> None:
    assert path_of("closed-pool-ends-the-thread-in-a-prime")[-5:] == [
        "schedule.raise_fetching",
        "exit.stop_running",
        "exit.kill_workers",
        "exit.close_pool",
        "schedule.die_of_submission",
    ]


def test_swallowed_error_leaves_the_fetch_flag_up() -> None:
    assert in_order(
        path_of("interpreter-exit-leaves-a-spinning-loop-in-a"),
        "schedule.raise_fetching",
        "exit.close_pool",
        "schedule.swallow_error",
        "schedule.see_fetching",
    )


def test_admission_does_not_count_the_slot_of_an_aborted_request() -> None:
    for name, end in (("no-position-loses-a-request-in-a", "swallow"), ("no-position-ends-the-thread-uncounted", "die_of")):
        steps = path_of(name)
        assert in_order(steps, "control.ask_abort", "schedule.schedule_stops", "schedule.put_batch", "rank[0].read_batch")
        assert steps[-1] == f"schedule.{end}_no_position(block=0)"
        assert not any(step.startswith("token_processor") for step in steps)


def test_failed_task_is_taken_out_of_need_twice() -> None:
    steps = path_of("failed-preprocessing-loses-the-batch-in-e0")
    assert in_order(steps, "prepare.collect", "prepare.see_failed(task=0)", "prepare.see_pending(task=1)", "prepare.remove_twice(task=0)")
    assert "register[1].acknowledge" not in steps


def test_token_behind_a_missing_report_is_not_taken() -> None:
    steps = path_of("missing-report-stops-all-answers")
    assert in_order(steps, "send[1].report", "token_processor.read_report", "send[0].lose_report")
    assert steps.count("token_processor.take_token") == 1


def test_table_is_empty_when_it_is_copied() -> None:
    assert path_of("finished-before-the-copy-in-a")[-3:] == ["finisher.free_block", "schedule.copy", "schedule.put_batch"]
    steps = path_of("aborted-before-the-copy-runs-in-b")
    assert in_order(steps, "schedule.schedule_prefill(request=0)", "token_processor.recycle_aborted", "schedule.copy", "rank.start_step")


# -- beyond the recorded bounds --------------------------------------------------------------------------------------


def test_abort_of_b_needs_a_second_request_to_report_the_stop() -> None:
    one = {"requests": 1, "slots": 2, "blocks": 2, "commands": ("abort",)}
    assert not is_violated("written_by_owner", epoch="B", **one)
    assert is_violated("written_by_owner", epoch="two_putters", **one)


def test_one_critical_section_mends_the_order_and_not_the_address() -> None:
    bounds = {"slots": 2, "blocks": 2, "commands": ("abort",)}
    assert not is_violated("written_by_owner", epoch="locked_put", **bounds)
    assert is_violated("no_stop_for_another", epoch="locked_put", **bounds)


def ack_loop_raises(tasks: int) -> bool:
    """E0's loop with real lists and every order of the other threads' events: whether `need.remove` can raise ValueError.

    A state is (need, finished, position or None while collecting, the futures, the tasks whose acknowledgement has not come).
    """
    start = (tuple(range(tasks)), (), None, ("pending",) * tasks, tuple(range(tasks)))
    seen, stack = {start}, [start]
    while stack:
        need, finished, position, futures, absent = stack.pop()
        after: list[Any] = []
        for task, future in enumerate(futures):
            if future == "pending":
                for result in ("done", "failed"):
                    after.append((need, finished, position, (*futures[:task], result, *futures[task + 1 :]), absent))
        if not need:
            continue
        if position is None:
            after += [(need, (*finished, task), 0, futures, tuple(a for a in absent if a != task)) for task in absent]
            if finished:
                after.append((need, finished, 0, futures, absent))
        else:
            left, used = list(need), list(finished)
            try:
                if futures[position] == "failed":
                    left.remove(position)
                elif futures[position] == "done" and position in used:
                    left.remove(position)
                    used.remove(position)
            except ValueError:
                return True
            after.append((tuple(left), tuple(used), position + 1 if position + 1 < tasks else None, futures, absent))
        for state in after:
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return False


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_loop_over_real_lists_agrees(tasks: int) -> None:
    finding = check(acknowledgement.build("E0", tasks).focused("no_batch_lost")).findings["no_batch_lost"]
    assert ack_loop_raises(tasks) == (finding.verdict is Verdict.VIOLATED) == (tasks > 1)


# -- the catalogue and the definitions -------------------------------------------------------------------------------


@pytest.mark.parametrize("hazard", [h for h in HAZARDS if not h.unmodelled], ids=lambda h: h.number)
def test_hazard_is_found_and_is_mended(hazard: Any) -> None:
    about = [s for s in SCENARIOS if hazard.number in s.sources]
    broken = {s.property for s in about if s.expected == "violated" and not s.deep}
    mended = {s.property for s in about if s.expected == "holds" and s.variant == "repaired"}
    assert broken & mended


def test_every_question_that_holds_is_answered_otherwise_elsewhere() -> None:
    asked = {(s.build, s.property) for s in SCENARIOS if s.expected == "holds" and not s.property.startswith("some_")}
    assert asked <= {(s.build, s.property) for s in SCENARIOS if s.expected == "violated"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": "E0"},
        {"role": "decode"},
        {"exits": "crash"},
        {"commands": ("stop",)},
        {"epoch": "B", "commands": ("abort", "pause")},
        {"requests": 0},
        {"slots": 4},
        {"blocks": 0},
        {"threads": 5},
        {"late": 3},
        {"failures": 3},
        {"step_failures": -1},
        {"stalls": 2},
    ],
    ids=str,
)
def test_parameters_are_judged_with_their_choices(wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        engine_threads.build(**wrong)


@pytest.mark.parametrize(
    "build, wrong",
    [
        (acknowledgement.build, {"variant": "E2"}),
        (acknowledgement.build, {"tasks": 0}),
        (acknowledgement.build, {"exceptions": 3}),
        (token_wait.build, {"variant": "E0"}),
        (token_wait.build, {"requests": 5}),
        (token_wait.build, {"losses": 3}),
        (snapshot.build, {"variant": "E0"}),
        (snapshot.build, {"requests": 4}),
    ],
    ids=lambda part: part.__module__.rpartition(".")[2] if callable(part) else str(part),
)
def test_parameters_of_the_small_systems_are_judged(build: Any, wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)
