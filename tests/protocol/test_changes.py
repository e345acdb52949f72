"""What pull requests opened and closed is read off verdicts, so what is known of some of them must come out."""

import pytest

from checker import check
from checker.result import Verdict
from protocol.catalogue import hazards, scenarios
from protocol.render.changes import CHANGES, Change, changes_of, claims, closed, found_with, left, opened
from protocol.render.pulls import PULLS


def test_every_change_is_between_versions_of_the_catalogue() -> None:
    known = {(s.group, s.variant) for s in scenarios().values()}
    for change in CHANGES:
        assert (change.group, change.after) in known and (not change.before or (change.group, change.before) in known), change
        assert set(change.pulls) <= set(PULLS)


@pytest.mark.parametrize(
    ("pull", "group", "opens", "closes", "leaves"),
    [
        ("#7724", "layer0-signal", {"H-01", "H20", "H-03"}, set(), {"H-06", "H21"}),
        ("#7872", "layer0-signal", set(), {"H-01"}, {"H-03", "H-06", "H20", "H21"}),
        ("#7364", "prefix-cache", {"H-08"}, set(), set()),
        ("#7771", "network-socket", set(), {"H-21"}, set()),
        ("#7973", "decode", set(), {"H-27"}, {"H-13"}),
    ],
)
def test_known_changes_come_out(pull: str, group: str, opens: set[str], closes: set[str], leaves: set[str]) -> None:
    (change,) = (c for c in changes_of(pull) if c.group == group)
    assert (set(opened(change)), set(closed(change)), set(left(change))) == (opens, closes, leaves)


def test_a_star_tells_that_some_of_it_was_there_before() -> None:
    (change,) = (c for c in changes_of("#6680") if (c.group, c.before) == ("collectives", "A"))
    assert "H5*" in opened(change) and "H8" in opened(change)


def test_each_hazard_stands_in_one_column_unless_it_is_opened_and_closed_in_parts() -> None:
    for change in CHANGES:
        columns = [{number.rstrip("*") for number in told(change)} for told in (opened, closed, left, found_with)]
        assert not (columns[0] | columns[1]) & (columns[2] | columns[3]) and not columns[2] & columns[3]
        for number in columns[0] & columns[1]:
            assert f"{number}*" in opened(change) and f"{number}*" in closed(change)
        assert columns[3] <= set(hazards())


def test_no_claim_is_told_twice() -> None:
    for change in CHANGES:
        keys = [(claim.number, claim.asked) for claim in claims(change)]
        assert len(keys) == len(set(keys))


VERSION = ("variant", "epoch", "locked", "assigned_early")
"""The builders' arguments that say which version is built; all others are bounds."""


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c.pulls[0]} {c.group} {c.before} {c.after}")
def test_what_turned_turned_by_the_version_and_not_by_the_bounds(change: Change) -> None:
    for claim in (c for c in claims(change) if c.is_opened or c.is_closed):
        bad, good = (claim.after, claim.before) if claim.is_opened else (claim.before, claim.after)
        assert bad is not None and good is not None and bad.build is good.build
        bounds = {key: value for key, value in bad.config.items() if key not in VERSION}
        system = bad.build(**bounds, **{key: value for key, value in good.config.items() if key in VERSION})
        assert check(system.focused(claim.asked)).findings[claim.asked].verdict is Verdict.HOLDS, (bad.name, good.name)
