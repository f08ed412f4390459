"""Where templates are found: languages, their regions, parts for every language."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.errors import CatalogError
from tocsin.model.locales import family, resolve
from tocsin.render.templates import find_parts, load_templates

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
        ("de-AT-1996", "de-AT"),
        ("en_US@calendar=japanese", "en-US"),
        ("de_DE.UTF-8", "de-DE"),
        ("sr_RS@latin", "sr-Latn-RS"),
        ("zh_TW_#Hant", "zh-Hant-TW"),
        ("en-US-u-ca-japanese", "en-US"),
        ("iw-IL", "he-IL"),
        ("in_ID", "id-ID"),
        ("no-NO", "nb-NO"),
        ("nn-NO", "nn-NO"),
        ("ars-AE", "ars-AE"),
        ("deu", "de"),
        ("C", ""),
    ],
)
def test_locales_are_spelled_one_way(locale: str, normal: str) -> None:
    assert resolve(locale) == normal


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_locale_is_normal_or_nothing(locale: str) -> None:
    normal = resolve(locale)
    assert resolve(normal) == normal
    assert "/" not in normal
    assert "." not in normal


def test_families_go_from_special_to_general() -> None:
    assert family("zh_hant_TW") == ("zh-Hant-TW", "zh-TW", "zh-Hant", "zh", "zh-Hans")
    assert family("de") == ("de",)
    assert family("nonsense") == ()


@pytest.mark.parametrize(
    ("locale", "folder"),
    [
        ("en_US@calendar=japanese", "en"),
        ("de_DE.UTF-8", "de"),
        ("sr_RS@latin", "sr-Latn"),
        ("sr-ME", "sr-Latn"),
        ("iw-IL", "he"),
        ("in_ID", "id"),
        ("no-NO", "nb"),
        ("nn-NO", "nb"),
        ("nb-NO", "no"),
        ("ars-AE", "ar"),
        ("arz-EG", "ar-EG"),
        ("zh-CN", "zh-Hans"),
        ("zh-Hans-CN", "zh-CN"),
        ("zh_MO", "zh-Hant-HK"),
        ("zh-Hant-TW", "zh-TW"),
        ("es-MX", "es-419"),
        ("pt-AO", "pt-PT"),
        ("cmn", "zh"),
    ],
)
def test_a_language_is_served_by_what_cldr_names(locale: str, folder: str) -> None:
    templates = {f"n/{folder}/sms": "", "n/en-ZA/sms": "", "n/da/sms": ""}
    assert find_parts(templates, "n", "sms", locale) == {"sms": f"n/{folder}/sms"}


def test_a_language_is_not_served_by_another() -> None:
    assert find_parts({"n/en/sms": "", "n/nn/sms": "", "n/zh/sms": ""}, "n", "sms", "hi-Latn") is None
    assert find_parts({"n/nn/sms": ""}, "n", "sms", "nb-NO") is None


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
