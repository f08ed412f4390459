"""docs/catalog.md teaches the catalog by examples: each is loaded, and each timeline is played."""

from pathlib import Path

import pytest

from tests.docs.repository import ROOT
from tests.docs.timelines import faults, play, sections, timelines, write_catalog

PAGE = (ROOT / "docs" / "catalog.md").read_text()
SECTIONS = list(sections(PAGE))
PLAYED = [(title, text, number) for title, text in SECTIONS for number in range(len(timelines(text)))]


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_the_files_of_each_section_are_a_catalog_without_faults(
    title: str, text: str, tmp_path: Path
) -> None:
    if write_catalog(text, tmp_path):
        assert faults(tmp_path) == [], title


@pytest.mark.parametrize(
    ("title", "text", "number"), PLAYED, ids=[f"{title}-{number}" for title, _, number in PLAYED]
)
def test_each_timeline_comes_true(title: str, text: str, number: int, tmp_path: Path) -> None:
    write_catalog(text, tmp_path)
    shown, came = play(timelines(text)[number], tmp_path)
    assert came == shown, title


def test_a_timeline_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    _, text = SECTIONS[0]
    write_catalog(text, tmp_path)
    shown, came = play(timelines(text)[0].replace("admitted email", "admitted sms"), tmp_path)
    assert came != shown
