"""The files of a project that people join: dependencies, license, hooks, CI, changelog."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest
import yaml

from tests.docs.repository import ROOT, imported_modules, production_files, python_files

# Nobody imports these: zoneinfo reads the first where the system has no time zones.
NOT_IMPORTED = {"twilio", "tzdata", "websockets"}


def project() -> dict[str, Any]:
    """Read the [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def normal(distribution: str) -> str:
    """Spell a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", distribution, maxsplit=1)[0]).lower()


def test_runtime_dependencies_are_imported_by_what_runs_in_production() -> None:
    modules = {module for path in production_files().values() for module in imported_modules(path)}
    installed = packages_distributions()
    used = {normal(name) for module in modules for name in installed.get(module, [])}
    declared = {normal(line) for line in project()["dependencies"]}
    assert sorted(declared - used - NOT_IMPORTED) == []


def test_each_dependency_is_declared_once() -> None:
    extras = project()["optional-dependencies"]
    lines = [*project()["dependencies"], *extras["local"], *extras["dev"]]
    names = [normal(line) for line in lines if not line.startswith("tocsin[")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_license_file_is_the_license_that_the_package_names() -> None:
    assert project()["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_workflow_runs_what_a_person_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    versions = job["strategy"]["matrix"]["python"]
    assert {f"Programming Language :: Python :: {version}" for version in versions} == {
        name for name in project()["classifiers"] if re.search(r":: 3\.\d+$", name)
    }


@pytest.mark.parametrize("name", ["PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"])
def test_what_make_starts_has_no_variable_that_images_of_containers_set(name: str) -> None:
    rule = f'seen: ; @echo "seen=$${name}"'
    env = os.environ | {name: "1"}
    done = subprocess.run(
        ["make", "-s", "--eval", rule, "seen"], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "seen=\n"
    assert f"\nunset {name}" in (ROOT / ".ci/run").read_text()


def test_hooks_run_the_tools_of_the_environment() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = configuration["repos"]
    entries = [hook["entry"].split()[:2] for hook in local["hooks"]]
    assert [entry[0] for entry in entries] == [".venv/bin/ruff", ".venv/bin/ruff", ".venv/bin/mypy"]
    assert [entry[1] for entry in entries[:2]] == ["check", "format"]


def test_the_changelog_has_an_entry_for_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1].strip("[]") == project()["version"]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("kind", ["State", "Contract", "Setting"])
def test_contributing_explains_the_marks_of_the_changelog(kind: str) -> None:
    assert f"**{kind}**" in (ROOT / "CHANGELOG.md").read_text().split("## Unreleased")[0]


def test_the_types_of_every_package_are_checked() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    assert set(checked) == {name.partition("/")[0] for name in python_files()}


def test_every_ignored_type_error_has_a_reason() -> None:
    without = re.compile(r"type: ignore\[[^\]]+\](?!  # \S)")
    wrong = [
        f"{name}:{number}"
        for name, path in python_files().items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if without.search(line) and not name.startswith("tests/docs/")
    ]
    assert wrong == []
