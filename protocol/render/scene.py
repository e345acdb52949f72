"""What a sequence diagram of a trace shows, before any language of pictures: lifelines, moments, and who learns from whom.

Its one rule: a communication is a step that changes a shared cell, and a later step of another copy that looks at the cell
before it changes again. That is what makes a race visible: a line that is missing, or that comes too late.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..trace import Change, Step, Trace


@dataclass
class Moment:
    """One step: `column` is its lifeline, `turn` the state it goes to, `heard` the steps it learns from and the cells."""

    number: int
    column: int
    step: Step
    turn: str
    changes: list[str]
    heard: dict[int, list[str]] = field(default_factory=dict)
    overwrites: dict[int, list[str]] = field(default_factory=dict)
    """Steps whose value this one replaces before any other copy has looked at it."""

    @property
    def title(self) -> str:
        """The event, with the values that it chose."""
        return self.step.name.removeprefix(f"{self.step.copy}.")

    @property
    def notes(self) -> list[str]:
        """What there is to say of it, a line each: its new state, the changed cells, what it learnt."""
        lines = [f"→ {self.turn}"] if self.turn else []
        lines += self.changes
        lines += [f"sees {', '.join(cells)} (step {number})" for number, cells in self.heard.items()]
        lines += [f"overwrites {', '.join(cells)} (step {number}), unseen" for number, cells in self.overwrites.items()]
        return lines


@dataclass
class Scene:
    """A trace ready to be drawn. `loop` is the number of the first step of the cycle, None without one."""

    trace: Trace
    copies: list[str]
    moments: list[Moment]
    loop: int | None

    @property
    def title(self) -> str:
        """The property, as asked of the scenario."""
        return f"{self.trace.property or 'path'}  ({self.trace.scenario or self.trace.system})"

    @property
    def outcome(self) -> str:
        """How the path ends, in one sentence."""
        steps = len(self.moments)
        if self.moments and self.moments[-1].step.failure:
            return f"Step {steps} leaves its type: {self.moments[-1].step.failure}"
        if self.trace.loop_start is not None:
            if self.loop is None:
                return f"After step {steps} the behaviour ends: nothing more that is fair can happen."
            return f"Steps {self.loop} to {steps} may repeat for ever."
        if self.trace.claim.startswith("sometimes"):
            return f"A witness: it holds after {_steps(steps)}."
        return f"Violated after {_steps(steps)}."

    @property
    def violated(self) -> bool:
        """Whether the end of the path is bad news."""
        return not self.trace.claim.startswith("sometimes")

    @property
    def ending(self) -> str:
        """The state in which each copy is left; empty for a cycle, which leaves nothing."""
        return "" if self.loop is not None else ", ".join(f"{copy} {state}" for copy, state in copy_states(self.trace, -1).items())

    def is_new_turn(self, k: int) -> bool:
        """Whether another copy than in the moment before takes over."""
        return k > 0 and self.moments[k].column != self.moments[k - 1].column


def _steps(number: int) -> str:
    return f"{number} step{'' if number == 1 else 's'}"


def copy_states(trace: Trace, number: int) -> dict[str, str]:
    """The control state of every copy after that many steps (-1: at the end), in the order of the system."""
    found: dict[str, str] = {}
    for name, value in trace.states[number].items():
        if not name.endswith(".state"):
            continue
        machine = name.removesuffix(".state")
        cells = {f"{machine}[{where}]": v for where, v in value.items()} if isinstance(value, dict) else {machine: value}
        found.update((copy, str(state)) for copy, state in cells.items())
    return found


def scene_of(trace: Trace) -> Scene:
    """The scene of a trace: only copies that take a step get a lifeline."""
    taking = {step.copy for step in trace.steps}
    known = list(copy_states(trace, 0))
    copies = [c for c in known if c in taking] + sorted(taking - set(known))
    column = {copy: k for k, copy in enumerate(copies)}
    writers: dict[str, int] = {}
    media: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    moments: list[Moment] = []
    for number, step in enumerate(trace.steps, 1):
        own = _own_state(step)
        turn = next((c.after for c in step.changes if c.cell == own), "")
        moment = Moment(number, column[step.copy], step, turn, [shown_change(c) for c in step.changes if _tells(c, own)])
        moments.append(moment)
        for cell, value in step.reads:
            writer = writers.get(cell)
            if writer is not None and trace.steps[writer - 1].copy != step.copy and (cell, step.copy) not in seen:
                _note(moment.heard, writer, cell, value, media[cell])
                seen.add((cell, step.copy))
        for change in step.changes:
            if not is_shared(change):
                continue
            writer = writers.get(change.cell)
            unseen = not any(cell == change.cell for cell, _ in seen)
            if writer is not None and unseen and change.medium in ("register", "unlocked") and trace.steps[writer - 1].copy != step.copy:
                _note(moment.overwrites, writer, change.cell, change.before, change.medium)
            writers[change.cell], media[change.cell] = number, change.medium
            seen = {(cell, copy) for cell, copy in seen if cell != change.cell}
    loop = trace.loop_start + 1 if trace.loop_start is not None and trace.loop_start < len(trace.steps) else None
    return Scene(trace, copies, moments, loop)


def is_shared(change: Change) -> bool:
    """Whether other copies can see the change."""
    return change.medium not in ("private", "ghost", "lock")


def _own_state(step: Step) -> str:
    return f"{step.machine}.state{step.copy.removeprefix(step.machine)}"


def _tells(change: Change, own: str) -> bool:
    """Whether the change is worth a line: not the copy's own state, a ghost, or the inside of a barrier."""
    return change.cell != own and change.medium != "ghost" and not (change.medium == "barrier" and "." in change.cell)


def shown_change(change: Change) -> str:
    """`cell: before -> after`; what went into or out of a channel; or that a store changed nothing."""
    before, after = change.before[1:-1], change.after[1:-1]
    if change.medium == "channel" and change.before.startswith("<"):
        if after.startswith(before):
            return f"{change.cell} ← {after.removeprefix(before).strip()}"
        if before.endswith(after):
            return f"{change.cell} → {before.removesuffix(after).strip()}"
    return f"{change.cell}: {change.before} again" if change.before == change.after else f"{change.cell}: {change.before} → {change.after}"


def _note(notes: dict[int, list[str]], number: int, cell: str, value: str, medium: str) -> None:
    """Note the cell with its value; a channel or barrier by its name alone, since the change says the rest."""
    name = re.sub(r"\.(waiting|broken|abandoned)\b.*", "", cell) if medium == "barrier" else cell
    text = name if medium in ("barrier", "channel") else f"{cell} = {value}"
    if text not in notes.setdefault(number, []):
        notes[number].append(text)
