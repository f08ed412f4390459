"""The docstring of a package is its map: it has each module once."""

import importlib
import pkgutil
import re

import pytest

MAPPED = ["operators", "tocsin.catalog", "tocsin.decision", "tocsin.store"]
_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def rows(text: str) -> list[str]:
    """Name the modules that a map has."""
    return sorted(_ROW.findall(text))


@pytest.mark.parametrize("name", MAPPED)
def test_the_map_of_a_package_has_each_module_once(name: str) -> None:
    package, file = importlib.import_module(name), f"{name.replace('.', '/')}/__init__.py"
    modules = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    mapped = rows(package.__doc__ or "")
    assert set(modules) - set(mapped) == set(), f"add a row to the docstring of {file}"
    assert mapped == modules, f"remove a row from the docstring of {file}"


def test_a_module_that_is_missing_would_be_noticed() -> None:
    assert rows("| `gate` | the entry |\n| `on_event` | decides |\n|---|---|") == ["gate", "on_event"]
