"""What a search does when the system gives it less memory than it asks for: less room, then no answer, never a wrong one."""

from typing import Any

import numpy as np
import pytest

from checker import Limits, Verdict, check, space
from tests.reference.two_phase_commit import build as two_phase_commit


class Scarce:
    """numpy for `checker.space`, of which no array has more than so many elements."""

    def __init__(self, most: int):
        self.most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, size: int, dtype: Any) -> np.ndarray:
        return np.empty(self.allowed(size), dtype)

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        return np.zeros(self.allowed(size), dtype)

    def allowed(self, size: int) -> int:
        if size > self.most:
            raise MemoryError
        return size


def test_a_search_takes_the_room_that_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "np", Scarce(200_000))
    assert check(two_phase_commit(5), limits=Limits(max_memory_gb=4)).distinct == 8_832


@pytest.mark.parametrize("most", [66_000, 140_000])
def test_a_search_that_gets_no_more_room_is_inconclusive(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """For another table, or for more states."""
    monkeypatch.setattr(space, "np", Scarce(most))
    result = check(two_phase_commit(7), limits=Limits(max_memory_gb=4))
    assert result.verdict is Verdict.INCONCLUSIVE and not result.complete
    assert "GB: " in result.reason and " of them not expanded" in result.reason


def test_a_search_without_room_for_one_block_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "np", Scarce(1_000))
    with pytest.raises(MemoryError):
        check(two_phase_commit(3))
