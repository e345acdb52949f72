"""The second Promela form: one process per copy, and one ltl formula per case of each `leads_to`. For verdicts, not for counts.

    spin -a system.pml && gcc -O2 -DNOREDUCE -DNFAIR=3 pan.c -o pan && ./pan -a -f -N <formula>

SPIN's weak fairness (`-f`) is per process, so its verdict is ours where every copy is one weakly fair unit: a machine with
`fairness="copy"`, or copies with at most one row enabled at a time. Other systems are refused. Without `-f` nothing is fair,
and yet SPIN's behaviours go on as long as something is enabled, where ours may stop.
"""

from __future__ import annotations

from ..errors import DefinitionError
from ..system import System
from .promela import ask_name, declarations, option, step, temporaries
from .promela_text import holds


def formula_names(system: System) -> dict[str, list[str]]:
    """The names of the formulas of each leads_to, one per case."""
    return {
        prop.name: [f"{ask_name(prop.name)}_{k}".lower() for k in range(len(prop.cases))] for prop in system.properties if prop.kind == "leads_to"
    }


def export_liveness(system: System) -> str:
    """The Promela text.

    Raises:
        DefinitionError: a machine whose copies are not each one fairness unit of weak fairness.
    """
    for machine in system.active:
        fairness = {machine.row_fairness(row) for row in machine.rows}
        if machine.fairness != "copy" and len(machine.rows) > 1 or len(fairness) > 1 or "strong" in fairness:
            raise DefinitionError("SPIN's fairness is weak and per process: give the machine fairness='copy'", machine=machine.name)
    options = [option(i) for i in system.instances()]
    lines = [f"/* {system.name} */", *declarations(system), *temporaries(options)]
    copies: dict[str, list[str]] = {}
    for one in options:
        copies.setdefault(one.instance.copy_name, []).append(step(str(one.guard), str(one.effects_ok), one))
    for k, (name, steps) in enumerate(copies.items()):
        lines += [f"active proctype copy{k}() {{ /* {name} */", "end:", "    do", *steps, "    od", "}"]
    names = formula_names(system)
    for prop in system.properties:
        for name, (_, p, q) in zip(names.get(prop.name, []), prop.cases):
            lines += [f"#define P_{name} ({holds(p, {})})", f"#define Q_{name} ({holds(q, {})})"]
            lines.append(f"ltl {name} {{ [] (P_{name} -> <> Q_{name}) }}")
    return "\n".join([*lines, ""])
