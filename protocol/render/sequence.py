"""A trace as a table, and as a sequence diagram in text and in Mermaid; `sequence_svg.py` draws it.

Its one rule: the page fits 120 columns, whatever the number of copies.
"""

from __future__ import annotations

from textwrap import wrap

from ..trace import Trace
from .mermaid import escaped
from .picture import shortened
from .scene import Moment, Scene, scene_of, shown_change
from .sequence_svg import sequence_svg
from .table import plain

__all__ = ["sequence_mermaid", "sequence_svg", "sequence_text", "trace_rows", "trace_table"]

WIDTH = 120
NOTES_MIN = 38
"""Columns of text that the notes beside the lifelines get at least."""
CHANGES_WIDTH = 70
FIXED = "\u00a0"
"""A space at which no line is broken."""


def trace_rows(trace: Trace) -> list[tuple[str, str, str, str, str]]:
    """(step, copy, event, values, changes) per step, every changed cell with its values; changes a line each."""
    rows = []
    for number, step in enumerate(trace.steps, 1):
        changes = [shown_change(c) for c in step.changes]
        changes += [f"has no successor: {step.failure}"] if step.failure else []
        lines = [line for change in changes for line in wrap(change, CHANGES_WIDTH, subsequent_indent="  ")]
        rows.append((str(number), step.copy, step.event, ", ".join(f"{n}={v}" for n, v in step.values), "\n".join(lines)))
    return rows


def trace_table(trace: Trace) -> str:
    """The trace as a table of plain text, with the property on top."""
    scene = scene_of(trace)
    table = plain(("step", "copy", "event", "values", "changes"), trace_rows(trace)) if trace.steps else ""
    return "\n".join([*_heading(scene), "", table + _ending(scene)])


def sequence_text(trace: Trace, heading: bool = True) -> str:
    """The trace as lifelines of text: one per copy, one line per step, what changed beside it; the property on top."""
    scene = scene_of(trace)
    top = "\n".join([*_heading(scene), "", ""]) if heading else ""
    return top + (_lifelines(scene) if scene.moments else _ending(scene))


def _lifelines(scene: Scene) -> str:
    widest = max([len(c) for c in scene.copies] + [len(m.title) + 2 for m in scene.moments]) + 1
    width = min(widest, (WIDTH - NOTES_MIN - 6) // len(scene.copies))
    if width >= 12:
        return _wide(scene, width)
    return _narrow(scene)


def _heading(scene: Scene) -> list[str]:
    lines = [scene.title]
    for text in (scene.trace.claim, scene.trace.about, scene.outcome):
        lines += [""] if text == scene.trace.about and text else []
        lines += wrap(text, WIDTH)
        lines += [""] if text == scene.trace.about and text else []
    return lines


def _ending(scene: Scene) -> str:
    return "\n".join(wrap(f"left in: {scene.ending}", WIDTH)) if scene.ending else ""


def _wide(scene: Scene, width: int) -> str:
    """Events on the lifelines."""
    columns = len(scene.copies)
    lines = ["      " + "".join(shortened(c, width - 1).ljust(width) for c in scene.copies).rstrip()]
    for k, moment in enumerate(scene.moments):
        lines += _between(scene, k, columns, width)
        cells = ["│".ljust(width)] * columns
        cells[moment.column] = shortened(f"● {moment.title}", width - 1).ljust(width)
        lines += _beside(scene, moment, "".join(cells), moment.notes)
    return "\n".join([*lines, *_after(scene)]) + "\n"


def _narrow(scene: Scene) -> str:
    """Too many copies for names on the lifelines: a numbered column each, the event in the notes."""
    columns = len(scene.copies)
    width = 3 if 3 * columns <= WIDTH - NOTES_MIN else 1
    names = ", ".join(f"{k}{FIXED}{copy}" for k, copy in enumerate(scene.copies, 1))
    lines = [*(line.replace(FIXED, " ") for line in wrap(f"lifelines: {names}", WIDTH)), ""]
    if width == 3:
        lines.append("      " + "".join(f"{k:<3}" for k in range(1, columns + 1)).rstrip())
    for k, moment in enumerate(scene.moments):
        lines += _between(scene, k, columns, width)
        cells = ["│".ljust(width)] * columns
        cells[moment.column] = "●".ljust(width)
        lines += _beside(scene, moment, "".join(cells), [moment.step.name, *moment.notes])
    return "\n".join([*lines, *_after(scene)]) + "\n"


def _beside(scene: Scene, moment: Moment, lifelines: str, notes: list[str]) -> list[str]:
    """The line of a step with its notes at its right, continued on lines of bare lifelines."""
    width = len(lifelines) // len(scene.copies)
    blank = "│".ljust(width) * len(scene.copies)
    text = _packed(notes, WIDTH - len(lifelines) - 7)
    first = f"{_gutter(scene, moment)}{moment.number:3}  {lifelines} {text[0]}".rstrip()
    bar = "┃" if scene.loop is not None and moment.number >= scene.loop else " "
    return [first, *(f"{bar}     {blank} {more}".rstrip() for more in text[1:])]


def _packed(notes: list[str], room: int) -> list[str]:
    """The notes on lines of that width, as many on each as fit; a line breaks between notes where it can."""
    lines = [""]
    for note in notes:
        if lines[-1] and len(lines[-1]) + len(note) + 2 <= room:
            lines[-1] += f"; {note}"
            continue
        lines += wrap(note, room, subsequent_indent="  ")
    return lines[1:] if len(lines) > 1 else lines


def _gutter(scene: Scene, moment: Moment) -> str:
    """The bracket round the cycle of a lasso, at the left edge."""
    if scene.loop is None or moment.number < scene.loop:
        return " "
    return "┏" if moment.number == scene.loop else "┃"


def _between(scene: Scene, k: int, columns: int, width: int) -> list[str]:
    """A line of bare lifelines where another copy takes over, so that the turns stand apart."""
    if not scene.is_new_turn(k):
        return []
    bar = "┃" if scene.loop is not None and k + 1 > scene.loop else " "
    return [f"{bar}     {'│'.ljust(width) * columns}".rstrip()]


def _after(scene: Scene) -> list[str]:
    mark = "✗" if scene.violated else "✓"
    lines = [f"┗━━ back to step {scene.loop}"] if scene.loop is not None else []
    return [*lines, "", *wrap(f"{mark} {scene.outcome}", WIDTH), *wrap(_ending(scene), WIDTH)]


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
