"""How many threads the matrix products of a process use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection

import numpy  # noqa: F401 - its library is limited, which must be there
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from engine.model.threads import WISHES, share_cores
from engine.runtime.process import Child


def used() -> set[int]:
    """The threads of each library of this process."""
    return {library["num_threads"] for library in threadpool_info()}


@pytest.fixture(autouse=True)
def nothing_wished(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in WISHES:
        monkeypatch.delenv(name, raising=False)
    with threadpool_limits():  # what is found is put back
        yield


def test_a_process_uses_its_share_of_the_cores() -> None:
    assert share_cores(1) == len(os.sched_getaffinity(0))
    assert share_cores(10_000) == 1
    assert used() == {1}


@pytest.mark.parametrize("name", WISHES)
def test_what_the_user_wishes_counts_whether_it_is_more_or_less(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "2")
    assert share_cores(10_000) == 2
    assert used() == {2}
    monkeypatch.setenv(name, "1")
    assert share_cores(1) == 1
    assert used() == {1}


def test_the_name_of_the_library_counts_before_that_of_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert share_cores(1) == 1


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "2,1"])
def test_what_is_no_number_of_threads_is_as_if_nothing_were_said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", text)
    assert share_cores(10_000) == 1


def tell_threads(pipe: Connection) -> None:
    """In a child: its threads, before anybody has limited them and with the share of one among very many."""
    began = len(os.listdir("/proc/self/task"))
    share_cores(10_000)
    pipe.send((began, len(os.listdir("/proc/self/task")), used()))


@pytest.mark.live
def test_a_process_of_the_engine_starts_no_thread_that_it_does_not_use() -> None:
    """A library that had begun with a thread a core would start all of them again in each child, to leave them idle."""
    child = Child("one", tell_threads, lambda pipe: (pipe,))
    try:
        assert child.control.poll(20)
        assert child.control.recv() == (1, 1, {1})
    finally:
        child.end()
