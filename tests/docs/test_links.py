"""Links and file names on the pages lead to something that is in this repository."""

import ast
import re

import pytest

from tests.docs.repository import ROOT, pages, python_files

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]+))?\)")
_FILE = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|md|yml|yaml|sql|sh|json))?)`")
# Files that a reader makes, or that exist in a running installation only.
_NOT_HERE = re.compile(r"^(\.tocsin|/|base/|recovery/|gateway/)|NAME")


def slug(heading: str) -> str:
    """Turn a heading into its anchor, as GitHub does."""
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return plain.strip().replace(" ", "-")


def anchors(page: str) -> set[str]:
    """List the anchors of a page; code blocks have none."""
    text = re.sub(r"^```.*?^```", "", pages()[page], flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def broken_links(page: str) -> list[str]:
    """List the links of a page that lead nowhere."""
    return [
        f"{link}#{anchor}" for link, anchor in _LINK.findall(pages()[page]) if not _leads(page, link, anchor)
    ]


def _leads(page: str, link: str, anchor: str) -> bool:
    if link.startswith(("http:", "https:", "mailto:")):
        return True
    target = ((ROOT / page).parent / link).resolve() if link else ROOT / page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(target.relative_to(ROOT).as_posix())


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", pages())
def test_files_named_are_there(page: str) -> None:
    named = {path for path in _FILE.findall(pages()[page]) if not _NOT_HERE.search(path)}
    beside = (ROOT / page).parent
    assert sorted(path for path in named if not (ROOT / path).exists() and not (beside / path).exists()) == []


_MEMBER = re.compile(r"`([A-Z]\w*[a-z]\w*)\.(_?[a-z]\w*)(?:\(\))?`")


def members() -> dict[str, set[str]]:
    """List the methods and fields of each class of the code."""
    found: dict[str, set[str]] = {}
    for path in python_files().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names = (getattr(one, "name", "") or _field(one) for one in node.body)
                found.setdefault(node.name, set()).update(names)
    return found


def _field(node: ast.stmt) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else None
    return target.id if isinstance(target, ast.Name) else ""


def test_methods_named_are_there() -> None:
    known = members()
    named = [(page, *found) for page, text in pages().items() for found in _MEMBER.findall(text)]
    foreign = {"OffsetDateTime", "PushSubscription", "Rdict"}  # of libraries
    wrong = [one for one in named if one[1] not in foreign and one[2] not in known.get(one[1], ())]
    assert len(named) > 3
    assert wrong == []


PATH = pages()["docs/architecture.md"].split("\n## The path of one event\n")[1].split("\n## ")[0]
STEPS = [
    re.findall(r"`([\w/.]+)`", line.rsplit("|", 2)[1]) for line in PATH.split("\n") if line[2:3].isdigit()
]


def test_the_path_of_one_event_enters_each_file_once_and_every_room() -> None:
    entered = [place for step in STEPS for place in step]
    assert len(STEPS) > 15
    assert all(STEPS)
    assert sorted(place for place in set(entered) if entered.count(place) > 1) == []
    rooms = ["formats", "catalog", "decision", "render", "delivery", "providers", "store", "model"]
    for room in ["sources/", "operators/", "sinks/", *(f"tocsin/{room}/" for room in rooms)]:
        assert any(place.startswith(room) for place in entered), room


_CALL = re.compile(r"\| `([\w.]+)` \| `([\w/]+\.py)` \|")


def defined(file: str) -> set[str]:
    """Name what a file defines: functions, classes, constants, and methods as `Class.method`."""
    found: set[str] = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        name = getattr(node, "name", "") or _field(node)
        inner = node.body if isinstance(node, ast.ClassDef) else []
        found |= {name, *(f"{name}.{getattr(one, 'name', '') or _field(one)}" for one in inner)}
    return found


def test_calls_named_are_in_the_file_beside_them() -> None:
    calls = [(page, *found) for page, text in pages().items() for found in _CALL.findall(text)]
    assert len(calls) > 15
    assert [one for one in calls if one[1] not in defined(one[2])] == []


@pytest.mark.parametrize(
    ("name", "there"), [("Gate.on_event", True), ("Gate", True), ("Gate.on_nothing", False), ("gate", False)]
)
def test_a_call_that_is_not_in_its_file_is_found(name: str, there: bool) -> None:
    assert (name in defined("tocsin/decision/gate.py")) is there


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = ((ROOT / page).parent / link for link, _ in _LINK.findall(pages()[page]) if link)
        found = {path.resolve() for path in links if path.exists()}
        names = {path.relative_to(ROOT).as_posix() for path in found if path.is_relative_to(ROOT)}
        waiting.extend((names & pages().keys()) - reached)
    assert sorted(page for page in pages() if page.startswith("docs/") and page not in reached) == []


@pytest.mark.parametrize(
    ("link", "anchor", "leads"),
    [
        ("docs/laws.md", "", True),
        ("docs/laws.md", "law-1-conservation", True),
        ("docs/laws.md", "law-9", False),
        ("docs/nothing.md", "", False),
        ("../elsewhere", "", False),
    ],
)
def test_a_wrong_link_is_found(link: str, anchor: str, leads: bool) -> None:
    assert _leads("README.md", link, anchor) is leads
