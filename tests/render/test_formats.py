"""Filters against CLDR's own spelling, and across the hours that clocks skip and repeat."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.errors import RenderError
from tocsin.model.zones import resolve
from tocsin.render.formats import knows_locale, zone_or
from tocsin.render.sandbox import compiled, rendered, sandbox


def written(template: str, value: Any, locale: str = "en", timezone: str = "America/New_York") -> str:
    environment = sandbox({"t/sms": template})
    context = {**environment.globals, "v": value, "locale": locale, "timezone": timezone}
    return rendered(compiled(environment, "t/sms"), context)


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en-US", "4:35\u202fPM"),
        ("en-GB", "16:35"),
        ("de", "16:35"),
        ("de-AT", "16:35"),
        ("es", "16:35"),
        ("es-MX", "4:35\u202fp.m."),
    ],
)
def test_time_is_written_as_the_language_does(locale: str, text: str) -> None:
    assert written("{{ v | time }}", "2013-02-08T21:35:00Z", locale) == text


@pytest.mark.parametrize(
    ("locale", "style", "text"),
    [
        ("en", "full", "Friday, February 8, 2013"),
        ("de", "full", "Freitag, 8. Februar 2013"),
        ("es", "full", "viernes, 8 de febrero de 2013"),
        ("en", "medium", "Feb 8, 2013"),
        ("de", "short", "08.02.13"),
        ("de", "MMMEd", "Fr., 8. Feb."),
        ("es", "MMMEd", "vie, 8 feb"),
        ("en", "Md", "2/8"),
    ],
)
def test_date_is_written_as_the_language_does(locale: str, style: str, text: str) -> None:
    assert written("{{ v | date('" + style + "') }}", "2013-02-08T21:35:00Z", locale) == text


def test_datetime_is_date_and_time() -> None:
    assert written("{{ v | datetime }}", "2013-02-08T21:35:00Z") == "2/8/13, 4:35\u202fPM"
    assert written("{{ v | datetime('full') }}", "2013-02-08T21:35:00Z", "de") == (
        "Freitag, 8. Februar 2013, 16:35:00 Nordamerikanische Ostküsten-Normalzeit"
    )
    assert written("{{ v | datetime('EHm') }}", "2013-02-08T21:35:00Z", "de") == "Fr., 16:35"


@pytest.mark.parametrize(
    "text",
    [
        "2013-02-08T16:35:00-05:00[America/New_York]",
        "2013-02-08T21:35Z",
        "2013-02-08 21:35:00.123456789+00",
        "2013-02-08T21:34:60Z",
    ],
)
def test_times_are_read_as_those_of_events(text: str) -> None:
    assert written("{{ v | time }} {{ v | date('short') }}", text, "de") == "16:35 08.02.13"


@pytest.mark.parametrize("text", ["soon", "2013-02-30T00:00:00Z", "2013-02-08T21:35:00+25:00", ""])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(RenderError, match="ValueError"):
        written("{{ v | time }}", text)


@pytest.mark.parametrize(
    ("style", "english", "german"),
    [
        ("Hm", "16:35", "16:35"),
        ("HHmm", "16:35", "16:35"),
        ("Hms", "16:35:00", "16:35:00"),
        ("jm", "4:35 PM", "16:35"),
        ("EHm", "Fri 16:35", "Fr., 16:35"),
        ("HH:mm", "16:35", "16:35"),
        ("d.M. HH:mm", "8.2. 16:35", "8.2. 16:35"),
    ],
)
def test_time_by_a_skeleton_or_a_pattern(style: str, english: str, german: str) -> None:
    for template in ("{{ v | time('" + style + "') }}", "{{ v | datetime('" + style + "') }}"):
        assert written(template, "2013-02-08T21:35:00Z").replace("\u202f", " ") == english
        assert written(template, "2013-02-08T21:35:00Z", "de") == german


@pytest.mark.parametrize(
    ("locale", "style", "text"),
    [
        ("en", "MMMEdjm", "Fri, Feb 8, 4:35 PM"),
        ("en-GB", "MMMEdjm", "Fri 8 Feb, 16:35"),
        ("de", "yMMMMEEEEdjm", "Freitag, 8. Februar 2013, 16:35"),
        ("es", "MMMMEEEEdHm", "viernes, 8 de febrero, 16:35"),
        ("ja", "yMMMdjm", "2013年2月8日 16:35"),
        ("ru", "MMMMdjm", "8 февраля, 16:35"),
    ],
)
def test_a_skeleton_of_date_and_time_joins_the_two(locale: str, style: str, text: str) -> None:
    shown = written("{{ v | datetime('" + style + "') }}", "2013-02-08T21:35:00Z", locale)
    assert shown.replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("style", "english", "german"),
    [
        ("EEEE", "Friday", "Freitag"),
        ("yMMMMEEEEd", "Friday, February 8, 2013", "Freitag, 8. Februar 2013"),
        ("MMMMd", "February 8", "8. Februar"),
        ("dd.MM.yyyy", "08.02.2013", "08.02.2013"),
    ],
)
def test_names_in_a_date_are_as_long_as_the_skeleton(style: str, english: str, german: str) -> None:
    assert written("{{ v | date('" + style + "') }}", "2013-02-08") == english
    assert written("{{ v | date('" + style + "') }}", "2013-02-08", "de") == german


@pytest.mark.parametrize("filtered", ["time('bogus')", "datetime('Hoax')", "date('Hm')", "date('nice')"])
def test_a_skeleton_that_says_nothing_is_an_error(filtered: str) -> None:
    with pytest.raises(RenderError, match="ValueError"):
        written("{{ v | " + filtered + " }}", "2013-02-08T21:35:00Z")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2013-03-10T06:59:00Z", "01:59"),
        ("2013-03-10T07:00:00Z", "03:00"),
        ("2013-11-03T05:30:00Z", "01:30"),
        ("2013-11-03T06:30:00Z", "01:30"),
        ("2013-11-03T07:30:00Z", "02:30"),
    ],
)
def test_time_when_clocks_change(moment: str, text: str) -> None:
    assert written("{{ v | time }}", moment, "de") == text


def test_times_in_a_zone_the_template_names() -> None:
    zoned = "{{ v | time('short', 'Asia/Tokyo') }} {{ v | date('short', 'Asia/Tokyo') }}"
    assert written(zoned, "2013-02-08T21:35:00Z", "de") == "06:35 09.02.13"


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        ("2026-01-15T12:00:00Z", "Europe/Dublin", "12:00:00 Greenwich Mean Time"),
        ("2026-07-15T12:00:00Z", "Europe/Dublin", "13:00:00 Irish Standard Time"),
        ("2026-07-15T12:00:00Z", "Eire", "13:00:00 Irish Standard Time"),
        ("2026-07-15T12:00:00Z", "Europe/London", "13:00:00 British Summer Time"),
        ("2026-01-15T12:00:00Z", "Africa/Casablanca", "13:00:00 Western European Summer Time"),
        ("2026-03-01T12:00:00Z", "Africa/Casablanca", "12:00:00 Western European Standard Time"),
    ],
)
def test_zone_is_named_by_its_clock(moment: str, zone: str, text: str) -> None:
    """tzdata says that Ireland and Morocco save an hour in winter, CLDR that they do in summer."""
    assert written("{{ v | time('full') }}", moment, "en-IE", zone) == text
    assert written("{{ v | datetime('full') }}", moment, "en-IE", zone).endswith(text)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-10-25T00:30:00Z", "01:30:00 Irish Standard Time"),
        ("2026-10-25T01:30:00Z", "01:30:00 Greenwich Mean Time"),
    ],
)
def test_hour_that_comes_twice_has_two_names(moment: str, text: str) -> None:
    assert written("{{ v | time('full') }}", moment, "en-IE", "Europe/Dublin") == text


def test_an_unknown_zone_in_a_template_is_utc() -> None:
    assert written("{{ v | time('short', 'Mars/Base') }}", "2013-02-08T21:35:00Z", "de") == "21:35"


@pytest.mark.parametrize(
    "value",
    ["2013-02-08T21:35:00Z", "2013-02-08T22:35:00+01:00", "2013-02-08T21:35:00", 1_360_359_300_000],
)
def test_moments_come_as_rfc_3339_or_milliseconds(value: str | int) -> None:
    assert written("{{ v | time }}", value, "de") == "16:35"


def test_a_plain_date_is_that_day_everywhere() -> None:
    for zone in ("Pacific/Honolulu", "Pacific/Kiritimati"):
        assert written("{{ v | date('short') }}", "2013-02-08", "de", zone) == "08.02.13"


@pytest.mark.parametrize(
    ("locale", "text"),
    [("en", "1,234.5"), ("de", "1.234,5"), ("fr", "1\u202f234,5"), ("es", "1.234,5")],
)
def test_numbers(locale: str, text: str) -> None:
    assert written("{{ v | number }}", 1234.5, locale) == text


def test_numbers_with_decimals() -> None:
    assert written("{{ v | number(2) }}", 1234.5, "de") == "1.234,50"
    assert written("{{ v | number(0) }}", 1234.4) == "1,234"


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en", "1,234,567.50"),
        ("en-IN", "12,34,567.50"),
        ("hi", "12,34,567.50"),
        ("de-CH", "1'234'567.50"),
        ("fr-CH", "1'234'567,50"),
    ],
)
def test_digits_are_grouped_as_the_language_does(locale: str, text: str) -> None:
    assert written("{{ v | number(2) }}", 1234567.5, locale) == text
    assert written("{{ v | number(2) }}", -1234567.5, locale) == f"-{text}"
    assert written("{{ v | number(0) }}", 1234567, locale) == text[:-3]
    assert written("{{ v | number }}", 1234567, locale) == text[:-3]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "CHF\u00a00.25"),
        (1234.5, "CHF\u00a01'234.50"),
        (1234567.5, "CHF\u00a01'234'567.50"),
        (-12345678901, "CHF-12'345'678'901.00"),
    ],
)
def test_swiss_money_keeps_its_apostrophes(value: float, text: str) -> None:
    assert written("{{ v | currency('CHF') }}", value, "de-CH") == text


def test_whole_swiss_money_keeps_its_apostrophes() -> None:
    assert written("{{ v | currency('CHF', cents=false) }}", 1234567.2, "de-CH") == "CHF\u00a01'234'567"


@pytest.mark.parametrize(
    ("locale", "text", "whole"),
    [
        ("en", "$1,234.50", "$1,235"),
        ("de", "1.234,50\xa0$", "1.235\xa0$"),
        ("es", "1.234,50\xa0US$", "1.235\xa0US$"),
    ],
)
def test_money(locale: str, text: str, whole: str) -> None:
    assert written("{{ v | currency('USD') }}", 1234.5, locale) == text
    assert written("{{ v | currency('USD', cents=false) }}", 1234.6, locale) == whole


@pytest.mark.parametrize(
    ("locale", "currency", "text"),
    [
        ("en", "CHF", "CHF\u00a01,234.50"),
        ("en-ZA", "ZAR", "R\u00a01\u00a0234,50"),
        ("es-MX", "USD", "USD\u00a01,234.50"),
        ("bn", "USD", "1,234.50\u00a0US$"),
        ("pt-BR", "BRL", "R$\u00a01.234,50"),
        ("en", "USD", "$1,234.50"),
        ("de", "CHF", "1.234,50\u00a0CHF"),
    ],
)
def test_letters_of_a_currency_keep_their_distance(locale: str, currency: str, text: str) -> None:
    assert written("{{ v | currency('" + currency + "') }}", 1234.5, locale) == text
    negative = written("{{ v | currency('" + currency + "') }}", -1234.5, locale)
    assert negative == f"-{text}"


def test_money_in_no_currency_is_an_error() -> None:
    with pytest.raises(RenderError, match="ValueError"):
        written("{{ v | currency('DOLLARS') }}", 1)


@pytest.mark.parametrize(
    ("minutes", "long", "short"),
    [
        (0, "0 Minuten", "0 min"),
        (1, "1 Minute", "1 min"),
        (35, "35 Minuten", "35 min"),
        (60, "1 Stunde", "1 h"),
        (95, "1 Stunde und 35 Minuten", "1 h 35 min"),
        (1_301, "21 Stunden und 41 Minuten", "21 h 41 min"),
        (-35, "-35 Minuten", "-35 min"),
        (-95, "-1 Stunde und 35 Minuten", "-1 h 35 min"),
        (-0.4, "0 Minuten", "0 min"),
    ],
)
def test_durations(minutes: int, long: str, short: str) -> None:
    assert written("{{ v | duration }}", minutes, "de") == long
    assert written("{{ v | duration('short') }}", minutes, "de") == short


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_short_durations_add_up(minutes: int) -> None:
    words = written("{{ v | duration('short') }}", minutes).split()
    scale = {"h": 60, "min": 1}
    assert sum(int(n) * scale[unit] for n, unit in zip(words[::2], words[1::2], strict=True)) == minutes


@settings(deadline=None)
@example("ASIA/BEIJING")
@given(st.text(max_size=30))
def test_any_name_of_a_zone_gives_a_zone(name: str) -> None:
    assert zone_or(name, "UTC") in (resolve(name), "UTC")


@pytest.mark.parametrize("name", ["", "America", "../passwd", "/etc/passwd", "Mars/Base", "a\x00b", "é"])
def test_what_is_no_zone_gives_the_default(name: str) -> None:
    assert zone_or(name, "Europe/Vienna") == "Europe/Vienna"


def test_locales_cldr_knows() -> None:
    assert [tag for tag in ("de", "de-AT", "zh-Hant-TW", "xx", "", "de-XQ") if knows_locale(tag)] == [
        "de",
        "de-AT",
        "zh-Hant-TW",
    ]
