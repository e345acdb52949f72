"""Whether an event log is a behaviour of its system: some order of its rows, each enabled when it fires, with the values it logged.

Rows of one copy keep their order, and a row that ended before another began comes first; rows that overlap may go either way.
"""

from typing import Any

from protocol.evaluate import loader, may_fire, successor
from protocol.lower import Instance
from protocol.system import State, System
from protocol.types import Value, all_values
from protocol.variable import Variable

Event = dict[str, Any]


def explained(system: System, events: list[Event]) -> int:
    """How many rows the longest order has that the system allows: all of them when the log is a behaviour."""
    lines = [[e for e in events if e["copy"] == copy] for copy in sorted({e["copy"] for e in events})]
    instances: dict[tuple[str, str], list[Instance]] = {}
    for instance in system.instances():
        copy = instance.action.machine.copy_name(instance.copy)
        instances.setdefault((copy, instance.action.row.event), []).append(instance)
    seen: set[tuple[tuple[int, ...], State]] = set()
    farthest = 0
    stack: list[tuple[tuple[int, ...], State]] = [((0,) * len(lines), system.initial_state())]
    while stack:
        places, state = stack.pop()
        if (places, state) in seen:
            continue
        seen.add((places, state))
        farthest = max(farthest, sum(places))
        following = [(line[place]["t"], k) for k, (line, place) in enumerate(zip(lines, places)) if place < len(line)]
        if not following:
            break
        first_end = min(following)[0]
        # The stack is last in, first out: the earliest event goes on top.
        for _, k in sorted(following, reverse=True):
            event = lines[k][places[k]]
            if event["began"] <= first_end:
                after = _fired(system, state, event, instances[event["copy"], event["event"]])
                if after is not None:
                    stack.append(((*places[:k], places[k] + 1, *places[k + 1 :]), after))
    return farthest


def _fired(system: System, state: State, event: Event, instances: list[Instance]) -> State | None:
    """The state after the event, if it can happen and reads what it logged."""
    load = loader(system, state)
    for instance in instances:
        values = {p.name: p.type.show(v) for p, v in zip(instance.action.row.choose, instance.values)}
        if values == event["values"] and may_fire(instance, load) and _reads(system, event, state):
            return successor(system, state, instance)
    return None


def _reads(system: System, event: Event, state: State) -> bool:
    shown = {}
    for variable, cells in zip(system.variables, state):
        shown.update(_shown(variable, cells))
    return all(shown[name] == value for name, value in event["reads"].items())


def _shown(variable: Variable, cells: tuple[Value, ...]) -> dict[str, str]:
    names = [",".join(d.show(w) for d, w in zip(variable.over, where)) for where in all_values(variable.over)]
    return {f"{variable.name}[{n}]" if n else variable.name: variable.type.show(v) for n, v in zip(names, cells)}
