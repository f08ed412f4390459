"""Writes times, numbers and money as the reader's language does (CLDR, through Babel): template filters.

The results are memoized: clock times, days and durations have few values.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache, partial
from typing import Any

import jinja2
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date, format_datetime, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal
from babel.units import format_unit
from jinja2.runtime import Context

from tocsin.model.rfc3339 import rfc3339_ms
from tocsin.model.zones import resolve as resolve_zone
from tocsin.model.zones import zone as find_zone
from tocsin.render.number_forms import grouped, spaced
from tocsin.render.skeletons import TIME_FIELDS, pattern_of
from tocsin.render.text import safe_url
from tocsin.render.zone_names import for_names

STYLES = frozenset({"short", "medium", "long", "full"})
_FRACTION = re.compile(r"\.[0#]+")
MEMO = 8192  # entries a filter, some 2 MB each

Moment = str | int | float


def zone_or(name: str, default: str) -> str:
    """Return the IANA name that a text means, as decisions read it, or else the default.

    >>> zone_or("Europe/Vienna", "UTC"), zone_or("Mars/Base", "UTC"), zone_or("../passwd", "UTC")
    ('Europe/Vienna', 'UTC', 'UTC')
    """
    return resolve_zone(name) or default


@lru_cache(1024)
def knows_locale(locale: str) -> bool:
    """Tell whether dates and numbers can be written for a BCP 47 locale."""
    try:
        Locale.parse(locale, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


@lru_cache(1024)
def _locale(locale: str) -> Locale:
    return Locale.parse(locale, sep="-")


@lru_cache(MEMO)
def _moment(value: Moment, zone: str) -> datetime:
    """Read an RFC 3339 text or milliseconds since 1970; a text without an offset counts as UTC."""
    moment = datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int | float) else _read(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(find_zone(zone) or UTC)


def _read(text: str) -> datetime:
    """Read a text, also in the forms that events may have, such as Java's with the name of a zone."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(rfc3339_ms(text) / 1000, UTC)


@lru_cache(MEMO)
def _time(value: Moment, style: str, zone: str, locale: str) -> str:
    moment = _moment(value, zone)
    if style == "short":
        return _short_time(moment.hour, moment.minute, locale)
    if style in STYLES:
        return format_time(for_names(moment), style, locale=_locale(locale))
    return _formed(moment, style, locale)


@lru_cache(MEMO)
def _short_time(hour: int, minute: int, locale: str) -> str:
    return format_time(time(hour, minute), "short", locale=_locale(locale))


@lru_cache(MEMO)
def _date(value: Moment, style: str, zone: str, locale: str) -> str:
    """Write a date; a plain `2013-02-09` is that day everywhere."""
    if isinstance(value, str) and len(value) == len("2013-02-09"):
        return _day(date.fromisoformat(value), style, locale)
    return _day(_moment(value, zone).date(), style, locale)


@lru_cache(MEMO)
def _day(day: date, style: str, locale: str) -> str:
    if style in STYLES:
        return format_date(day, style, locale=_locale(locale))
    if style.isalpha() and not TIME_FIELDS.isdisjoint(style):
        msg = "a date has no time of day: use the filter datetime"
        raise ValueError(msg)
    return format_date(day, _pattern(style, locale), locale=_locale(locale))


@lru_cache(MEMO)
def _datetime(value: Moment, style: str, zone: str, locale: str) -> str:
    moment = _moment(value, zone)
    if style in STYLES:
        return format_datetime(for_names(moment), style, locale=_locale(locale))
    return _formed(moment, style, locale)


def _formed(moment: datetime, style: str, locale: str) -> str:
    return format_datetime(for_names(moment), _pattern(style, locale), locale=_locale(locale))


def _pattern(style: str, locale: str) -> str:
    """Return the pattern of a skeleton. What has more than letters, like `HH:mm`, is a pattern already."""
    return pattern_of(style, str(_locale(locale))) if style.isalpha() else style


@lru_cache(MEMO)
def _number(value: float, decimals: int | None, locale: str) -> str:
    known = _locale(locale)
    pattern = None if decimals is None else _with_decimals(known, decimals)
    return grouped(partial(format_decimal, value, pattern, locale=known), known)


def _with_decimals(known: Locale, decimals: int) -> str:
    """Return the language's pattern of a number, which knows its groups, with so many decimals."""
    fraction = "." + "0" * decimals if decimals else ""
    return _FRACTION.sub(fraction, str(known.decimal_formats[None].pattern))


@lru_cache(MEMO)
def _currency(value: float, currency: str, cents: bool, locale: str) -> str:
    if currency not in get_global("all_currencies"):
        msg = "not a currency code of ISO 4217"
        raise ValueError(msg)
    known = _locale(locale)
    write = partial(format_currency, value, currency, locale=known)
    if not cents:
        whole = str(known.currency_formats["standard"].pattern).replace(".00", "")
        write = partial(write, whole, currency_digits=False)
    return spaced(grouped(write, known), currency, known)


@lru_cache(MEMO)
def _duration(minutes: float, style: str, locale: str) -> str:
    hours, rest = divmod(abs(round(minutes)), 60)
    parts = [(hours, "hour", "h"), (rest, "minute", "min")]
    shown = [part for part in parts if part[0]] or parts[1:]
    if minutes < 0:
        shown[0] = (-shown[0][0], *shown[0][1:])
    if style == "short":  # the symbols of the SI: the same in every language that writes Latin letters
        return " ".join([f"{count} {symbol}" for count, _, symbol in shown])
    known = _locale(locale)
    texts = [format_unit(count, unit, "long", locale=known) for count, unit, _ in shown]
    return format_list(texts, locale=known)


def _in_zone(write: Callable[[Moment, str, str, str], str], usual: str) -> Callable[..., str]:
    """Make a filter that writes in the reader's language, and time zone unless the template names one."""

    @jinja2.pass_context
    def of_reader(context: Context, value: Moment, style: str = usual, zone: str = "") -> str:
        return write(value, style, zone or context["timezone"], context["locale"])

    return of_reader


@jinja2.pass_context
def _number_filter(context: Context, value: float, decimals: int | None = None) -> str:
    return _number(value, decimals, context["locale"])


@jinja2.pass_context
def _currency_filter(context: Context, value: float, currency: str, cents: bool = True) -> str:
    return _currency(value, currency, cents, context["locale"])


@jinja2.pass_context
def _duration_filter(context: Context, minutes: float, style: str = "long") -> str:
    return _duration(minutes, style, context["locale"])


FILTERS: Mapping[str, Callable[..., Any]] = {
    "time": _in_zone(_time, "short"),
    "date": _in_zone(_date, "medium"),
    "datetime": _in_zone(_datetime, "short"),
    "number": _number_filter,
    "currency": _currency_filter,
    "duration": _duration_filter,
    "link": safe_url,
}
