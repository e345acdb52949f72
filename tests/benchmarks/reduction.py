"""What `check --reduce` saves on the catalogue, and what tells the copies of its models apart.

    python -m tests.benchmarks.reduction [--below STATES]

Per group of scenarios: how many of fewer states than that may be reduced, how many of these have interchangeable values, and by which
factor the states become fewer: by symmetry, by partial order, by both (median and largest). Then why index types are not symmetric,
with the number of systems. Counts only: they are the same on every machine.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from statistics import median

from checker.reduction import order_refused
from checker.space import Space
from checker.tables import Tables, tabulate
from protocol.catalogue import scenarios
from protocol.system import System

MEMORY_BYTES = 4 * 10**9
BATCH = 1 << 16


def states_of(tables: Tables) -> int:
    """How many states a search with these tables keeps."""
    space = Space(tables, 10**8, MEMORY_BYTES)
    while space.expanded < space.distinct:
        if space.crowded:
            assert space.grow()
        space.expand(BATCH, -1, False)
    return space.distinct


def cause_of(note: str) -> str:
    """The kind of reason in a note of what is not interchangeable."""
    if "initial value" in note:
        return "they begin unlike"
    if "the order in which" in note or re.search(r"[<>]=? ", note):
        return "a row takes them in their order"
    if "mixes" in note:
        return "a row counts with them"
    return "a row names one" if re.search(r"[=!]= \d|:= \d|\[\d", note) else "other"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reduction")
    parser.add_argument("--below", type=int, default=20_000, help="leave out scenarios of that many states and more")
    below = parser.parse_args().below
    factors: dict[str, list[tuple[bool, float, float, float]]] = defaultdict(list)
    causes: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, str]] = set()
    for scenario in (s for s in scenarios().values() if (s.distinct or below) < below):
        system = scenario.system()
        factors[scenario.group].append(measured(system, scenario.distinct or 0))
        model = scenario.build.__module__, str(sorted(scenario.config.items()))
        if model not in seen:
            seen.add(model)
            notes = (n for n in tabulate(system, turned=True).symmetry.notes if "not interchangeable" in n)
            causes.update((note.split(":")[0], cause_of(note)) for note in notes)
    print(f"{'group':<26}{'scenarios':>10}{'symmetric':>10}{'symmetry':>16}{'partial order':>16}{'both':>16}")
    everything = [f for found in factors.values() for f in found]
    for group, found in [*sorted(factors.items()), ("all", everything)]:
        shown = [("-" if not column else f"{median(column):.2f}, {max(column):.1f}") for column in columns(found)]
        print(f"{group:<26}{len(found):>10}{sum(f[0] for f in found):>10}" + "".join(f"{s:>16}" for s in shown))
    print("\nwhy not, by index type and systems")
    for (index, cause), number in sorted(causes.items(), key=lambda item: -item[1]):
        print(f"{number:>5}  {index:<12}{cause}")


def measured(system: System, whole: int) -> tuple[bool, float, float, float]:
    """Whether it has interchangeable values, and the factors by symmetry, partial order and both."""
    ordered = not order_refused(system.properties)
    turned = tabulate(system, turned=True)
    symmetric = bool(turned.symmetry.elements)
    by_order = whole / states_of(tabulate(system, alone=True)) if ordered else 1.0
    by_symmetry = whole / states_of(turned) if symmetric else 1.0
    both = whole / states_of(tabulate(system, alone=ordered, turned=True)) if symmetric else by_order
    return symmetric, by_symmetry, by_order, both


def columns(found: list[tuple[bool, float, float, float]]) -> list[list[float]]:
    """The factors by symmetry (of the symmetric ones only), by partial order, by both."""
    return [[f[1] for f in found if f[0]], [f[2] for f in found], [f[3] for f in found]]


if __name__ == "__main__":
    main()
