"""The life of a request: what each hazard's shortest path shows, what each rule is for, the bounds, and the slow twin of the walk."""

from __future__ import annotations

from dataclasses import fields

import pytest

from checker import Verdict, check
from protocol import DefinitionError
from protocol.catalogue.lifecycle import HAZARDS, SCENARIOS
from protocol.machines.lifecycle.lifecycle import build
from protocol.machines.lifecycle.prefill_scheduling import build as build_prefill
from protocol.machines.lifecycle.prefill_variants import VARIANTS as PREFILL_VARIANTS
from protocol.machines.lifecycle.query_queue import build as build_queue
from protocol.machines.lifecycle.running_list import build as build_list
from protocol.machines.lifecycle.variants import VARIANTS, Variant

from .paths import in_order, paths_of

path_of = paths_of("lifecycle")


@pytest.mark.parametrize(
    ("name", "story"),
    [
        (
            "foreign-token-in-newest",
            ("schedule.preempt_itself(request=0", "intake.reserve(request=1", "rank.report_step", "token_processor.credit(slot=0, request=1"),
        ),
        (
            "foreign-token-of-turn-in-unkept-one-attempt",
            ("intake.reserve", "schedule.preempt_itself", "intake.reserve", "rank.report_step", "token_processor.credit"),
        ),
        ("lost-block-written-on-decode-in-newest", ("schedule.preempt_itself", "rank.begin_step")),
        ("lost-block-written-in-forcing", ("rank.begin_step", "control.force")),
        (
            "lost-block-written-by-stale-stop-in-unnumbered",
            ("schedule.preempt_itself(request=0", "finisher.free", "intake.reserve(request=1", "rank.begin_step", "schedule.stop_aborted(request=1"),
        ),
        ("prefill-lost-block-written-in-schedule", ("rank.read_batch", "stopping.preempt")),
        ("second-answer-on-decode-in-newest", ("token_processor.look", "schedule.preempt_itself", "token_processor.credit_last")),
        (
            "forced-slot-reuse-in-newest",
            (
                "control.abort(request=0",
                "schedule.stop_aborted",
                "control.force",
                "schedule.admit(request=1",
                "token_processor.credit(slot=0, request=1",
            ),
        ),
        ("pause-never-drains-in-newest", ("schedule.answer_error", "control.begin_drain")),
        (
            "zombie-in-newest",
            ("schedule.preempt_itself", "token_processor.credit_last", "token_processor.reschedule", "schedule.admit_again"),
        ),
        (
            "zombie-stopped-after-its-end-in-newest",
            ("token_processor.credit_last", "schedule.preempt_itself", "token_processor.reschedule", "finisher.skip", "schedule.admit_again"),
        ),
        ("retry-refused-in-newest", ("schedule.answer_error", "intake.refuse_retry")),
        ("abort-of-prefilling-in-newest", ("schedule.admit", "control.abort", "schedule.schedule_chunk")),
        ("abort-on-decode-in-newest", ("intake.add", "control.abort")),
        (
            "dropped-step-in-looking-up",
            ("token_processor.credit_last", "token_processor.find_preempted", "finisher.free_slot", "token_processor.drop_step"),
        ),
        ("over-admission-in-before-7141", ("control.abort(request=0", "schedule.stop_aborted", "schedule.find_no_slot(request=1")),
        (
            "prefill-old-blocks-shipped-in-schedule",
            ("prepare[0].register(block=2", "schedule.preempt_itself(request=1", "schedule.admit(request=1, block=0", "rank.signal_last"),
        ),
        ("prefill-freed-blocks-shipped-in-optimised", ("rank.signal_last", "stopping.preempt")),
        ("prefill-query-blocks-in-v2", ("prepare[0].query", "prepare[1].query")),
        ("prefill-query-behind-gate-of-dead-worker-in-v2-schedule", ("prepare[0].query", "rank.raise_forward", "rank.die")),
        (
            "prefill-sent-and-freed-in-optimised",
            ("token_processor.send_first_token", "stopping.preempt", "token_processor.receive_stop", "finisher.skip"),
        ),
        (
            "list-second-visit-in-published",
            ("schedule.lack_block(request=0", "schedule.take_extended", "schedule.reinsert", "schedule.preempt", "schedule.visit(request=0"),
        ),
        (
            "queue-slot-shared-in-v2",
            ("life[0].release_slot", "life[0].send_finish", "schedule.preallocate", "life[1].answered", "schedule.finish", "schedule.preallocate"),
        ),
    ],
)
def test_the_shortest_path_tells_the_story(name: str, story: tuple[str, ...]) -> None:
    assert in_order(path_of(name), *story), path_of(name)


