"""The code cites pages of this repository only, by numbers that those pages have."""

import re

from tests.docs.repository import ROOT, pages, python_files

_FACTS = re.compile(r"docs/engine\.md,\s+facts? ((?:\d+(?:, | and )?)+)")
_LAWS = re.compile(r"\blaws? (\d+)\b")
_PAGE = re.compile(r"\b((?:[\w.-]+/)*[A-Za-z][\w-]*\.md)\b")
_ELSEWHERE = re.compile(r"\b(?:ENGINE|DESIGN|STYLE)(?:\.md)?(?= §|\.md| traps|'s)")


def sources() -> dict[str, str]:
    """Give the text of every Python file but this one."""
    return {
        name: path.read_text()
        for name, path in python_files().items()
        if not name.endswith("test_citations.py")
    }


def facts() -> list[int]:
    """List the numbers of the facts about the engine."""
    return [int(number) for number in re.findall(r"^\*\*(\d+)\. ", pages()["docs/engine.md"], re.MULTILINE)]


def test_facts_are_numbered_in_order() -> None:
    assert facts() == list(range(1, len(facts()) + 1))
    assert len(facts()) > 20


def test_facts_cited_exist() -> None:
    cited = {
        int(number)
        for text in sources().values()
        for numbers in _FACTS.findall(text)
        for number in re.findall(r"\d+", numbers)
    }
    assert cited
    assert cited <= set(facts())


def test_laws_are_the_eight_and_those_cited_are_among_them() -> None:
    laws = [int(number) for number in re.findall(r"^## Law (\d):", pages()["docs/laws.md"], re.MULTILINE)]
    assert laws == list(range(1, 9))
    cited = {int(number) for text in sources().values() for number in _LAWS.findall(text)}
    assert cited
    assert cited <= set(laws)


def test_every_law_names_tests() -> None:
    for section in pages()["docs/laws.md"].split("\n## ")[1:]:
        assert len(re.findall(r"^\| \[test_\w+\.py\]", section, re.MULTILINE)) >= 2, section[:40]


def test_pages_cited_are_in_the_repository() -> None:
    names = {page.rpartition("/")[2] for page in pages()}
    wrong = [
        f"{name}: {cited}"
        for name, text in sources().items()
        for cited in _PAGE.findall(text)
        if not name.startswith("tests/docs/") and not ((ROOT / cited).exists() or cited in names)
    ]
    assert wrong == []


def test_nothing_cites_documents_from_elsewhere() -> None:
    wrong = [name for name, text in (sources() | pages()).items() if _ELSEWHERE.search(text)]
    assert wrong == []
