"""A trace as an SVG sequence diagram, written by hand: the same trace gives the same bytes, and no renderer is needed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any

from ..trace import Trace
from .picture import PALETTE, shortened
from .scene import Moment, Scene, scene_of

FONT = "Helvetica,Arial,Liberation Sans,sans-serif"
LEFT, TOP, COLUMN_MIN, GUTTER, LINE, PAD, GAP, TURN = 48, 20, 210, 50, 14, 6, 6, 12
"""Pixels: margins at the left and above, least width of a lifeline's column, room for lines between two columns of boxes,
height of a line of text, inside of a box, between two boxes, extra where another copy takes over."""
CHARACTER = 5.9
"""Width of a character in pixels at the size of the notes."""
GOES_ON = "  "
"""Before the further lines of a note."""


@dataclass
class Box:
    """A moment with its place."""

    moment: Moment
    x: float
    y: float
    width: float
    height: float
    lines: list[str]

    @property
    def middle(self) -> float:
        """Half way down its first line."""
        return self.y + PAD + LINE / 2


def sequence_svg(trace: Trace) -> str:
    """Lifelines per copy, a box per step, a line from each change of a shared cell to whom it reaches."""
    scene = scene_of(trace)
    longest = max([len(line) for m in scene.moments for line in _lines(m)] + [0])
    column = min(max(COLUMN_MIN, longest * CHARACTER + 2 * PAD + GUTTER), 360)
    width = max(LEFT + column * max(len(scene.copies), 1) + 30, 640)
    head, y = _head(scene, width)
    boxes, bottom = _placed(scene, column, y + 34)
    foot, height = _foot(scene, width, bottom)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}">',
        f"<defs>{_tip('tip', '#0072b2')}{_tip('back', '#b00020')}</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
        *head,
        *_bands(scene, boxes, width),
        *_lifelines(scene, column, y, bottom),
        *_arrows(scene, boxes),
        *(part for box in boxes for part in _box(scene, box)),
        *_loop(scene, boxes),
        *foot,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _tip(name: str, colour: str) -> str:
    box = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"'
    return f'<marker id="{name}" {box}><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'


def _text(x: float, y: float, text: str, size: int = 11, **look: Any) -> str:
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in look.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{extra}>{escape(text)}</text>'


def _paragraph(text: str, width: float, y: float, size: int = 12, **look: Any) -> tuple[list[str], float]:
    parts = []
    for line in wrap(text, int((width - 40) / (size * 0.54))):
        y += size * 1.35
        parts.append(_text(20, y, line, size, **look))
    return parts, y


def _head(scene: Scene, width: float) -> tuple[list[str], float]:
    parts, y = _paragraph(scene.title, width, TOP - 10, 16, font_weight="bold")
    looks: tuple[dict[str, Any], ...] = ({}, {"fill": "#444444"}, _verdict(scene))
    for text, look in zip((scene.trace.claim, scene.trace.about, scene.outcome), looks):
        if text:
            more, y = _paragraph(text, width, y + 4, **look)
            parts += more
    return parts, y + 14


def _verdict(scene: Scene) -> dict[str, Any]:
    return {"fill": "#b00020" if scene.violated else "#007a5a", "font_weight": "bold"}


def _foot(scene: Scene, width: float, y: float) -> tuple[list[str], float]:
    y += 10
    parts, y = _paragraph(scene.outcome, width, y, 13, **_verdict(scene))
    if scene.ending:
        more, y = _paragraph(f"left in: {scene.ending}", width, y + 2, 11, fill="#444444")
        parts += more
    legend = "A blue line leads from a step that changed a shared cell to a step of another copy that looked at it."
    more, y = _paragraph(legend, width, y + 6, 10, fill="#777777")
    return [*parts, *more], y + 18


def _lines(moment: Moment) -> list[str]:
    failure = wrap(f"no successor: {moment.step.failure}", 46) if moment.step.failure else []
    return [f"{moment.number}  {moment.title}", *moment.notes, *failure]


def _placed(scene: Scene, column: float, y: float) -> tuple[list[Box], float]:
    boxes = []
    room = int((column - GUTTER - 2 * PAD) / CHARACTER)
    for k, moment in enumerate(scene.moments):
        y += TURN if scene.is_new_turn(k) else 0
        lines = [part for line in _lines(moment) for part in wrap(line, room, subsequent_indent=GOES_ON)]
        height = len(lines) * LINE + 2 * PAD
        boxes.append(Box(moment, LEFT + moment.column * column + GUTTER / 2, y, column - GUTTER, height, lines))
        y += height + GAP
    return boxes, y + 8


def _bands(scene: Scene, boxes: list[Box], width: float) -> list[str]:
    """A pale band behind every second turn: consecutive steps of one copy belong together."""
    turns: list[list[Box]] = []
    for k, box in enumerate(boxes):
        if k == 0 or scene.is_new_turn(k):
            turns.append([])
        turns[-1].append(box)
    parts = []
    for turn in turns[::2]:
        top, bottom = turn[0].y - TURN / 2, turn[-1].y + turn[-1].height + TURN / 2
        parts.append(f'<rect x="{LEFT - 8}" y="{top:.1f}" width="{width - LEFT - 4:.1f}" height="{bottom - top:.1f}" fill="#f5f6f8"/>')
    return parts


def _lifelines(scene: Scene, column: float, y: float, bottom: float) -> list[str]:
    parts = []
    for k, copy in enumerate(scene.copies):
        x = LEFT + (k + 0.5) * column
        parts.append(f'<line x1="{x:.1f}" y1="{y + 22:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="#bbbbbb"/>')
        name = shortened(copy, int(column / 8))
        parts.append(_text(x, y + 15, name, 13, text_anchor="middle", font_weight="bold", fill=_colour(scene, copy)))
    return parts


def _colour(scene: Scene, copy: str) -> str:
    """A colour per machine."""
    machines = list(dict.fromkeys(c.partition("[")[0] for c in scene.copies))
    return PALETTE[machines.index(copy.partition("[")[0]) % len(PALETTE)]


def _arrows(scene: Scene, boxes: list[Box]) -> list[str]:
    """From the facing side of the writer's box to the facing side of the reader's."""
    parts = []
    for box in boxes:
        for number in box.moment.heard:
            writer = boxes[number - 1]
            right = box.x > writer.x
            x1, x2 = (writer.x + writer.width, box.x) if right else (writer.x, box.x + box.width)
            y1, y2 = writer.y + writer.height - PAD, box.middle
            ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            parts.append(f'<line {ends} stroke="#0072b2" stroke-width="1.2" marker-end="url(#tip)"/>')
    return parts


def _box(scene: Scene, box: Box) -> list[str]:
    last = box.moment.number == len(scene.moments) and scene.loop is None
    edge = _verdict(scene)["fill"] if last else "#999999"
    fill = ("#fff0ee" if scene.violated else "#eefaf4") if last else "white"
    look = f'rx="4" fill="{fill}" stroke="{edge}" stroke-width="{2 if last else 1}"'
    parts = [f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" {look}/>']
    parts.append(f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="4" height="{box.height:.1f}" fill="{_colour(scene, box.moment.step.copy)}"/>')
    colour = ""
    for k, line in enumerate(box.lines):
        colour = colour if line.startswith(GOES_ON) else _note_colour(line)
        bold: dict[str, Any] = {"font_weight": "bold"} if k == 0 else {"fill": colour}
        parts.append(_text(box.x + PAD + 5, box.y + PAD + (k + 0.8) * LINE, line, **bold))
    return parts


def _note_colour(line: str) -> str:
    if line.startswith("sees "):
        return "#0072b2"
    return "#b00020" if line.startswith(("overwrites ", "no successor")) else "#444444"


def _loop(scene: Scene, boxes: list[Box]) -> list[str]:
    """A bracket at the left round the cycle of a lasso."""
    if scene.loop is None:
        return []
    top, bottom = boxes[scene.loop - 1].middle, boxes[-1].y + boxes[-1].height - PAD
    line = f"M{LEFT - 8},{bottom:.1f} H{LEFT - 24} V{top:.1f} H{LEFT + 8}"
    path = f'<path d="{line}" fill="none" stroke="#b00020" stroke-width="2" marker-end="url(#back)"/>'
    x, y = LEFT - 30, (top + bottom) / 2
    return [path, _text(x, y, "for ever", 11, fill="#b00020", text_anchor="middle", transform=f"rotate(-90 {x} {y:.1f})")]
