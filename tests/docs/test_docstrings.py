"""The examples in docstrings are run."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.docs.repository import ROOT

PACKAGES = ("dashboards", "flows", "operators", "sinks", "sources", "tocsin")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in Path(ROOT / package).rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
