"""Gives Babel times whose zones it names rightly: `GMT` in an Irish winter, `IST` in summer.

tzdata calls Ireland's summer the standard time, and its winter a saving of minus one hour; so it does
Morocco's, whose winter is the month of Ramadan. CLDR has its names the other way round, and Babel takes the
summer's name whenever there is any saving (`findings/babel-names-irish-winter-summer.sh`).
"""

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

_NONE = timedelta(0)
_STEP = timedelta(days=14)  # shorter than any saving
_STEPS = 27  # more than a year of them


def for_names(moment: datetime) -> datetime:
    """Return the same moment in a zone that counts savings from the winter's clock.

    >>> from zoneinfo import ZoneInfo
    >>> for_names(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Dublin"))).dst()
    datetime.timedelta(seconds=3600)
    """
    zone = moment.tzinfo
    if zone is None or not (least := _least_saving(zone, moment.year)):
        return moment
    return moment.replace(tzinfo=_FromWinter(zone, least))


@lru_cache(1024)
def _least_saving(zone: tzinfo, year: int) -> timedelta:
    """Return the lowest saving in a year, if it is below zero."""
    start = datetime(year, 1, 1)  # noqa: DTZ001 - the zone is asked about its own clock
    savings = [zone.dst(start + step * _STEP) or _NONE for step in range(_STEPS)]
    return min(_NONE, *savings)


class _FromWinter(tzinfo):
    """A zone, with its savings raised by one amount."""

    def __init__(self, zone: tzinfo, least: timedelta) -> None:
        self.key = str(zone)  # Babel looks names up by it
        self._zone = zone
        self._least = least

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return self._zone.utcoffset(moment)

    def tzname(self, moment: datetime | None) -> str | None:
        return self._zone.tzname(moment)

    def dst(self, moment: datetime | None) -> timedelta:
        return (self._zone.dst(moment) or _NONE) - self._least
