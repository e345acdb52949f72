"""What pull requests opened and closed is read off verdicts, so what is known of some of them must come out."""

import pytest

from protocol.catalogue import hazards, scenarios
from protocol.render.changes import CHANGES, changes_of, claims, closed, found_with, left, opened
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
