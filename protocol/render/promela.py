"""A system as Promela, so that SPIN gives a second opinion on its counts and its verdicts.

One process, one `d_step` option per instance (copy and values put in as constants), so that SPIN's stored states are our
states and the transitions it prints (stored + matched, the initial state being stored) our `generated`, self-loops
included; a breadth-first search gives our depth. Effects go through `hidden` temporaries, which are no part of the state,
because each of them reads the state before the step. An instance that would leave a type is not enabled: no successor, as
with us.

    spin -o2 -a system.pml && gcc -O2 -DSAFETY -DNOREDUCE pan.c -o pan && ./pan -E
    spin -DBREADTH -o2 -a system.pml && gcc -O2 -DSAFETY -DNOREDUCE -DBFS pan.c -o pan && ./pan -E

`-DBREADTH` because SPIN's breadth-first search knows no hidden variables: then the temporaries are zeroed after each use.
`-o2` because SPIN otherwise hides globals that are only written. The loop has an `end` label, since an invalid end state
of SPIN is not our deadlock. Verdicts are options that assert false where a property is violated. They are absent unless
`spin -DASK_<property>` asks for one, so that they disturb no count; `ASK_range` asks for range errors, and for a `sometimes`
the "error" is its witness. `hang` cannot be said this way and `leads_to` has a form of its own: `promela_liveness.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..action import Instance
from ..effect import Store
from ..expr import Expr
from ..properties import Property
from ..system import System
from ..types import Optional, Scalar, Type
from ..variable import Variable
from .promela_text import Bindings, holds, leaves, scalar, view
from .promela_views import NONE, Constant, Stored, Text, both, bounds, either, inside, negated, variable_name

CANNOT_SAY = ("hang", "leads_to")


@dataclass
class Option:
    """One instance: its guard, whether its effects stay inside their types, and the statements of its effects."""

    instance: Instance
    guard: Text
    guard_ok: Text
    effects_ok: Text
    statements: list[str]
    temporaries: int


def export(system: System, liveness: bool = False) -> str:
    """The Promela text: the form for counts and safety verdicts or, with `liveness`, the one for `leads_to`."""
    if liveness:
        from .promela_liveness import export_liveness

        return export_liveness(system)
    options = [o for o in map(option, system.instances()) if o.guard != 0 or o.guard_ok != 1]
    lines = [f"/* {system.name} */", *declarations(system), *temporaries(options)]
    for k, one in enumerate(options):
        lines.append(f"#define G{k} ({one.guard}) /* {one.instance} */")
        if one.effects_ok != 1:
            lines.append(f"#define S{k} ({one.effects_ok})")
    lines += ["active proctype system() {", "end:", "    do"]
    for k, one in enumerate(options):
        lines.append(step(f"G{k}", f"S{k}" if one.effects_ok != 1 else "1", one))
    for name, wrong in [("range", _range_error(options)), *_questions(system, options)]:
        lines += [f"#ifdef {ask_name(name)}", f"    :: d_step {{ ({wrong}) -> assert(false) }}", "#endif"]
    return "\n".join([*lines, "    od", "}", ""])


def step(guard: str, effects_ok: str, one: Option) -> str:
    """The instance as an option of a loop."""
    condition = guard if effects_ok == "1" else f"({guard} && {effects_ok})"
    forget = f" R{one.temporaries}" if one.temporaries else ""
    return f"    :: d_step {{ ({condition}) -> {'; '.join(one.statements) or 'skip'}{forget} }}"


def ask_name(prop: str) -> str:
    """The preprocessor name that asks for a property."""
    return "ASK_" + re.sub(r"\W", "_", prop)


def declarations(system: System) -> list[str]:
    """One global (array) per scalar leaf of every variable, with its initial values."""
    return [line for variable in system.variables for line in _declaration(variable)]


def temporaries(options: list[Option]) -> list[str]:
    """As many temporaries as the most demanding option needs; R<n> forgets the first n where they count as state."""
    most = max((o.temporaries for o in options), default=0)
    if most == 0:
        return []
    sizes = range(1, most + 1)
    state = [f"int t{k};" for k in range(most)] + [f"#define R{n} {' '.join(f'; t{k} = 0' for k in range(n))}" for n in sizes]
    hidden = [f"hidden int t{k};" for k in range(most)] + [f"#define R{n}" for n in sizes]
    return ["#ifdef BREADTH", *state, "#else", *hidden, "#endif"]


def option(instance: Instance) -> Option:
    """Guard and effects of one instance as Promela."""
    bind = instance.environment()
    guard = instance.action.guard
    groups = [group for store in instance.action.stores if (group := _group(store, bind)) is not None]
    effects_ok: Text = 1
    for ok, _, _ in groups:
        effects_ok = both(effects_ok, ok)
    statements, used = _statements([(condition, places) for _, condition, places in groups])
    _, guard_ok = scalar(guard, bind)
    return Option(instance, holds(guard, bind), guard_ok, effects_ok, statements, used)


def violated(system: System, prop: Property, guards: list[tuple[Instance, Text]]) -> Text:
    """Where a property is violated (for a `sometimes`: where its witness is)."""
    if prop.kind == "deadlock":
        stuck: Text = 1
        for instance, guard in guards:
            if not instance.action.environment:
                stuck = both(stuck, negated(guard))
        return both(stuck, negated(_asked(system.all_final())))
    if prop.kind == "always":
        text, ok = scalar(prop.expr, {})
        return both(ok, negated(text))
    return _asked(prop.expr)


def _asked(expr: Expr) -> Text:
    return holds(expr, {})


def _questions(system: System, options: list[Option]) -> Iterator[tuple[str, Text]]:
    guards: list[tuple[Instance, Text]] = [(o.instance, f"G{k}") for k, o in enumerate(options)]
    for prop in system.properties:
        if prop.kind not in CANNOT_SAY:
            yield prop.name, violated(system, prop, guards)


def _range_error(options: list[Option]) -> Text:
    wrong: Text = 0
    for k, one in enumerate(options):
        wrong = either(wrong, negated(one.guard_ok))
        if one.effects_ok != 1:
            wrong = either(wrong, both(f"G{k}", f"(!S{k})"))
    return wrong


# -- declarations ----------------------------------------------------------------------------------------------------


def _declaration(variable: Variable) -> Iterator[str]:
    cells = [Constant(variable.type, value) for value in variable.initial]
    name = variable_name(variable.name)
    places: dict[str, tuple[Type, list[Text]]] = {}
    for k, cell in enumerate(cells):
        stored = Stored(variable.type, name, k, len(cells))
        for place, value in leaves(stored, cell):
            places.setdefault(place.name, (place.type, []))[1].append(value)
    for leaf, (kind, values) in places.items():
        size = f"[{len(values)}]" if len(values) > 1 else ""
        alike = len(set(values)) == 1
        initial = str(values[0]) if alike else "{" + ", ".join(map(str, values)) + "}"
        yield f"{_storage(kind)} {leaf}{size} = {initial};"


def _storage(kind: Type) -> str:
    """The smallest type of Promela that holds every value."""
    low, high = bounds(kind)
    if isinstance(kind, Optional):
        low = min(low, NONE)
    if low >= 0 and high <= 1:
        return "bit"
    if low >= 0 and high <= 255:
        return "byte"
    return "short" if low >= -32768 and high <= 32767 else "int"


# -- effects ---------------------------------------------------------------------------------------------------------


def _group(store: Store, bind: Bindings) -> tuple[Text, Text, list[tuple[Stored, Text]]] | None:
    """Whether the store is possible, whether it happens, and its scalar stores; None when it never happens."""
    condition, c_ok = scalar(store.condition, bind)
    if condition == 0 and c_ok == 1:
        return None
    target, t_ok = view(store.target, bind)
    value, v_ok = view(store.value, bind)
    fits = inside(value.scalar(), store.value.type, store.target.type) if isinstance(store.target.type, Scalar) else 1
    possible = both(both(t_ok, v_ok), fits)
    places: list[tuple[Stored, Text]] = []
    if isinstance(target, Stored):  # else the index is a constant outside its type, and the store is never possible
        places = [(place, text) for place, text in leaves(target, value) if place.scalar() != text]
    return both(c_ok, 1 if possible == 1 else either(negated(condition), possible)), condition, places


def _statements(groups: list[tuple[Text, list[tuple[Stored, Text]]]]) -> tuple[list[str], int]:
    """Statements that read everything before they write anything, and how many temporaries they take."""
    groups = [(condition, places) for condition, places in groups if places]
    written = {place.name for _, places in groups for place, _ in places}
    alone = len(groups) == 1 and len(groups[0][1]) == 1
    if alone and not groups[0][1][0][0].indexes_itself():
        written = set()
    used = 0
    before: list[str] = []
    after: list[str] = []

    def keep(text: Text, into: list[str]) -> Text:
        """The text itself where it reads nothing that is written, else a temporary that keeps its value."""
        nonlocal used
        if isinstance(text, int) or not written & set(re.findall(r"\w+", text)):
            return text
        used += 1
        into.append(f"t{used - 1} = {text}")
        return f"t{used - 1}"

    for condition, places in groups:
        reads: list[str] = []
        kept = keep(condition, before)
        writes = []
        for place, text in places:
            at = Stored(place.type, place.name, keep(place.index, reads), place.count)
            writes.append(f"{at.scalar()} = {keep(text, reads)}")
        if kept == 1:
            before, after = before + reads, after + writes
            continue
        if reads:
            before.append(f"if :: {kept} -> {'; '.join(reads)} :: else -> skip fi")
        after.append(f"if :: {kept} -> {'; '.join(writes)} :: else -> skip fi")
    return before + after, used
