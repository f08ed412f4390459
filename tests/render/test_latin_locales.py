"""Text messages of every Latin-script locale that Babel has: only letters of the language cost UCS-2."""

import unicodedata
from collections.abc import Iterator
from functools import cache

import pytest
from babel import Locale, localedata
from babel.core import get_global
from babel.numbers import get_territory_currencies

from tests.render.render_world import message
from tocsin.catalog.sms import SmsSettings
from tocsin.catalog.spec import Senders
from tocsin.render.content import ContentContext, sms_content
from tocsin.render.currency_codes import SIGNS, WORDS
from tocsin.render.formats import knows_locale
from tocsin.render.sandbox import compiled, rendered, sandbox
from tocsin.render.sms import GSM_BASIC, GSM_EXTENDED, analyse, smart

GSM = GSM_BASIC | GSM_EXTENDED
TEMPLATE = """\
{% for style in ["short", "medium", "long", "full"] %}
{% for month in months %}
{{ month | date(style) }}
{% endfor %}
{% for hour in hours %}
{{ hour | time(style) }}
{{ hour | datetime(style) }}
{% endfor %}
{% endfor %}
{% for value in [1234567.5, -1234.5, 0.25] %}
{{ value | number }}
{{ value | number(2) }}
{% for code in ["USD", "EUR", "GBP", "CHF", "INR", "TRY", "PHP"] %}
{{ value | currency(code) }}
{{ value | currency(code, cents=false) }}
{% endfor %}
{% endfor %}
{% for minutes in [1, 95, 1301] %}
{{ minutes | duration }}
{{ minutes | duration("short") }}
{% endfor %}
"""
MOMENTS = {
    "months": [f"2026-{month:02}-28" for month in range(1, 13)],
    "hours": [f"2026-11-28T{hour:02}:20:33Z" for hour in (0, 3, 12, 15)],
}
# The languages whose names of months and days are GSM-7 throughout, in every region.
PLAIN = frozenset({"da", "de", "en", "fi", "gsw", "id", "it", "ms", "nb", "nl", "nn", "no", "sv", "sw"})


def is_latin(tag: str) -> bool:
    subtags = get_global("likely_subtags")
    known = Locale.parse(tag)
    likely = subtags.get(f"{known.language}_{known.territory}") or subtags.get(known.language) or ""
    return (known.script or "Latn") == "Latn" if known.script else "_Latn" in likely


LATIN = sorted(tag for tag in localedata.locale_identifiers() if is_latin(tag))
ENVIRONMENT = sandbox({"t/sms": TEMPLATE})
COMPILED = compiled(ENVIRONMENT, "t/sms")


def lines(tag: str) -> Iterator[str]:
    own = {"locale": tag.replace("_", "-"), "timezone": "UTC"}
    yield from rendered(COMPILED, {**ENVIRONMENT.globals, **MOMENTS, **own}).split("\n")


def letters_outside(text: str) -> set[str]:
    return {char for char in text if char not in GSM and unicodedata.category(char)[0] in "LM"}


def sms(text: str, **settings: bool) -> tuple[str, str]:
    context = ContentContext(message("sms"), Senders(), sms=SmsSettings(**settings))
    content = sms_content({"sms": text}, context)
    return content.text, content.encoding


def test_babel_has_the_locales_that_this_file_is_about() -> None:
    assert len(LATIN) > 700
    assert {"de_CH", "es_MX", "pl_PL", "sr_Latn_RS", "en_IN", "tr_TR"} <= set(LATIN)
    assert not {"ru_RU", "sr_RS", "el_GR"} & set(LATIN)


@pytest.mark.parametrize("initial", sorted({tag[0] for tag in LATIN}))
def test_dates_times_money_and_numbers_are_gsm_7_but_for_letters_of_the_language(initial: str) -> None:
    for tag in LATIN:
        if tag[0] == initial and knows_locale(tag.replace("_", "-")):
            costly = [line for line in lines(tag) if analyse(smart(line)).encoding != "GSM-7"]
            assert [line for line in costly if not letters_outside(smart(line))] == [], tag


@pytest.mark.parametrize("tag", [tag for tag in LATIN if tag.split("_")[0] in PLAIN])
def test_whole_languages_cost_nothing_more(tag: str) -> None:
    assert [line for line in lines(tag) if sms(line)[1] != "GSM-7"] == []


def test_every_sign_of_a_currency_in_use_has_its_code() -> None:
    """`ƒ` is the sign of three currencies; ẽ is a letter of Kaingang."""
    for tag in LATIN:
        known = Locale.parse(tag)
        symbols = known.currency_symbols
        for currency in _in_use() - {"XCG"}:
            text = smart(f"{symbols.get(currency, currency)} 5")
            assert analyse(text).encoding == "GSM-7", (tag, currency)


@cache
def _in_use() -> frozenset[str]:
    territories = get_global("territory_currencies")
    return frozenset(code for territory in territories for code in get_territory_currencies(territory))


def test_a_sign_means_the_currency_that_cldr_means() -> None:
    codes = {**SIGNS, **WORDS}
    for tag in LATIN:
        for currency, symbol in Locale.parse(tag).currency_symbols.items():
            if symbol in codes and currency in _in_use():
                assert codes[symbol] == currency, tag


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Only ₹1,234.50 today", "Only INR 1,234.50 today"),
        ("Razem 12,00\u00a0zł.", "Razem 12,00 PLN."),
        ("Celkem 99 Kč", "Celkem 99 CZK"),
        ("₱500/₦500/₵500", "PHP 500/NGN 500/GHS 500"),
        ("5₪, ₡5 and 5 ₺", "5 ILS, CRC 5 and 5 TRY"),
        ("-₹5 – it’s (₹6)", "-INR 5 - it's (INR 6)"),
        ("Cafe\u0301 21\u212b", "Café 21Å"),
        ("3:20\u202fPM, CHF\u00a01’234.50", "3:20 PM, CHF 1'234.50"),
        ("\u200e+1 555\u200e", "+1 555"),
        ("Soʻm, cʼhwevrer", "So'm, c'hwevrer"),
    ],
)
def test_what_says_the_same_in_gsm_7_is_written_so(text: str, written: str) -> None:
    assert sms(text) == (written, "GSM-7")


@pytest.mark.parametrize("text", ["Вам ₹500", "Zapłać 12 zł", "zły żart za 12 zł"])
def test_a_text_that_is_ucs_2_anyway_keeps_its_signs(text: str) -> None:
    assert sms(text) == (text, "UCS-2")


def test_a_tenant_may_keep_the_signs() -> None:
    assert sms("Only ₹99 today", currency_codes=False) == ("Only ₹99 today", "UCS-2")
    assert sms("It’s $5", currency_codes=False) == ("It's $5", "GSM-7")


def test_a_word_is_replaced_only_as_a_whole() -> None:
    assert smart("lekë 5 Lekë") == "lekë 5 Lekë", "`lekë` is a word of the language as well"
    assert sms("zła 5")[1] == "UCS-2"
    assert sms("5zł")[0] == "5 PLN"
