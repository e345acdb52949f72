"""Runs SPIN on a Promela text and reads off what it counted."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

AVAILABLE = shutil.which("spin") is not None and shutil.which("gcc") is not None
MISSING = "needs the Debian packages spin and gcc"
QUICK = "tcc" if shutil.which("tcc") is not None else "gcc"
"""Compiles a verifier that runs for a moment only: with tcc in a tenth of the time, which for small models is all of it."""


@dataclass(frozen=True)
class SpinResult:
    """`transitions` are stored and matched ones; `depth` is that of a breadth-first search only when it was one."""

    states: int
    transitions: int
    depth: int
    errors: int


def compile_pan(text: str, where: Path, ask: str = "", flags: tuple[str, ...] = ("-DSAFETY", "-DNOREDUCE"), optimise: str = "-O0") -> Path:
    """The verifier that SPIN generates for the text, compiled in that directory; RuntimeError with what SPIN or gcc said."""
    (where / "system.pml").write_text(text)
    asked = [f"-D{name}" for name in (ask, "BREADTH" if "-DBFS" in flags else "") if name]
    compiler = QUICK if optimise == "-O0" else "gcc"
    for command in (["spin", *asked, "-o2", "-a", "system.pml"], [compiler, optimise, "-w", *flags, "pan.c", "-o", "pan"]):
        done = subprocess.run(command, cwd=where, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return where / "pan"


def run_spin(
    text: str,
    bfs: bool = False,
    ask: str = "",
    flags: tuple[str, ...] = ("-DSAFETY", "-DNOREDUCE"),
    options: tuple[str, ...] = ("-E",),
) -> SpinResult:
    """Explore the text with SPIN; `ask` names the property whose violation is an error."""
    with tempfile.TemporaryDirectory() as folder:
        pan = compile_pan(text, Path(folder), ask, (*flags, "-DBFS") if bfs else flags)
        said = subprocess.run([pan, *options, "-m1000000", "-w22"], cwd=folder, capture_output=True, text=True).stdout
    return read_counts(said)


def read_counts(said: str) -> SpinResult:
    """The counts in what the verifier printed; RuntimeError when the search was cut short or is not exact."""

    def number(pattern: str) -> int:
        found = re.search(pattern, said)
        if found is None:
            raise RuntimeError(f"no {pattern!r} in: {said}")
        return int(float(found[1]))  # pan prints large counts as 1.2e+08

    if "max search depth too small" in said or "indexing" in said:
        raise RuntimeError(said)
    return SpinResult(
        number(r"([\d.e+]+) states, stored"), number(r"([\d.e+]+) transitions \(="), number(r"depth reached (\d+)"), number(r"errors: (\d+)")
    )
