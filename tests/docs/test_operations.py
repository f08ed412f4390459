"""What the pages for people say exists: files, settings, commands, metrics; every refusal has its cure."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards import queries
from tocsin.app.metric_defs import ALL_METRICS, metrics_table
from tocsin.app.settings import Settings
from tocsin.cli.main import COMMANDS as TABLE
from tocsin.cli.topics import app as topics_app
from tocsin.model.statuses import Reason

ROOT = Path(__file__).parent.parent.parent
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("architecture", "operations", "contracts")
}
README = (ROOT / "README.md").read_text()
OPERATIONS = PAGES["operations"]
COMMANDS = set(TABLE)
SENTENCES = ("tocsin/store/*.py", "sources/*.py", "sinks/outbox.py")


@pytest.mark.parametrize("name", ["architecture", "operations"])
def test_pages_are_short(name: str) -> None:
    """Tables that are written by a command do not count: they grow with the code."""
    written = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", PAGES[name], flags=re.DOTALL)
    assert 60 < len(written.splitlines()) <= 200


@pytest.mark.parametrize("name", PAGES)
def test_files_named_are_there(name: str) -> None:
    found = set(re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|md|yml|yaml))`", PAGES[name]))
    assert found or name == "operations"
    assert [path for path in sorted(found) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGES[name])
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_settings_named_exist(name: str) -> None:
    known = {f"TOCSIN_{field.upper()}" for field in Settings.model_fields}
    found = set(re.findall(r"TOCSIN_[A-Z_]+[A-Z]", PAGES[name]))
    assert found
    assert found <= known


@pytest.mark.parametrize("name", PAGES)
def test_commands_named_exist(name: str) -> None:
    text = PAGES[name]
    found = re.findall(r"(?:^|`)tocsin ([a-z]+)(?: ([a-z]+))?", text, re.MULTILINE)
    assert {command for command, _ in found} <= COMMANDS
    assert {word for command, word in found if command == "topics"} <= {
        str(one.name or getattr(one.callback, "__name__", "")) for one in topics_app.registered_commands
    }
    assert {word for command, word in found if command == "query"} <= {one.name for one in queries.queries()}


def test_the_readme_lists_every_command() -> None:
    table = README.split("## Commands\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `tocsin ([a-z-]+)`", table, re.MULTILINE)) == COMMANDS


def test_the_readme_shows_the_shipped_catalog() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert shown in (ROOT / "examples/flights/notifications/flights.yaml").read_text()


def test_the_readme_takes_every_step_before_it_checks() -> None:
    """The blocks after these are run by `tests/e2e/test_commands.py`."""
    steps = README.split("## Against your own servers")[1].split("```")[1]
    assert (ROOT / "examples" / "providers.example.yaml").is_file()
    assert f"cp examples/providers.example.yaml {Settings.model_fields['providers'].default} " in steps
    set_before = set(re.findall(r"(TOCSIN_[A-Z_]+)=", steps.split("tocsin check")[0]))
    assert set_before == {f"TOCSIN_{name}" for name in ("KAFKA", "REDIS", "CLICKHOUSE", "SECRET", "CATALOG")}


def test_the_table_of_metrics_is_that_of_the_definitions() -> None:
    """It is made by `python -c 'from tocsin.app.metric_defs import *; print(metrics_table())'`."""
    between = OPERATIONS.partition("<!-- metrics -->\n")[2].partition("\n<!-- /metrics -->")[0]
    assert between == metrics_table()


def test_metrics_named_exist() -> None:
    assert set(re.findall(r"tocsin_[a-z_]+", OPERATIONS)) <= ALL_METRICS.keys()


def test_reasons_named_exist() -> None:
    table = OPERATIONS.split("| stage, reason | what to do |")[1].split("\n\n")[0]
    named = {
        reason
        for row in re.findall(r"^\| `\w+`, (.*?) \|", table, re.MULTILINE)
        for reason in re.findall(r"`(\w+)`", row)
    }
    assert named
    assert named <= set(Reason)


def refusals() -> Iterator[tuple[str, str]]:
    """Give the text of each `StateError` raised in the source, with the place; what varies is left out."""
    for pattern in SENTENCES:
        for file in sorted(ROOT.glob(pattern)):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef) and "raise StateError(" in ast.unparse(node):
                    yield from ((f"{file.name}:{text.lineno}", _spelled(text)) for text in _texts(node))


def _texts(function: ast.FunctionDef) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "msg":
            yield node.value


def _spelled(text: ast.expr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def phrases() -> list[str]:
    """List what the tables of sentences quote, cut where something varies."""
    rows = [line.split(" | ")[0] for line in OPERATIONS.splitlines() if line.startswith("| `")]
    quoted = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    return [
        part.strip() for quote in quoted for part in re.split(r"…|<[^>]+>", quote) if len(part.strip()) > 8
    ]


def test_every_refusal_of_a_state_directory_has_its_cure() -> None:
    found = list(refusals())
    assert len(found) > 15
    explained = phrases()
    missing = [(place, text) for place, text in found if not any(phrase in text for phrase in explained)]
    assert not missing


def test_sentences_quoted_are_said_by_the_code() -> None:
    """A sentence that the code no longer says has no place in the tables."""
    folders = (
        "tocsin/store",
        "sources",
        "sinks",
        "flows",
        "tocsin/decision",
        "tocsin/app",
        "tocsin/delivery",
        "tocsin/catalog",
    )
    code = " ".join(_joined(path) for folder in folders for path in sorted((ROOT / folder).glob("*.py")))
    tables = OPERATIONS.split("## `/healthz` says")[1].split("\n## Lag grows")[0]
    rows = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| `")]
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    parts = [part.strip(" :()") for quote in quotes for part in re.split(r"…|<[^>]+>", quote)]
    assert [part for part in parts if len(part) > 8 and part not in code] == []


def _joined(path: Path) -> str:
    """Give all the text constants of a file, f-strings put together."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = [_spelled(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)]
    return " ".join(found)
