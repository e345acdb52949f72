"""Matrix products of these tests use one thread: they run beside other processes, whose threads would wait for each other."""

import os

from engine.model.threads import share_cores

share_cores(len(os.sched_getaffinity(0)))
