"""How fast the checker is beside SPIN and beside plain Python, in one run on one machine.

    python -m tests.benchmarks [--full] [--runs K]

Prints, per system, states/s (median of K runs, exploring only: no compiling, no tabulating of other models) and bytes per state: peak
memory over that of the same command on a tiny system. SPIN runs its best formulation: `spin -o2`, `gcc -O2 -DSAFETY
-DNOREDUCE`, one process of `d_step` options. Ratios, not times, are worth comparing between machines; nothing is asserted.
The pure-Python explorer runs on smaller bounds, because it keeps every edge. `--full`: nine resource managers.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from protocol.render.promela import export
from tests.benchmarks.measure import SYSTEMS
from tests.checker.spin import AVAILABLE, MISSING, compile_pan, read_counts

Numbers = dict[str, float]


def ours(explorer: str, name: str, arguments: list[int]) -> Numbers:
    """One check in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.measure", explorer, name, *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def spin(name: str, arguments: list[int]) -> Numbers:
    """One run of SPIN's verifier."""
    with tempfile.TemporaryDirectory() as folder:
        pan = compile_pan(export(SYSTEMS[name](*arguments)), Path(folder), optimise="-O2")
        child = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:], capture_output=True, text=True); print(r.stdout); "
        child += "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
        said = subprocess.run([sys.executable, "-c", child, pan, "-E", "-m1000000", "-w26"], cwd=folder, capture_output=True, text=True).stdout
    counts = read_counts(said)
    seconds = re.search(r"elapsed time ([\d.]+)", said)
    peak = re.search(r"peak (\d+)", said)
    assert seconds is not None and peak is not None
    return {"states": counts.states, "generated": counts.transitions, "seconds": max(float(seconds[1]), 0.01), "peak_bytes": float(peak[1])}


def row(label: str, measured: list[Numbers], idle: Numbers) -> float:
    """Print one line; states per second."""
    states, generated = measured[0]["states"], measured[0]["generated"]
    rate = median(states / m["seconds"] for m in measured)
    size = median((m["peak_bytes"] - idle["peak_bytes"]) / states for m in measured)
    print(f"  {label:<28}{states:>14,.0f}{generated:>15,.0f}{rate:>14,.0f}{size:>13,.0f}")
    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--full", action="store_true", help="nine resource managers")
    parser.add_argument("--runs", type=int, default=3, help="runs per line, of which the median is printed")
    given = parser.parse_args()
    jobs = [
        ("two_phase_commit", [9 if given.full else 7], [5], [1]),
        ("producer_consumer", [4, 4, 3, 4], [2, 2, 5, 3], [1, 1, 1, 1]),
        ("producer_consumer", [2, 20, 3, 4], [2, 4, 3, 4], [1, 1, 1, 1]),  # two words a state
    ]
    for name, arguments, small, tiny in jobs:
        print(f"{name}{tuple(arguments)}\n  {'':<28}{'states':>14}{'generated':>15}{'states/s':>14}{'bytes/state':>13}")
        table = row("table kernel", [ours("table", name, arguments) for _ in range(given.runs)], ours("table", name, tiny))
        reference = row(f"plain Python, {tuple(small)}", [ours("reference", name, small)], ours("reference", name, tiny))
        print(f"  table kernel / plain Python: {table / reference:.0f}")
        if not AVAILABLE:
            print(f"  SPIN: {MISSING}")
            continue
        theirs = row("SPIN", [spin(name, arguments) for _ in range(given.runs)], spin(name, tiny))
        print(f"  table kernel / SPIN: {table / theirs:.1f}")


if __name__ == "__main__":
    main()
