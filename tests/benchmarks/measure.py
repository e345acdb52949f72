"""Measured in a process of its own: `python -m tests.benchmarks.measure EXPLORER SYSTEM ARGUMENT...` prints one line of JSON."""

from __future__ import annotations

import json
import resource
import sys

from checker import check
from tests.reference import producer_consumer, two_phase_commit

SYSTEMS = {"two_phase_commit": two_phase_commit.build, "producer_consumer": producer_consumer.build}


def main() -> None:
    """Check once; states, seconds of exploring and peak memory in bytes."""
    explorer, name, *arguments = sys.argv[1:]
    result = check(SYSTEMS[name](*map(int, arguments)), explorer=explorer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"states": result.distinct, "generated": result.generated, "seconds": result.seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
