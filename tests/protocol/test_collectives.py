"""The collectives: the paths that the facts describe, bounds that are refused, and claims checked without the checker."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from protocol import DefinitionError
from protocol.catalogue.collectives import SCENARIOS
from protocol.evaluate import loader, may_fire, successor
from protocol.machines.collectives.expert_round import build as build_round
from protocol.machines.collectives.lock_holder import build as build_lock
from protocol.machines.collectives.placement import build as build_placement
from protocol.machines.collectives.placement import nodes_counted
from protocol.machines.collectives.rejoin import build as build_rejoin
from protocol.machines.collectives.silent_batch import build as build_silent
from protocol.machines.collectives.weight_update import build as build_weights

from .paths import in_order, paths_of

path_of = paths_of("collectives")


# -- the catalogue -------------------------------------------------------------------------------------------------------


def test_every_hazard_of_the_group_is_found_and_mended() -> None:
    mended: dict[str, set[str]] = {"holds": set(), "violated": set()}
    for s in SCENARIOS:
        mended[s.expected].update(s.sources)
    for hazard in ("H3", "H4", "H5", "H6", "H8", "H11", "H13", "H24", "H25", "H-34", "#6164", "P13"):
        assert hazard in mended["holds"], hazard
        assert hazard in mended["violated"], hazard


def test_the_repaired_versions_have_no_fault_but_with_a_part_left_out() -> None:
    faults = [s for s in SCENARIOS if s.variant == "repaired" and s.expected == "violated"]
    # One is asked with the announcement in one node's memory, which is the part left out.
    assert [s.config["flag"] for s in faults] == ["shared_memory"]


def test_every_property_that_holds_is_violated_somewhere() -> None:
    asked = {(s.build, s.property) for s in SCENARIOS if s.expected == "holds" and not s.property.startswith("some_")}
    broken = {(s.build, s.property) for s in SCENARIOS if s.expected == "violated"}
    assert asked <= broken


# -- the interleavings of the facts ----------------------------------------------------------------------------------------


def test_stopped_engine_leaves_the_others_at_the_meeting() -> None:
    steps = path_of("stopped-engine-stalls-all-in-b")
    assert in_order(steps, "worker[0,0].raise_forward", "worker[0,0].read_last_batch", "worker[0,0].enter_meet")
    assert in_order(steps, "operator.stop(instance=1)", "worker[1,0].see_no_batch", "worker[1,0].enter_skip", "worker[1,0].leave_skip")
    assert not any(step.endswith(("leave_meet", "lower_forward")) for step in steps)


def test_idle_instance_never_lets_the_round_begin() -> None:
    steps = path_of("batch-waits-for-idle-instance-without-empty-batches")
    assert "gate[1].schedule" not in steps
    assert in_order(steps, "worker[0,0].enter_meet", "gate[0].find_forward_running")


def test_order_is_inverted_as_in_the_facts() -> None:
    steps = path_of("broadcast-at-top-crosses-in-b")
    both = ["worker[0,0].leave_status", "worker[1,0].leave_status"]
    assert all(step in steps for step in both)
    assert in_order(steps, "worker[0,0].see_batch", "worker[0,0].read_last_batch", "worker[0,0].enter_meet")
    assert steps[-1] == "worker[1,0].enter_status"
    assert steps.count("worker[1,0].enter_status") == 2


def test_decode_waits_at_two_places() -> None:
    steps = path_of("decode-hangs-with-meeting-in-every-role")
    assert in_order(steps, "worker[0,0].see_batch", "worker[0,0].enter_meet")
    assert in_order(steps, "worker[1,0].see_no_batch", "worker[1,0].start_forward")


def test_sleeping_branch_skips_the_zero() -> None:
    steps = path_of("sleep-leaves-signal-up-in-b")
    for rank in (0, 1):
        assert in_order(steps, "control[0].put_sleep", f"worker[0,{rank}].raise_forward", f"worker[0,{rank}].enter_sleep")
    assert not any(step.endswith("lower_forward") for step in steps)


def test_rank_dies_between_one_and_zero() -> None:
    steps = path_of("dead-rank-leaves-signal-up-in-b")
    assert in_order(steps, "worker[0,0].raise_forward", "fault.kill_rank(instance=0, rank=1)")


def test_control_for_one_instance_meets_no_other() -> None:
    steps = path_of("control-for-one-instance-waits-in-b")
    assert in_order(steps, "control[0].put_control", "worker[0,0].read_last_batch", "worker[0,0].leave_pending")
    assert not any("run_control" in step for step in steps)


@pytest.mark.parametrize("name", ["weights-update-kills-worker-in-b", "weights-update-kills-worker-in-b-with-7111"])
def test_update_is_followed_by_a_read_with_the_old_announcement(name: str) -> None:
    steps = path_of(name)
    assert in_order(steps, "worker[0,0].announce", "worker[0,0].clear_data", "worker[0,0].read_nothing", "worker[0,0].fail_assertion")
    assert steps.count("worker[0,0].find_batch") == 1


def test_first_reader_of_a_ghost_ends_elsewhere() -> None:
    steps = path_of("weights-update-slips-a-barrier-in-b-prime-before-7111")
    assert in_order(steps, "worker[0,1].clear_data", "worker[0,0].find_batch", "worker[0,0].read_nothing", "worker[0,0].reset_flag")
    assert in_order(steps, "worker[0,0].reset_flag", "worker[0,1].see_no_batch")
    assert {"worker[0,0].enter_read", "worker[0,1].enter_idle"} <= set(steps)


@pytest.mark.parametrize("variant", ["a", "b", "b-prime"])
def test_batch_is_put_between_two_clears(variant: str) -> None:
    steps = path_of(f"weights-batch-lost-between-clears-in-{variant}")
    first, second = [n for n, step in enumerate(steps) if step.endswith("clear_data")][-2:]
    assert first < steps.index("engine[0].put_batch") < second == len(steps) - 1


def test_slow_copy_replaces_the_result() -> None:
    steps = path_of("weights-status-copied-over-result-in-b-prime")
    assert in_order(steps, "worker[0,0].store_result", "worker[0,1].copy_status")


def test_lock_is_kept_by_the_dead_and_by_the_raising() -> None:
    killed, raised = path_of("lock-kept-by-dead-rank"), path_of("lock-kept-by-exception")
    assert in_order(killed, "reader[0].lock", "fault.kill_rank(rank=0)")
    assert in_order(raised, "engine.lock", "engine.lower_read_flags", "engine.raise_error", "engine.make_batch")
    assert in_order(path_of("lock-put-waits-for-ever-after-finally"), "engine.lower_read_flags", "engine.raise_and_unlock", "engine.find_unread")


def test_remote_rank_counts_where_nobody_looks() -> None:
    steps = path_of("placement-remote-rank-unseen-by-counter")
    assert in_order(steps, "worker[0,1].read_last_batch", "worker[0,0].lower_forward", "engine[0].find_forward_over")
    assert "worker[0,1].finish_forward" not in steps


def test_rank_attaches_before_the_segment_is_made_anew() -> None:
    steps = path_of("placement-orphan-signal-in-b-prime")
    assert in_order(steps, "worker[0,0].attach", "engine[0].create_signals", "worker[0,0].raise_forward", "engine[0].find_forward_over")


def test_restarted_rank_is_joined_with_its_siblings_last_batch() -> None:
    steps = path_of("rejoin-restarted-rank-is-joined-with-another-batch")
    assert in_order(steps, "engine.put_batch(batch=1)", "faults.kill_rank(rank=1)", "faults.restart_rank(rank=1)", "worker[1].read_batch")
    assert steps[-1] == "worker[1].enter_forward" and in_order(steps, "worker[0].enter_forward", "faults.kill_rank")
    unseen = path_of("rejoin-second-death-unseen-when-looking-for-the-dead")
    assert sum(step.startswith("faults.kill_rank") for step in unseen) == 2 and unseen.count("supervisor.raise_generation") == 1


def test_who_comes_back_alone_waits_for_those_who_wait_for_it() -> None:
    steps = path_of("fate-instance-alone-waits-for-ever")
    assert in_order(steps, "worker[1,0].start_forward", "world.kill_rank(instance=0, rank=0)", "supervisor[0].end_engine", "worker[0,0].offer_batch")
    assert not any(step.startswith("supervisor[1]") for step in steps)


def test_who_goes_at_once_meets_the_dead() -> None:
    steps = path_of("fate-all-at-once-mix-generations")
    assert in_order(steps, "worker[0,0].offer_nothing", "supervisor.begin_anew", "worker[1,0].return_to_place", "worker[1,0].offer_nothing")
    assert "supervisor.let_go" not in steps and "worker[0,0].return_to_place" not in steps


def test_one_that_is_lost_on_its_way_back_is_started_again_by_itself() -> None:
    """A walk by hand: nobody has met it yet, so the others need not end again."""
    system = build_round(fate="all", deaths=2)
    state, instances = system.initial_state(), list(system.instances())
    died = "world.kill_rank(instance=1, rank=0)"
    ends = [f"supervisor.end_engine(instance={j})" for j in range(2)]
    starts = [
        f"supervisor.start_{what}" for what in ("engine(instance=0)", "engine(instance=1)", "rank(instance=0, rank=0)", "rank(instance=1, rank=0)")
    ]
    back = ["worker[1,0].return_to_place", "supervisor.hear_ready(instance=1, rank=0)"]
    others = ["worker[0,0].return_to_place", "supervisor.hear_ready(instance=0, rank=0)"]
    first = [died, "supervisor.see_death", *ends, "supervisor.end_rank(instance=0, rank=0)", "supervisor.begin_anew", *starts, *back]
    for step in [*first, died, *others, starts[-1], *back, "supervisor.let_go", "worker[0,0].go_on", "worker[1,0].go_on"]:
        load = loader(system, state)
        enabled = {str(i): i for i in instances if may_fire(i, load)}
        assert "supervisor.let_go" not in enabled or step == "supervisor.let_go"
        state = successor(system, state, enabled[step])
    assert not any(str(i).startswith("supervisor") and may_fire(i, loader(system, state)) for i in instances)


def test_skipped_step_has_no_output() -> None:
    steps = path_of("silence-stopped-request-keeps-slot-before-7633")
    assert in_order(steps, "engine.stop_request", "engine.put_batch", "worker.read_batch", "worker.skip_step")
    assert "worker.step" not in steps


# -- claims checked otherwise ------------------------------------------------------------------------------------------------


def rounds(empty: bool, asks: bool, stopped: bool = False) -> tuple[bool, int]:
    """A small twin of the round with two instances of one rank, of which only the first has requests.

    Returns whether a batch with requests is ever forwarded, and how far the forwards begun may drift apart. An instance is
    (batch in the queue, signal, where its rank is, batch in hand, forwards begun). With `asks`, ranks meet in every iteration
    and before they read; otherwise when they have read.
    """
    begin = ((None, False, "top", None, 0),) * 2
    seen, waiting, served, drift = {begin}, [begin], False, 0

    def after(state: tuple) -> list[tuple]:
        states: list[tuple[int, tuple]] = []
        for d, (queue, up, at, held, begun) in enumerate(state):
            may_put = queue is None and not up and not (stopped and d == 1)
            if may_put and (d == 0 or empty):
                states.append((d, ("requests" if d == 0 else "empty", up, at, held, begun)))
            if at == "top" and asks:
                states.append((d, (queue, False, "meeting", None, begun)))
            elif at == "top" and queue is not None:
                states.append((d, (None, True, "meeting", queue, begun)))
            if at == "forward":
                states.append((d, (queue, up and asks, "top", None, begun)))
        moved = [tuple(new if i == d else old for i, old in enumerate(state)) for d, new in states]
        if all(s[2] == "meeting" for s in state):
            work = not asks or any(s[0] is not None for s in state)
            moved.append(tuple(_begin(s, asks) if work else (*s[:2], "top", *s[3:]) for s in state))
        return moved

    def _begin(s: tuple, asks: bool) -> tuple:
        queue, up, _, held, begun = s
        return (None, queue is not None, "forward", queue, begun + 1) if asks else (queue, up, "forward", held, begun + 1)

    while waiting:
        state = waiting.pop()
        begun = [s[4] for s in state]
        served |= any(s[2] == "forward" and s[3] == "requests" for s in state)
        drift = max(drift, max(begun) - min(begun))
        for new in after(tuple((*s[:4], s[4] - min(begun)) for s in state)):
            if new not in seen:
                seen.add(new)
                waiting.append(new)
    return served, drift


def test_a_small_twin_of_the_round_agrees() -> None:
    assert rounds(empty=False, asks=False) == (False, 0)
    assert rounds(empty=True, asks=False) == (True, 0)
    assert rounds(empty=True, asks=False, stopped=True) == (False, 0)
    assert rounds(empty=False, asks=True) == (True, 0)
    assert rounds(empty=False, asks=True, stopped=True) == (True, 0)


def test_nodes_are_never_counted_too_few() -> None:
    for ranks, chips in product(range(1, 33), range(1, 9)):
        needed = -(-ranks // chips)
        assert nodes_counted(ranks, chips, rounds_up=True) == needed
        assert nodes_counted(ranks, chips, rounds_up=False) == needed + (ranks % chips == 0)
    assert nodes_counted(8, 8, rounds_up=False) == 2


def walk(seed: int, steps: int, **config: Any) -> dict[str, int]:
    """A random walk through the round: how often each row fired."""
    system = build_round(**config)
    chooser, state = random.Random(seed), system.initial_state()
    fired: dict[str, int] = {}
    instances = list(system.instances())
    for _ in range(steps):
        load = loader(system, state)
        enabled = [i for i in instances if may_fire(i, load)]
        chosen = chooser.choice(enabled)
        fired[str(chosen.action.name)] = fired.get(str(chosen.action.name), 0) + 1
        state = successor(system, state, chosen)
    return fired


def test_round_goes_on_beside_an_idle_instance_in_a_random_walk() -> None:
    with_ours = walk(7, 400, variant="repaired", traffic="first")
    without = walk(7, 400, variant="B-without-empty-batches", traffic="first")
    assert with_ours["worker.finish_forward"] > 0
    assert "worker.finish_forward" not in without


# -- bounds ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (build_round, {"variant": "C"}),
        (build_round, {"role": "mixed"}),
        (build_round, {"forward": "fast"}),
        (build_round, {"collective": "nowhere"}),
        (build_round, {"traffic": "second"}),
        (build_round, {"fault": "flood"}),
        (build_round, {"fate": "nobody"}),
        (build_weights, {"variant": "C"}),
        (build_lock, {"variant": "C"}),
        (build_lock, {"fault": "flood"}),
        (build_silent, {"variant": "C"}),
        (build_silent, {"other": "many"}),
        (build_placement, {"variant": "C"}),
        (build_placement, {"layout": "three_nodes"}),
        (build_placement, {"flag": "paper"}),
        (build_placement, {"ranks": 3}),
        (build_rejoin, {"variant": "C"}),
        (build_rejoin, {"deaths": 4}),
    ],
)
def test_unknown_choices_are_refused_with_the_known_ones(build: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)


@pytest.mark.parametrize(
    ("build", "wrong", "remedy"),
    [
        (build_round, {"ranks": 0}, "at least one"),
        (build_round, {"instances": 0}, "at least one"),
        (build_round, {"fate": "all", "deaths": 0}, "at least one"),
        (build_round, {"fate": "all", "fault": "stop"}, "one thing at a time"),
        (build_round, {"fault": "sleep"}, "instances=1"),
        (build_round, {"fault": "control_one"}, "collective='middle'"),
        (build_weights, {"ranks": 0}, "at least one"),
        (build_lock, {"ranks": 0}, "at least one"),
    ],
)
def test_bounds_that_do_not_fit_are_refused(build: Any, wrong: dict[str, Any], remedy: str) -> None:
    with pytest.raises(DefinitionError, match=remedy):
        build(**wrong)
