"""RFC 3339 times to milliseconds, fast: events of one minute share its parse."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated

import msgspec

LATEST_MS = 253_402_128_000_000
"""30 December 9999 UTC: the last day that exists on the clocks of all time zones."""
CURE = "write RFC 3339 with an offset, like 2026-01-31T09:30:00Z"
_MINUTE = len("2026-01-31T09:30")
_SECOND = len(":00")
_LEAP = ":60"
_WHOLE = len("2026-01-31T09:30:00Z")
_MILLIS = len("2026-01-31T09:30:00.000Z")
_WithOffset = Annotated[datetime, msgspec.Meta(tz=True)]


def rfc3339_ms(text: str) -> int:
    """Return milliseconds since 1970 UTC; ValueError if `text` is no RFC 3339 time with an offset.

    Digits beyond the millisecond are cut off. A leap second is the first second of the next minute. Seconds
    that are 0 may be left out, as Java's OffsetDateTime writes them.

    >>> rfc3339_ms("1970-01-01T01:00:00.25+01:00")
    250
    >>> rfc3339_ms("2016-12-31T23:59:60Z") - rfc3339_ms("2016-12-31T23:59:59Z")
    1000
    """
    if text[-1:] == "Z":
        length = len(text)
        if length == _WHOLE:
            return _second_ms(text[:-1])
        if length == _MILLIS and text[_WHOLE - 1] == "." and text.isascii() and text[_WHOLE:-1].isdecimal():
            return _second_ms(text[: _WHOLE - 1]) + int(text[_WHOLE:-1])
    return _any_ms(text)


@lru_cache(4096)
def _second_ms(second: str) -> int:
    """Milliseconds of a whole second in UTC: of what most producers write, one look-up."""
    return _any_ms(second + "Z")


def _any_ms(text: str) -> int:
    rest = text[_MINUTE:]
    if rest[:1] not in {"", ":"}:
        rest = ":00" + rest
    if rest[_SECOND : _SECOND + 1] != ".":
        return _minute_ms(text[:_MINUTE]) + _rest_ms(rest)
    stop = len(rest) - (1 if rest[-1] in "Zz" else len("+00:00"))
    fraction = rest[_SECOND + 1 : stop]
    if not (fraction.isascii() and fraction.isdecimal()):
        raise ValueError(CURE)
    return _minute_ms(text[:_MINUTE]) + _rest_ms(rest[:_SECOND] + rest[stop:]) + int((fraction + "00")[:3])


@lru_cache(4096)
def _minute_ms(minute: str) -> int:
    return _parse(minute + ":00Z")


@lru_cache(4096)
def _rest_ms(rest: str) -> int:
    """Milliseconds that `:SS` and the offset add to the minute; the offset's colon is not optional."""
    if rest[-1:] not in {"Z", "z"} and rest[-3:-2] != ":":
        raise ValueError(CURE)
    if rest.startswith(_LEAP):
        return _parse("1970-01-02T00:00:59" + rest[_SECOND:]) - 86_400_000 + 1_000
    return _parse("1970-01-02T00:00" + rest) - 86_400_000


def _parse(text: str) -> int:
    try:
        return round(msgspec.convert(text, _WithOffset).timestamp()) * 1_000
    except msgspec.ValidationError as error:
        raise ValueError(CURE) from error
