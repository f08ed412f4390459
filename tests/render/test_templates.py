"""Where templates are found: languages, their regions, parts for every language."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.errors import CatalogError
from tocsin.render.templates import family, find_parts, load_templates, normal_locale

TEMPLATES = dict.fromkeys(
    [
        "n/en/title",
        "n/en/body",
        "n/en/sms",
        "n/de/title",
        "n/de/body",
        "n/de-AT/title",
        "n/es/title",
        "n/url",
    ],
    "",
)


def test_files_are_read_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "n" / "de-AT").mkdir(parents=True)
    (tmp_path / "n" / "de-AT" / "sms.j2").write_text("Grüß Gott", "utf-8")
    (tmp_path / "n" / "url.j2").write_text("https://", "utf-8")
    (tmp_path / "n" / "sample.json").write_text("{}", "utf-8")
    assert load_templates(tmp_path) == {"n/de-AT/sms": "Grüß Gott", "n/url": "https://"}


def test_files_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "sms.j2").write_bytes(b"Gr\xfc\xdfe")
    with pytest.raises(CatalogError, match=r"sms\.j2:1: not UTF-8"):
        load_templates(tmp_path)


@pytest.mark.parametrize(
    ("locale", "normal"),
    [
        ("de", "de"),
        ("DE_at", "de-AT"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        (" en-us ", "en-US"),
        ("", ""),
        ("e", ""),
        ("german", ""),
        ("en-", ""),
        ("de/../en", ""),
        ("de-AT-1996", ""),
    ],
)
def test_locales_are_spelled_one_way(locale: str, normal: str) -> None:
    assert normal_locale(locale) == normal


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_locale_is_normal_or_nothing(locale: str) -> None:
    normal = normal_locale(locale)
    assert normal_locale(normal) == normal
    assert "/" not in normal
    assert "." not in normal


def test_families_go_from_special_to_general() -> None:
    assert family("zh_hant_TW") == ("zh-Hant-TW", "zh-Hant", "zh")
    assert family("de") == ("de",)
    assert family("nonsense") == ()


def test_a_region_overrides_single_parts() -> None:
    assert find_parts(TEMPLATES, "n", "push", "de-AT") == {
        "title": "n/de-AT/title",
        "body": "n/de/body",
        "url": "n/url",
    }


def test_a_language_without_a_required_part_is_not_found() -> None:
    assert find_parts(TEMPLATES, "n", "push", "es") is None
    assert find_parts(TEMPLATES, "n", "sms", "de") is None
    assert find_parts(TEMPLATES, "gone", "push", "en") is None
    assert find_parts(TEMPLATES, "n", "push", "") is None


def test_each_channel_has_its_parts() -> None:
    assert find_parts(TEMPLATES, "n", "sms", "en") == {"sms": "n/en/sms"}
    assert find_parts(TEMPLATES, "n", "email", "en") is None
