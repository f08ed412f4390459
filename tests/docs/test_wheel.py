"""An installation without the repository: which names it adds, and that the example catalog is in it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.docs.repository import ROOT

# The five folders that hold the stream, and one package for all the rest.
NAMES = {"dashboards", "flows", "operators", "sinks", "sources", "tocsin"}
ASK = """
from tocsin.app.examples import example_catalog
from tocsin.catalog.loader import load
print(example_catalog())
print(sorted(load(example_catalog()).tenants))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """Build the wheel from a copy of the sources, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in sorted(NAMES | {"examples"}):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *options], check=True, timeout=120)
    (built,) = folder.glob("tocsin-*.whl")
    with ZipFile(built) as archive:
        yield archive


def test_an_installation_adds_no_other_names(wheel: ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == NAMES


def test_every_module_is_in_the_wheel(wheel: ZipFile) -> None:
    wanted = {
        file.relative_to(ROOT).as_posix() for name in sorted(NAMES) for file in (ROOT / name).rglob("*.py")
    }
    assert len(wanted) > 150
    assert sorted(wanted - set(wheel.namelist())) == []


def test_every_file_that_is_read_at_run_time_is_in_the_wheel(wheel: ZipFile) -> None:
    folders = ("tocsin/devkit/sandbox/static", "dashboards/migrations", "dashboards/queries")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    wanted = {file.relative_to(ROOT).as_posix() for file in files if file.is_file()}
    examples = {
        f"tocsin/{file.relative_to(ROOT).as_posix()}"
        for file in (ROOT / "examples").rglob("*")
        if file.is_file()
    }
    assert len(examples) > 20
    assert sorted((wanted | examples) - set(wheel.namelist())) == []


def test_the_example_catalog_is_found_in_an_installation(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    place, tenants = asked.stdout.splitlines()
    assert place == str(tmp_path / "site/tocsin/examples/flights")
    assert tenants == "['default']"
