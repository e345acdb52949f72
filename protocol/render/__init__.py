"""Pictures and pages of a system, all of them read from its tables.

`diagram` draws the machines and what lies between them; `sequence.py` draws a trace; `pages.py` writes the docs;
`promela.py` speaks to another checker. Nothing here knows a protocol: a picture cannot lag behind its table.
"""

from __future__ import annotations

from ..errors import DefinitionError
from ..machine import Machine
from ..system import System

FORMATS = ("mmd", "dot", "svg", "html", "md")


def diagram(system: System, format: str, machine: Machine | None = None) -> str:
    """The picture of a system, or of one of its machines, as text in one of `FORMATS`; html and md have its rows too.

    Raises:
        DefinitionError: an unknown format, or a missing renderer (svg, html).
    """
    if format not in FORMATS:
        raise DefinitionError(f"{format!r} is no picture format; choose one of {', '.join(FORMATS)}")
    if format == "mmd":
        from .mermaid import machine_mermaid, system_mermaid

        return system_mermaid(system) if machine is None else machine_mermaid(system, machine)
    if format == "dot":
        from .dot import machine_dot, system_dot

        return system_dot(system) if machine is None else machine_dot(system, machine)
    if format == "svg":
        from .svg import machine_svg, system_svg

        return system_svg(system) if machine is None else machine_svg(system, machine)
    if format == "md":
        from .page import machine_section, system_page

        return system_page(system) if machine is None else machine_section(system, machine)
    from .html import system_html

    return system_html(system, [machine] if machine is not None else system.machines)
