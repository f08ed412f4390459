"""What is shipped with the pages: complete, of known origin, and nothing from elsewhere."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from dashboards import web
from dashboards.web.story_page import TONES

HERE = Path(web.__file__).parent
OWN = [
    file
    for file in (HERE / "static").iterdir()
    if file.suffix in {".js", ".css", ".svg"} and ".umd." not in file.name
]
TEMPLATES = list((HERE / "templates").iterdir())


def test_the_chart_library_is_the_file_that_its_note_names() -> None:
    note = (HERE / "static/chart.umd.min.js.txt").read_text()
    digest = sha256((HERE / "static/chart.umd.min.js").read_bytes()).hexdigest()
    assert re.search(rf"^sha256 +{digest}$", note, re.MULTILINE)
    assert "The MIT License" in note


@pytest.mark.parametrize("file", [*OWN, *TEMPLATES], ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere_or_stands_in_the_page(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(
        r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=\"|innerHTML \+?=(?!=)|eval\(", text
    )


def test_pages_name_only_files_that_are_there() -> None:
    there = {file.name for file in (HERE / "static").iterdir()}
    named = {name for file in TEMPLATES for name in re.findall(r"/static/([\w.]+)", file.read_text())}
    imported = {
        name
        for file in OWN
        for name in re.findall(r"from \"\./([\w.]+)\"|url\(\"([\w.]+)\"\)", file.read_text())
    }
    assert named | {one or other for one, other in imported} <= there
    assert "main.js" in named


def test_the_browser_gives_a_status_the_tone_that_the_server_gives_it() -> None:
    text = (HERE / "static/words.js").read_text()
    lists = {
        tone.lower(): re.findall(r'"(\w+)"', names)
        for tone, names in re.findall(r"const (GOOD|WARN|BAD|CALM) = \[(.*)\]", text)
    }
    in_browser = {name: tone for tone, names in lists.items() for name in names}
    assert {name: in_browser.get(name) for name in TONES} == TONES
