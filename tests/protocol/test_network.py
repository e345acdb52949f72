"""The lease and the socket: what each missing rule costs, step by step; and the bounds."""

from __future__ import annotations

from dataclasses import fields

import pytest

from protocol import DefinitionError
from protocol.catalogue.network import SCENARIOS
from protocol.machines.network.lease import build
from protocol.machines.network.socket import build as build_socket
from protocol.machines.network.terms import VARIANTS, Rules

from .paths import in_order, paths_of

path_of = paths_of("network")


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
    assert in_order(steps, "exchange[0].next_attempt", "reservation[0].reserve")


def test_socket_mixes_two_heads() -> None:
    assert in_order(path_of("socket-frames-mixed-in-shared"), "sender[0].send_head", "sender[1].send_head")


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
