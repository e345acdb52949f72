"""The walk: its states are the norm's, a handler sees what its row touches and no more, and a seed gives the same run again."""

from __future__ import annotations

import pytest

from engine.replay.replay import Held, expose, run, subject_of
from engine.replay.schedule import Rough, Schedule
from engine.replay.walk import Step, Walk
from engine.runtime.policy import SeededRandom
from protocol import DefinitionError, TraceError
from protocol.catalogue import find_scenario
from protocol.evaluate import loader as loads
from protocol.evaluate import may_fire, successor
from protocol.trace import Trace

from .paths import found

NAMES = ("layer0-signal-slot-reused-in-e2", "decode-empty-place-decoded-in-continuous", "lifecycle-foreign-token-in-newest")


@pytest.mark.parametrize("name", NAMES)
def test_every_state_of_a_walk_is_the_interpreters(name: str) -> None:
    system = find_scenario(name).system()

    def compare(step: Step) -> None:
        assert may_fire(step.instance, loads(system, step.state))
        assert step.next_state == successor(system, step.state, step.instance)

    walk = Walk(system, compare)
    walk.follow(found(name))
    assert walk.fired == len(found(name).steps)
    policy = SeededRandom(0)
    for _ in range(5):
        for copy in walk.copies:
            walk.turn(copy, lambda action: True, lambda row: True, policy.pick)


def test_a_handler_sees_its_row_and_its_machine_only() -> None:
    name = "layer0-signal-dropped-in-e1"
    steps: list[Step] = []
    Walk(find_scenario(name).system(), steps.append).follow(found(name))
    signal = next(step for step in steps if step.name == "layer_worker.signal_layer")
    assert signal.before("worker_layer", 0) == 0 and len(signal.after("kv_signals", 0)) == 1
    assert signal.touches("kv_signals") and not signal.touches("cache_task")
    with pytest.raises(DefinitionError, match="cache_task, which the row does not touch"):
        signal.before("cache_task", 0, 0)


def test_a_trace_of_another_system_is_refused() -> None:
    walk = Walk(find_scenario("layer0-signal-dropped-in-e1").system())
    with pytest.raises(TraceError, match="step 1 of the trace"):
        walk.follow(found("lifecycle-foreign-token-in-newest"))


def test_a_step_that_is_not_enabled_is_refused() -> None:
    trace = found("layer0-signal-dropped-in-e1")
    walk = Walk(find_scenario(trace.scenario).system())
    with pytest.raises(TraceError, match="find the trace anew"):
        walk.follow(Trace(trace.system, trace.property, [trace.steps[0], trace.steps[0]], trace.states))


def test_the_same_seed_is_the_same_run() -> None:
    scenario = find_scenario("sending-old-task-serves-the-next-request-in-e1")
    subject, system = subject_of(scenario), scenario.system()
    first, again, other = (run(subject, system, scenario.config, Rough(seed), seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    exposed = expose(scenario, 1, 3)
    assert (exposed.tokens, exposed.hit, exposed.runs) == (first[0].tokens, first[0].hit, 1)


def test_who_is_held_gets_no_turn_until_its_rounds_are_over() -> None:
    walk, schedule, turns = Walk(find_scenario("layer0-signal-dropped-in-e1").system()), Held(0, "sender[0]", 2), []
    senders = [copy for copy in walk.copies if copy.machine.name == "sender"]
    for _ in range(4):
        schedule.next_round()
        turns.append(tuple(schedule.gets_turn(copy) for copy in senders))
    assert turns == [(False, True), (False, True), (True, True), (True, True)]


def test_a_fair_schedule_leaves_faults_and_time_outs_out_until_it_is_quiet() -> None:
    system = find_scenario("decode-two-places-for-one-id-in-continuous").system()
    time_out = next(action for action in system.actions if action.row.event == "time_out")
    schedule = Schedule(0)
    assert not schedule.takes(time_out)
    schedule.quiet = 100
    assert schedule.takes(time_out)
