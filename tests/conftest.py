"""Of all tests: Python's garbage collector, which else walks the trees of a thousand systems again and again."""

import gc

import pytest

THRESHOLDS = 50_000, 20, 20
"""Objects that are made before the youngest are looked at, and how often before the older ones are. Systems have no cycles."""


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(*THRESHOLDS)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What is left is not walked at the end: a worker that takes longer than 5 s for that is interrupted by execnet, with SIGINT."""
    gc.freeze()
