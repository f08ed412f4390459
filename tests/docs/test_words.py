"""Texts that users see have none of the words that the glossary's last table replaces.

Pages, settings, messages, help texts, named queries, dashboards and example files count. Names of settings,
metrics and Python objects do not.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.repository import ROOT, pages, production_files, python_files

# Texts that still have such a word. Remove an entry with the word. Add one only for a name, as of a street.
ALLOWED = {
    "examples/flights/tenants/default.yaml": {"lane"},
}
_FILES = (
    "Makefile",
    "Dockerfile",
    "docker-compose.yml",
    "dashboards/queries/*.sql",
    "dashboards/**/*.json",
    "examples/**/*",
)
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@cache
def replaced() -> re.Pattern[str]:
    """Build one pattern of all the words in the table's first column, in singular and plural."""
    table = pages()["docs/glossary.md"].split("## Words that we do not use")[1]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)
    words = [word.strip() for row in rows for word in row.split(",") if word.strip() != "not"]
    assert len(words) > 12
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})s?\b", re.IGNORECASE)


def page_texts() -> Iterator[tuple[str, str]]:
    """Give the prose of each page; of the glossary what comes before the table itself."""
    for name, text in pages().items():
        yield name, _CODE.sub(" ", text.split("## Words that we do not use")[0])


def messages() -> Iterator[tuple[str, str]]:
    """Give each text constant of the code that has a space and is no docstring, and the help of commands."""
    for name, path in (production_files() | _demo()).items():
        tree = ast.parse(path.read_text())
        silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                yield name, node.value if " " in node.value else ""
            elif name.startswith("tocsin/cli/") and isinstance(node, ast.FunctionDef):
                yield name, ast.get_docstring(node) or ""


def _demo() -> dict[str, Path]:
    return {name: path for name, path in python_files().items() if name.startswith("tocsin/")}


def files() -> Iterator[tuple[str, str]]:
    """Give the files that users read or copy."""
    for pattern in _FILES:
        for path in ROOT.glob(pattern):
            if path.is_file():
                yield path.relative_to(ROOT).as_posix(), path.read_text()


@pytest.mark.parametrize("texts", [page_texts, messages, files], ids=lambda texts: texts.__name__)
def test_texts_use_the_words_of_the_field(texts: object) -> None:
    assert callable(texts)
    wrong = sorted(
        f"{name}: {word}"
        for name, text in texts()
        for word in replaced().findall(text)
        if word.lower() not in ALLOWED.get(name, ())
    )
    assert wrong == [], "see the last table of docs/glossary.md"


def test_every_allowed_word_is_still_there() -> None:
    found = {
        (name, word.lower())
        for name, text in (*page_texts(), *messages(), *files())
        for word in replaced().findall(text)
    }
    gone = {
        (name, word) for name, words in ALLOWED.items() for word in words if Path(ROOT, name).exists()
    } - found
    assert gone == set(), "remove these from ALLOWED"


@pytest.mark.parametrize("text", ["Mend the catalog", "two lanes", "its last word", "balance the books"])
def test_the_pattern_finds_them(text: str) -> None:
    assert replaced().search(text)


@pytest.mark.parametrize("text", ["recommend this", "TOCSIN_LANES=8", "github", "handed to the provider"])
def test_the_pattern_leaves_others_alone(text: str) -> None:
    assert not replaced().search(text)