def test_each_hazard_is_violated_somewhere_and_holds_somewhere() -> None:
    for hazard in HAZARDS:
        verdicts = {s.expected for s in SCENARIOS if hazard.number in s.sources}
        assert verdicts == {"violated", "holds"}, hazard.number


def test_every_property_that_is_asked_is_broken_by_some_variant() -> None:
    for builder in (build, build_prefill, build_list, build_queue):
        asked = {(s.property, s.expected) for s in SCENARIOS if s.build is builder and not s.property.startswith("some_")}
        assert {p for p, _ in asked} == {p for p, verdict in asked if verdict == "violated"}


def test_nothing_is_violated_in_ours() -> None:
    assert all(s.expected == "holds" for s in SCENARIOS if s.variant.startswith("repaired"))


def test_a_rule_that_was_left_out_breaks_something() -> None:
    ours = VARIANTS["repaired"]
    dropped = {f.name for f in fields(Variant) if f.name != "name" for v in VARIANTS.values() if getattr(v, f.name) != getattr(ours, f.name)}
    assert dropped == {f.name for f in fields(Variant)} - {"name"}
    broken = {s.variant for s in SCENARIOS if s.expected == "violated"}
    assert set(VARIANTS) - {"repaired"} <= broken


@pytest.mark.parametrize(
    ("builder", "config", "word"),
    [
        (build, {"variant": "newst"}, "newest"),
        (build, {"role": "prefill"}, "mixed, decode"),
        (build, {"requests": 4}, "requests=4"),
        (build, {"attempts": 3}, "attempts=3"),
        (build, {"role": "decode", "chunks": 2}, "chunks=2"),
        (build_prefill, {"variant": "V3"}, "V2_schedule"),
        (build_prefill, {"stops": 3}, "stops=3"),
        (build_prefill, {"deaths": 1}, "without gated"),
        (build_prefill, {"variant": "optimised", "speculates": True}, "only schedule"),
        (build_list, {"extended": 4}, "extended=4"),
        (build_queue, {"slots": 4}, "slots=4"),
    ],
)
def test_bounds_are_refused_with_the_choices(builder, config: dict, word: str) -> None:
    with pytest.raises(DefinitionError, match=word):
        builder(**config)


def test_ours_has_no_row_into_a_waiting_state() -> None:
    for name, variant in PREFILL_VARIANTS.items():
        request = next(m for m in build_prefill(variant=name).machines if m.name == "request")
        assert any(row.destination is not None and row.destination.name == "WAITING" for row in request.rows) == variant.waits


def walk(extended: set[int], lacking: list[bool], copy: bool) -> list[int]:
    """`schedule()` over three requests in plain code: whom it visits, when these visits lack a block."""
    running, visited, index = [0, 1, 2], [], 0
    along = list(running) if copy else running
    while index < len(along):
        request = along[index]
        index += 1
        if request not in running:
            continue
        visited.append(request)
        if len(visited) > len(lacking) or not lacking[len(visited) - 1]:
            continue
        while set(running) - extended:
            victim = max((r for r in running if r not in extended), key=running.index) if copy else running[-1]
            running.remove(victim)
            if victim not in extended:
                if victim == request:
                    return visited
                break
            running.insert(0, victim)
        else:
            return visited
    return visited


def test_a_plain_walk_visits_twice_exactly_where_the_model_says() -> None:
    for extended in range(4):
        patterns = [[bool(bits >> k & 1) for k in range(4)] for bits in range(16) if bin(bits).count("1") <= 2]
        for variant in ("published", "repaired"):
            walks = [walk(set(range(3 - extended, 3)), p, variant == "repaired") for p in patterns]
            twice = any(len(set(w)) < len(w) for w in walks)
            found = check(build_list(variant=variant, extended=extended).focused("no_second_visit")).findings["no_second_visit"]
            assert (found.verdict is Verdict.VIOLATED) == twice, (variant, extended)
