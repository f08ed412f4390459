"""The repository as a reader sees it: its pages, and the Python files by who runs them."""

import ast
import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_SKIPPED = frozenset({"build", "dist", "tocsin.egg-info"})
_NOT_RUN_IN_PRODUCTION = ("tests/", "bench/", "findings/", "local/", "tocsin/devkit/")


@cache
def python_files() -> dict[str, Path]:
    """Give every Python file by its path from the root."""
    return _files(".py")


@cache
def production_files() -> dict[str, Path]:
    """Give the Python files that run outside tests, benches and the demo."""
    return {
        name: path
        for name, path in python_files().items()
        if not name.startswith(_NOT_RUN_IN_PRODUCTION) and "demo" not in name
    }


def imported_modules(path: Path) -> set[str]:
    """Name the top-level modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@cache
def pages() -> dict[str, str]:
    """Give the text of every Markdown page by its path from the root."""
    return {name: path.read_text() for name, path in _files(".md").items()}


def _files(ending: str) -> dict[str, Path]:
    """Give files by their path from the root. Folders that other tests change meanwhile are not entered."""
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if not (name.startswith(".") or name in _SKIPPED)]
        found += [Path(folder, name) for name in names if name.endswith(ending) and name[0] != "."]
    return {path.relative_to(ROOT).as_posix(): path for path in sorted(found)}
