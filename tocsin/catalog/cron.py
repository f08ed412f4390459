"""Finds the times of a cron expression: in a zone as Debian's cron does, or on a clock without a zone.

Five fields: minute, hour, day of month, month, day of week. Of a time of day that comes twice on one day it
is the first; a time that the clock leaps over is the moment of the leap. Expressions with `*` as minute or
hour follow real time: they come in both hours when one comes twice.
"""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from cronsim import CronSim, CronSimError

from tocsin.model.zones import zone as find_zone

_FIELDS: Final = 5
_UNITS: Final = ("minute", "hour", "day", "month", "weekday")
_LONGEST: Final = (59, 23, 30, 11, 6)
_CURES: Final = {
    "minute": "write 0 to 59, * or a step such as */10",
    "hour": "write 0 to 23, * or a step such as */2",
    "day-of-month": "write a day that its month has, 1 to 31, or L for the last one",
    "month": "write 1 to 12, or JAN to DEC",
    "day-of-week": "write 0 to 7, or SUN to SAT",
}
"""What may be written in each field, by the library's name for it."""
_STEP: Final = re.compile(r"/(\d+)")
_ON_THE_WAY: Final = 3_000
_DENSE_MS: Final = 2 * 86_400_000
"""An expression that comes so often that 3,000 of its times do not reach the present has several here."""


def cron_fault(cron: str) -> str:
    """Say what is wrong with an expression, and the cure; empty if nothing is."""
    if len(cron.split()) != _FIELDS:
        return "not five fields: write minute, hour, day of month, month and day of week, like 0 9 * * MON"
    try:
        found = next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        cure = _CURES.get(field, "write it as cron does, like 0 9 * * MON")
        return f"it has a bad {field.replace('-', ' ')}: {cure}"
    for unit, field, most in zip(_UNITS, cron.split(), _LONGEST, strict=True):
        if any(int(step) > most for step in _STEP.findall(field)):
            return f"a step that is longer than the {unit}s there are: write at most {most}"
    return "" if found else "a date that never comes: correct the day or the month"


def has_fixed_time(cron: str) -> bool:
    """Tell whether hour and minute are times of the day, and no steps of real time."""
    minute, hour = cron.split()[:2]
    return not minute.startswith("*") and not hour.startswith("*")


def next_ms(cron: str, zone: str, after_ms: int) -> int | None:
    """Return the first time behind `after_ms`, in ms; None if there is none in 50 years.

    Args:
        cron: the expression, sound.
        zone: an IANA name.
        after_ms: ms since 1970 UTC.

    >>> next_ms("30 2 * * *", "Europe/Berlin", 1_774_740_600_000) == 1_774_746_000_000  # 29 March 2026, 03:00
    True
    """
    tz = find_zone(zone) if zone != "UTC" else None
    start = datetime.fromtimestamp(after_ms // 1000, tz or UTC)
    # cronsim drops `fold`: in an hour that comes twice its first answers may lie before the start.
    found = (int(moment.timestamp() * 1000) for moment in islice(CronSim(cron, start), 4_000))
    return next((ms for ms in found if ms > after_ms), None)


def last_ms(cron: str, zone: str, from_ms: int, until_ms: int) -> int:
    """Return the last time up to `until_ms`; `from_ms` is one of the times."""
    found, count = from_ms, 0
    while (following := next_ms(cron, zone, found)) is not None and following <= until_ms:
        found, count = following, count + 1
        if count == _ON_THE_WAY:
            return last_ms(cron, zone, max(found, until_ms - _DENSE_MS), until_ms)
    return found


def spelled(ms: int, zone: str) -> str:
    """Write a time as the clock of a zone shows it, with the offset.

    >>> spelled(1_774_746_000_000, "Europe/Berlin"), spelled(1_774_746_000_000, "UTC")
    ('2026-03-29T03:00+02:00', '2026-03-29T01:00Z')
    """
    tz = find_zone(zone) if zone != "UTC" else None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.astimezone(tz or UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
