"""The whole catalogue, answered by one process on each processor that this one may use."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from typing import TYPE_CHECKING

from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checker.report import Record

    Answer = tuple[str, list[Record], list[str]]
    """A scenario's name, its records, and how these differ from the catalogue's."""


def answers(names: list[str]) -> Iterator[Answer]:
    """The answer of each of these scenarios, as they are found; none of those that a process still had when it was killed."""
    from checker import search, space  # the kernel is compiled, if it has to be, once and not in each process
    from checker.batch import batches
    from protocol.catalogue import find_scenario

    processes = len(os.sched_getaffinity(0))
    gigabytes = search.MEMORY_SHARE * space.available_bytes() / 1e9 / processes
    told = 0
    with ProcessPoolExecutor(processes, initializer=_stay) as pool, Progress("check --all") as progress:
        try:
            asked = [[s.name for s in batch] for batch in batches(map(find_scenario, names))]
            for future in as_completed([pool.submit(_answer, batch, gigabytes) for batch in asked]):
                yield from future.result()
                told += len(future.result())
                progress.show(f"{told:,} of {len(names):,} scenarios")
        except BrokenProcessPool:
            print("interlock: a process that checked was killed, perhaps for want of memory; check fewer scenarios at a time", file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)


def _stay() -> None:
    """In a process that checks: the keyboard's interrupt is for its parent, which lets what is under way end; when the parent dies, so does it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _answer(names: list[str], gigabytes: float) -> list[Answer]:
    from checker.batch import answered
    from checker.report import differences, records_of
    from checker.result import Limits
    from protocol.catalogue import find_scenario

    found = []
    for target, result in answered([find_scenario(n) for n in names], Limits(max_memory_gb=gigabytes)):
        records = records_of(target, result)
        found.append((target.name, records, differences(target, records)))
    return found
