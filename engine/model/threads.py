"""How many threads the matrix products of a process use.

The library behind numpy starts a thread a core and lets them wait for each other, busily, in every product. Where several processes
compute on the same cores each waits for threads that do not run: a decode step of SmolLM2 slows down many times over.
"""

from __future__ import annotations

import os

from threadpoolctl import threadpool_limits

WISHES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables by which a user says how many threads a process has; the first that says it counts."""


def share_cores(processes: int) -> int:
    """Limit this process's matrix products to its share of the cores that it may run on, where so many compute; returns the threads.

    What the user wishes counts instead, where he has said it.
    """
    wished = [int(text) for name in WISHES if (text := os.environ.get(name, "")).isdecimal() and int(text) > 0]
    threads = wished[0] if wished else max(1, len(os.sched_getaffinity(0)) // processes)
    threadpool_limits(limits=threads)
    return threads
