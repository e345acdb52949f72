"""The lease and the socket: what each missing rule costs, step by step; the bounds; and the rows that fire."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import pytest

from checker import Verdict, check
from protocol import DefinitionError, System, sometimes
from protocol.catalogue.network import SCENARIOS
from protocol.combine import disjunction
from protocol.machines.network.lease import build
from protocol.machines.network.socket import build as build_socket
from protocol.machines.network.terms import VARIANTS, Rules


@cache
def path_of(name: str) -> list[str]:
    """The steps of the shortest path, as `exchange[0].ask`."""
    asked = next(s for s in SCENARIOS if s.name == f"network-{name}")
    path = check(asked.system()).findings[asked.property].path
    assert path is not None
    return [str(step).split("(")[0] for step in path]


def in_order(steps: list[str], *expected: str) -> bool:
    """Whether the expected steps occur in this order, others between them."""
    rest = iter(steps)
    return all(step in rest for step in expected)


def events_fired(system: System) -> tuple[set[str], set[str]]:
    """The rows that fire in some reachable state, and all of them, by `machine.event`."""
    guards: dict[str, list] = {}
    for action in system.actions:
        guards.setdefault(action.name, []).extend(i.ground(action.guard) for i in action.instances())
    asked = [sometimes(name.replace(".", "_"), disjunction(parts)) for name, parts in guards.items()]
    findings = check(System(system.name, system.machines, asked)).findings
    return {n for n in guards if findings[n.replace(".", "_")].verdict is Verdict.HOLDS}, set(guards)


def test_each_rule_is_left_out_by_a_variant_that_something_breaks() -> None:
    dropped = {f.name for f in fields(Rules) for rules in VARIANTS.values() if not getattr(rules, f.name)}
    assert dropped == {f.name for f in fields(Rules)}
    broken = {s.variant for s in SCENARIOS if s.group == "network" and s.expected == "violated"}
    assert broken == set(VARIANTS) - {"repaired"}
    assert all(s.expected == "holds" for s in SCENARIOS if s.variant == "repaired")


def test_every_property_of_the_lease_is_broken_by_some_variant() -> None:
    asked = {s.property for s in SCENARIOS if s.variant == "repaired" and not s.property.startswith("some_")}
    assert asked <= {s.property for s in SCENARIOS if s.group == "network" and s.expected == "violated"}


@pytest.mark.parametrize(
    ("name", "story"),
    [
        ("place-lost-without-idempotence", ("exchange[0].ask_again", "reservation[0].reserve", "reservation[0].reserve_again")),
        ("foreign-write-without-numbers", ("exchange[0].withdraw_ask", "reservation[0].reopen", "exchange[0].take_grant", "writer[0,0].write_layer")),
        ("place-kept-without-supersession", ("exchange[0].say_drained", "reservation[0].confirm_drained", "reservation[0].reserve")),
        ("foreign-write-without-draining", ("writer[0,0].take_order", "exchange[0].stop_late", "reservation[0].reopen", "writer[0,0].write_layer")),
        ("foreign-write-without-waiting-for-drained", ("writer[0,0].take_order", "reservation[0].expire_held", "writer[0,0].write_layer")),
        ("foreign-write-without-fence", ("faults.crash_prefill", "keeper.fence", "reservation[0].release_fenced", "writer[0,0].write_layer")),
        (
            "foreign-write-without-withholding",
            ("reservation[0].reserve", "keeper.suspect", "keeper.fence", "reservation[0].grant", "writer[0,0].write_layer"),
        ),
        ("foreign-write-without-new-key-at-start", ("faults.crash_decode", "keeper.open_memory", "writer[0,0].write_layer")),
        ("token-lost-without-confirmation", ("exchange[0].commit", "exchange[0].say_commit", "network.lose_to_decode")),
        ("two-answers-without-answering-once", ("reservation[0].expire_held", "reservation[0].take_back_drained")),
        ("some-write-refused-in-repaired", ("faults.crash_prefill", "keeper.fence", "writer[0,0].fail_write")),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_path_tells_the_story_of_the_rule(name: str, story: tuple[str, ...]) -> None:
    assert in_order(path_of(name), *story)


def test_late_ask_is_reserved_after_its_own_attempt_was_closed() -> None:
    steps = path_of("place-kept-without-supersession")
    assert steps.index("exchange[0].next_attempt") < steps.index("reservation[0].reserve")


def test_socket_mixes_two_heads() -> None:
    assert in_order(path_of("socket-frames-mixed-in-shared"), "sender[0].send_head", "sender[1].send_head")


def test_every_row_of_the_lease_fires() -> None:
    small = {"attempts": 1, "layers": 1, "in_flight": 1}
    bounds = [
        {},
        {"requests": 2, **small},
        *({fault: 1, "attempts": 1} for fault in ("prefill_crashes", "decode_crashes", "rank_crashes", "write_errors")),
        {"prefill_crashes": 1, "suspicions": 1, **small},
        *({fault: 1, **small} for fault in ("losses", "doublings")),
        {"variant": "reserves-again", "decode_places": 2, **small},
        {"variant": "reserves-again", **small, "in_flight": 2},
    ]
    fired: set[str] = set()
    known: set[str] = set()
    for given in bounds:
        some, every = events_fired(build(**given))  # type: ignore[arg-type]
        fired, known = fired | some, known | every
    assert known - fired == set()


@pytest.mark.parametrize(
    "wrong",
    [{"variant": "ours"}, {"requests": 0}, {"ranks": 5}, {"layers": 0}, {"decode_places": 0}, {"attempts": 0}, {"in_flight": 0}, {"losses": 3}],
    ids=str,
)
def test_bounds_of_the_lease_are_judged_with_their_choices(wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)


@pytest.mark.parametrize("wrong", [{"senders": 0}, {"senders": 5}, {"closes": 5}, {"closes": -1}], ids=str)
def test_bounds_of_the_socket_are_judged_with_their_choices(wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build_socket(**wrong)
