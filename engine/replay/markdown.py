"""Markdown, as the pages of measurements have it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def prose(*lines: str) -> str:
    """A paragraph."""
    return textwrap.fill(" ".join(lines), 132, break_long_words=False, break_on_hyphens=False)


def link(section: str) -> str:
    """To a section of the same page."""
    return f"[{section}](#{section.lower()})"


def links(sections: Sequence[str]) -> str:
    """To some sections."""
    return ", ".join(map(link, sections)) or "none"
