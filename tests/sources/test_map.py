"""The map of docs/architecture.md has every file: by name, or by its folder."""

import re
from pathlib import Path

import pytest

from .test_imports import ROOT, SOURCES, relative


def mapped() -> set[str]:
    """What the first column names; a name without a folder lies beside the one before it."""
    named, folder = set(), ""
    for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Map")[2].splitlines():
        for name in re.findall(r"`([\w./]+)`", line.split("|")[1] if line.startswith("|") else ""):
            folder = name.partition("/")[0] if "/" in name.rstrip("/") else folder
            named.add(name if (ROOT / name).exists() else f"{folder}/{name}")
    return named


MAPPED = mapped()


@pytest.mark.parametrize("name", sorted(MAPPED))
def test_what_the_map_names_is_there(name: str) -> None:
    assert (ROOT / name).is_dir() if name.endswith("/") else (ROOT / name).is_file()


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py"], ids=relative)
def test_every_file_is_on_the_map(path: Path) -> None:
    assert relative(path) in MAPPED or any(relative(path).startswith(folder) for folder in MAPPED if folder.endswith("/"))
