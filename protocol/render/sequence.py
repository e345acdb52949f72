"""A trace as a table, and as a sequence diagram in text and in Mermaid; `sequence_svg.py` draws it.

Its one rule: text fits the columns of its page, unless it has more copies than columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from ..trace import Trace
from .mermaid import escaped
from .scene import Moment, Scene, scene_of, shown_change
from .sequence_svg import sequence_svg
from .table import plain

__all__ = ["sequence_mermaid", "sequence_svg", "sequence_text", "trace_rows", "trace_table"]

WIDTH = 120
"""Columns of a page, if nothing is said."""
NOTES_MIN = 38
"""Columns of text that the notes beside the lifelines get at least; half of a page that is narrower than two of them."""
CHANGES_MIN, CHANGES_MAX = 36, 70
"""Columns of the changes in a table; where there is no room for the least, they stand below their step."""
FIXED = "\u00a0"
"""A space at which no line is broken."""


def trace_rows(trace: Trace, changes_width: int = CHANGES_MAX) -> list[tuple[str, str, str, str, str]]:
    """(step, copy, event, values, changes) per step, every changed cell with its values; changes a line each."""
    rows = []
    for number, step in enumerate(trace.steps, 1):
        changes = [shown_change(c) for c in step.changes]
        changes += [f"has no successor: {step.failure}"] if step.failure else []
        lines = [line for change in changes for line in wrap(change, changes_width, subsequent_indent="  ")]
        rows.append((str(number), step.copy, step.event, ", ".join(f"{n}={v}" for n, v in step.values), "\n".join(lines)))
    return rows


def trace_table(trace: Trace, width: int = WIDTH) -> str:
    """The trace as a table of plain text, with the property on top, in so many columns."""
    scene = scene_of(trace)
    return "\n".join([*_heading(scene, width), "", _steps(trace, width) + _ending(scene, width)])


def _steps(trace: Trace, width: int) -> str:
    """The steps with what they change, beside them or, where that is too narrow, below."""
    columns = ("step", "copy", "event", "values", "changes")
    if not trace.steps:
        return ""
    taken = sum(max(len(cell) for cell in cells) + 2 for cells in list(zip(columns, *trace_rows(trace)))[:-1])
    if width - taken >= CHANGES_MIN:
        return plain(columns, trace_rows(trace, min(width - taken, CHANGES_MAX)))
    lines = []
    for number, copy, event, values, changes in trace_rows(trace, width - 8):
        lines += wrap(f"{number:>4}  {copy}.{event} {values}".rstrip(), width, subsequent_indent=" " * 8)
        lines += [f"        {change}" for change in changes.split("\n") if change]
    return "\n".join(lines) + "\n"


def sequence_text(trace: Trace, heading: bool = True, width: int = WIDTH) -> str:
    """The trace as lifelines of text: one per copy, one line per step, what changed beside it; the property on top."""
    scene = scene_of(trace)
    top = "\n".join([*_heading(scene, width), "", ""]) if heading else ""
    return top + (_Lifelines(scene, width).text() if scene.moments else _ending(scene, width))


def _heading(scene: Scene, width: int) -> list[str]:
    lines = [scene.title]
    for text in (scene.trace.claim, scene.trace.about, scene.outcome):
        lines += [""] if text == scene.trace.about and text else []
        lines += wrap(text, width)
        lines += [""] if text == scene.trace.about and text else []
    return lines


def _ending(scene: Scene, width: int) -> str:
    return "\n".join(wrap(f"left in: {scene.ending}", width)) if scene.ending else ""


@dataclass(frozen=True)
class _Lifelines:
    """A scene on a page of so many columns."""

    scene: Scene
    page: int

    @property
    def notes(self) -> int:
        """Columns that the notes get at least."""
        return min(NOTES_MIN, self.page // 2)

    def text(self) -> str:
        scene = self.scene
        room = (self.page - self.notes - 6) // len(scene.copies)
        copy, event = max(len(c) for c in scene.copies) + 1, max(len(m.title) for m in scene.moments) + 3
        if room >= max(copy, event):
            lines = self._wide(max(copy, event), named=True)
        else:
            lines = self._wide(copy + 1, named=False) if room > copy else self._narrow()
        return "\n".join([*lines, *self._after()]) + "\n"

    def _wide(self, width: int, named: bool) -> list[str]:
        """Copies over their lifelines, and events on them, or in the notes where there is no room for their names."""
        scene = self.scene
        lines = ["      " + "".join(c.ljust(width) for c in scene.copies).rstrip()]
        for k, moment in enumerate(scene.moments):
            cells = ["│".ljust(width)] * len(scene.copies)
            cells[moment.column] = (f"● {moment.title}" if named else "●").ljust(width)
            notes = moment.notes if named else _called(moment.title, moment.notes)
            lines += [*self._between(k, width), *self._beside(moment, "".join(cells), notes)]
        return lines

    def _narrow(self) -> list[str]:
        """Too many copies for names on the lifelines: a numbered column each, the event in the notes."""
        copies = self.scene.copies
        width = 3 if 3 * len(copies) <= self.page - self.notes - 7 else 1
        names = ", ".join(f"{k}{FIXED}{copy}" for k, copy in enumerate(copies, 1))
        lines = [*(line.replace(FIXED, " ") for line in wrap(f"lifelines: {names}", self.page)), ""]
        if width == 3:
            lines.append("      " + "".join(f"{k:<3}" for k in range(1, len(copies) + 1)).rstrip())
        for k, moment in enumerate(self.scene.moments):
            cells = ["│".ljust(width)] * len(copies)
            cells[moment.column] = "●".ljust(width)
            lines += [*self._between(k, width), *self._beside(moment, "".join(cells), _called(moment.step.name, moment.notes))]
        return lines

    def _beside(self, moment: Moment, lifelines: str, notes: list[str]) -> list[str]:
        """The line of a step with its notes at its right, continued on lines of bare lifelines."""
        copies, loop = len(self.scene.copies), self.scene.loop
        blank = "│".ljust(len(lifelines) // copies) * copies
        text = _packed(notes, max(self.notes, self.page - len(lifelines) - 7))
        first = f"{self._gutter(moment)}{moment.number:3}  {lifelines} {text[0]}".rstrip()
        bar = "┃" if loop is not None and moment.number >= loop else " "
        return [first, *(f"{bar}     {blank} {more}".rstrip() for more in text[1:])]

    def _gutter(self, moment: Moment) -> str:
        """The bracket round the cycle of a lasso, at the left edge."""
        if self.scene.loop is None or moment.number < self.scene.loop:
            return " "
        return "┏" if moment.number == self.scene.loop else "┃"

    def _between(self, k: int, width: int) -> list[str]:
        """A line of bare lifelines where another copy takes over, so that the turns stand apart."""
        scene = self.scene
        if not scene.is_new_turn(k):
            return []
        bar = "┃" if scene.loop is not None and k + 1 > scene.loop else " "
        return [f"{bar}     {'│'.ljust(width) * len(scene.copies)}".rstrip()]

    def _after(self) -> list[str]:
        scene = self.scene
        mark = "✗" if scene.violated else "✓"
        lines = [f"┗━━ back to step {scene.loop}"] if scene.loop is not None else []
        return [*lines, "", *wrap(f"{mark} {scene.outcome}", self.page), *wrap(_ending(scene, self.page), self.page)]


def _called(name: str, notes: list[str]) -> list[str]:
    """The notes of an event that has no room on its lifeline: its name first, with the state that it leads to."""
    moves = notes and notes[0].startswith("→")
    return [f"{name} {notes[0]}", *notes[1:]] if moves else [name, *notes]


def _packed(notes: list[str], room: int) -> list[str]:
    """The notes on lines of that width, as many on each as fit; a line breaks between notes where it can."""
    lines = [""]
    for note in notes:
        if lines[-1] and len(lines[-1]) + len(note) + 2 <= room:
            lines[-1] += f"; {note}"
            continue
        lines += wrap(note, room, subsequent_indent="  ")
    return lines[1:] if len(lines) > 1 else lines


# -- Mermaid ---------------------------------------------------------------------------------------------------------


def sequence_mermaid(trace: Trace) -> str:
    """The trace as a Mermaid `sequenceDiagram`; an arrow is a shared cell that was changed and then looked at."""
    scene = scene_of(trace)
    lines = ["---", f"title: {_front(scene.title)}", "---", "sequenceDiagram"]
    lines += [f"    participant c{k} as {escaped(copy)}" for k, copy in enumerate(scene.copies)]
    for k, moment in enumerate(scene.moments):
        last = k == len(scene.moments) - 1
        if moment.number == scene.loop:
            lines.append("    loop for ever")
        if last and scene.violated and scene.loop is None:
            lines.append("    rect rgb(255, 225, 220)")
        for number, cells in moment.heard.items():
            writer = scene.moments[number - 1].column
            lines.append(f"    c{writer}->>c{moment.column}: {escaped(', '.join(cells))} (step {number})")
        said = [f"{moment.number}. {moment.title}", *(n for n in moment.notes if not n.startswith("sees "))]
        lines.append(f"    Note over c{moment.column}: {'<br/>'.join(map(escaped, said))}")
        if last and scene.violated and scene.loop is None:
            lines.append("    end")
    if scene.loop is not None:
        lines.append("    end")
    if scene.copies:
        over = "c0" if len(scene.copies) == 1 else f"c0,c{len(scene.copies) - 1}"
        lines.append(f"    Note over {over}: {escaped(scene.outcome)}<br/>{escaped(scene.ending)}")
    return "\n".join(lines) + "\n"


def _front(text: str) -> str:
    """A quoted string of the YAML head."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
