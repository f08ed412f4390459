"""Code blocks of the pages work: each language has its check, and a block without a check fails."""

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml
from typer.core import TyperGroup
from typer.exceptions import TyperException

from tests.docs.repository import ROOT, pages
from tocsin.catalog.loader import load
from tocsin.catalog.spec import TenantSpec
from tocsin.cli.main import COMMANDS, build
from tocsin.providers.accounts import parse_accounts
from tocsin.providers.alert_settings import AlertSettings

# urllib3 binds a socket when it is imported, to see whether there is IPv6. No test may do that.
importlib.import_module("dashboards.store")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHECKED = {"", "sh", "python", "yaml", "json", "sql", "html"}
"""SQL is checked by `tests/docs/test_analytics.py`: it needs a database with known rows."""
CATALOG = ROOT / "examples/flights"


class Block(NamedTuple):
    """A fenced block of a page: where it is, its language, its text."""

    place: str
    language: str
    text: str


def blocks(language: str | None = None) -> list[Block]:
    """List the blocks of all pages, or those of one language."""
    found = [
        Block(f"{page}:{text[: match.start()].count(chr(10)) + 1}", *match.groups())
        for page, text in pages().items()
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in found if language in (None, block.language)]


def each(language: str) -> pytest.MarkDecorator:
    """Run a test once for each block of a language."""
    return pytest.mark.parametrize("block", blocks(language), ids=lambda block: block.place)


def commands(shell: str) -> Iterator[list[str]]:
    """Give the words of each `tocsin` command of a shell block; `make demo` is one too."""
    joined = re.sub(r"\s+#.*$", "", shell.replace("\\\n", " "), flags=re.MULTILINE)
    for line in re.split(r"\n|&&", _one_line(joined)):
        words = shlex.split(line)
        if words[:1] == ["tocsin"]:
            yield words[1:]
        elif words[:2] == ["make", "demo"]:
            yield ["demo", *shlex.split(words[2].removeprefix("ARGS=") if len(words) > 2 else "")]


def _one_line(shell: str) -> str:
    """Put quoted texts of several lines on one."""
    return re.sub(r"'[^']*'", lambda quoted: quoted[0].replace("\n", " "), shell)


def parse(words: list[str]) -> None:
    """Let the command line parse the words, without running anything; a mistake raises."""
    assert words[0] in COMMANDS, f"no such command: tocsin {words[0]}"
    command = typer.main.get_command(build(words[:1]))
    context = typer.Context(command)
    while isinstance(command, TyperGroup) and (words or not command.invoke_without_command):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"no such command: {name}"
        command = found
    command.make_context(command.name, list(words))


def test_every_language_has_a_check() -> None:
    assert {block.language for block in blocks()} <= CHECKED


@each("html")
def test_pages_load_what_the_gateway_serves(block: Block) -> None:
    """The script is one of the gateway's files, and it defines the element that the page uses."""
    script = re.search(r'src="https://[^/"]+/inbox/([^"]+)"', block.text)
    assert script
    text = (ROOT / "tocsin/gateway/inbox/static" / script[1]).read_text()
    elements = set(re.findall(r"<([a-z]+-[a-z-]+)", block.text))
    assert elements
    assert elements <= set(re.findall(r'customElements\.define\("([^"]+)"', text))


@each("sh")
def test_shell_is_well_formed(block: Block) -> None:
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@each("sh")
def test_commands_parse(block: Block) -> None:
    for words in commands(block.text):
        parse(words)


@each("sh")
def test_make_has_the_targets(block: Block) -> None:
    targets = set(re.findall(r"^([\w./$()]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {target.replace("$(VENV)", ".venv") for target in targets}
    assert set(re.findall(r"^make ([\w./-]+)", block.text, re.MULTILINE)) <= known


@each("python")
def test_python_compiles_and_its_imports_are_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            assert all(importlib.import_module(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)


@each("json")
def test_json_is_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


def is_of_accounts(specs: dict[str, Any], block: Block) -> bool:
    """Check a part of the accounts file; every variable has a value that most fields take."""
    named = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), f"AC{'0' * 32}")
    if "accounts" in specs:
        return bool(parse_accounts(specs, named, Path("providers.yaml")).accounts)
    return bool(AlertSettings.model_validate(specs["alerts"]).to)


@each("yaml")
def test_yaml_is_a_catalog_that_compiles(block: Block, tmp_path: Path) -> None:
    """Notifications on a page take the place of the shipped ones with the same template.

    What has a format is a declared topic.
    Fields of a tenant take the place of these fields of the shipped tenant; categories are added to its own.
    """
    if block.place.startswith("docs/catalog.md:"):
        return  # its files belong together: test_catalog_page.py
    specs = yaml.safe_load(block.text)
    if specs.keys() <= {"accounts", "alerts"}:
        assert is_of_accounts(specs, block)
        return
    shutil.copytree(CATALOG, tmp_path, dirs_exist_ok=True)
    if specs.keys() <= TenantSpec.model_fields.keys():
        file = tmp_path / "tenants/default.yaml"
        shipped = yaml.safe_load(file.read_text())
        categories = {"categories": shipped["categories"] | specs.get("categories", {})}
        file.write_text(yaml.safe_dump(shipped | specs | categories))
        assert load(tmp_path).tenant("default")
        return
    if all("format" in spec for spec in specs.values()):
        (tmp_path / "sources.yaml").write_text(block.text)
        assert load(tmp_path).sources.keys() == specs.keys()
        return
    (tmp_path / "notifications/flights.yaml").write_text(block.text)
    loaded = load(tmp_path)
    assert all(loaded.notification("default", name) for name in specs)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tocsin why x   # what became of it", [["why", "x"]]),
        ("tocsin topics create && tocsin check", [["topics", "create"], ["check"]]),
        (
            "tocsin send a --data '{\n\"b\": 1\n}'\ntocsin why x",
            [["send", "a", "--data", '{ "b": 1 }'], ["why", "x"]],
        ),
        ("make demo ARGS='--days 3'", [["demo", "--days", "3"]]),
        ("make test", []),
    ],
)
def test_commands_of_a_block_are_found(line: str, words: list[list[str]]) -> None:
    assert list(commands(line)) == words


@pytest.mark.parametrize(
    "words", [["nothing"], ["run", "--no-such-option"], ["topics", "nothing"], ["why", "a", "b"]]
)
def test_a_wrong_command_is_found(words: list[str]) -> None:
    with pytest.raises((AssertionError, TyperException)):
        parse(words)
