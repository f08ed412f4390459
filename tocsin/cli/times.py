"""Reads moments on the command line: `2026-01-31T09:30:00Z`, `2026-01-31`, or how long ago, like `7d`."""

import re
import time
from typing import Annotated

import typer

from tocsin.cli.output import fail
from tocsin.model.rfc3339 import rfc3339_ms

CURE = "write a time like 2026-01-31T09:30:00Z, a day like 2026-01-31, or how long ago: 30m, 12h, 7d, 4w"
SPAN_CURE = "write a span like 90s, 5m, 1h, 1d or 2w"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

Since = Annotated[str, typer.Option(help="first moment: a time, a day (UTC), or how long ago, like 7d")]
Until = Annotated[str, typer.Option(help="end, which is not part of it; now unless given")]


def moment_ms(text: str, now_ms: int) -> int:
    """Return the moment in milliseconds since 1970; a day begins at midnight UTC.

    Raises:
        ValueError: the text is none of the three; it says what to write.

    >>> moment_ms("1970-01-02", 0), moment_ms("1970-01-01T00:00:01Z", 0), moment_ms("2h", 10_000_000)
    (86400000, 1000, 2800000)
    """
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * _UNIT_S[ago[2]] * 1000
    try:
        return rfc3339_ms(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    except ValueError:
        raise ValueError(CURE) from None


def span_s(text: str) -> int:
    """Return the seconds of a span of time.

    Raises:
        ValueError: it is none; the text says what to write.

    >>> span_s("90s"), span_s("1d")
    (90, 86400)
    """
    found = _AGO.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError(SPAN_CURE)
    return int(found[1]) * _UNIT_S[found[2]]


def time_range(since: str, until: str, now_ms: int | None = None) -> dict[str, int]:
    """Read `--since` and `--until` as `from_ms` and `to_ms` of queries; what is not given is absent.

    A span like `7d` counts back from `now_ms`, or from the wall clock.
    """
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    found = {
        name: _option(option, text, now_ms)
        for name, option, text in (("from_ms", "since", since), ("to_ms", "until", until))
        if text
    }
    if found.get("from_ms", 0) >= found.get("to_ms", now_ms) > 0 and "from_ms" in found:
        fail(empty_range(until), code=2)
    return found


def empty_range(until: str) -> str:
    """Say why a range is empty: its beginning is not before its end, or not before now.

    >>> empty_range("2h"), empty_range("")
    ('--since is not before --until: the range is empty', '--since is not in the past: the range is empty')
    """
    end = "before --until" if until else "in the past"
    return f"--since is not {end}: the range is empty"


def _option(option: str, text: str, now_ms: int) -> int:
    try:
        return moment_ms(text, now_ms)
    except ValueError as error:
        fail(f"--{option} {text!r}: {error}", code=2)
