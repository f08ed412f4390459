"""The demo's input: in order, the same every time, with exactly the faults it counts."""

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.devkit.demo_data import BROKEN, HEADERS, DemoData, DemoRecord, Published, broken, with_faults
from tocsin.devkit.demo_events import CloudEvent, TimedEvent, flight_events, rfc3339
from tocsin.devkit.flights import Flight, chosen_days, read_flights
from tocsin.devkit.passengers import Passengers, user_id
from tocsin.errors import DecodeError, SettingsError
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.codec import decode_profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

DAYS = chosen_days(3)
LIMITS = EventLimits(256 * 1024, 0, 0, check_time=False)
CATALOG = Path(__file__).parents[2] / "examples" / "flights"
MINUTE_MS = 60_000


@lru_cache(4)
def made(passengers: int = 2_000, seed: int = 7) -> tuple[list[DemoRecord], Published]:
    data = DemoData(DAYS, passengers, seed)
    return list(data.events()), data.published


def raw(record: DemoRecord) -> RawRecord:
    return RawRecord("events", 0, 0, record.event_time_ms, record.key, record.value, record.headers)


@lru_cache(1)
def good() -> list[tuple[int, dict[str, Any]]]:
    """Every event that decodes and whose user exists, in the order of the records, duplicates included."""
    found = []
    for record in made()[0]:
        try:
            event = decode_event(raw(record), LIMITS)
        except DecodeError:
            continue
        if not event.user.startswith("stranger"):
            found.append((record.event_time_ms, json.loads(record.value or b"")))
    return found


def by_flight() -> dict[str, list[dict[str, Any]]]:
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, event in good():
        if "flight" in event["data"]:
            events[event["data"]["flight"]["id"]].append(event)
    return events


def fingerprint(records: list[DemoRecord]) -> str:
    total = blake2b(digest_size=16)
    for record in records:
        total.update(msgspec.msgpack.encode(tuple(record)))
    return total.hexdigest()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_same_arguments_give_the_same_bytes() -> None:
    again = list(DemoData(DAYS, 2_000, 7).events())
    assert again == made()[0]
    assert fingerprint(made()[0]) == "7a760001e564e00c9e7b33d3420056aa"
    assert fingerprint(list(DemoData(DAYS, 300, 7).profiles())) == "ecf0e52b6b5b8f2326610382bbe3888b"


@pytest.mark.parametrize("other", [(DAYS[:2], 2_000, 7), (DAYS, 2_001, 7), (DAYS, 2_000, 8)])
def test_other_arguments_give_other_bytes(other: tuple[list[date], int, int]) -> None:
    assert fingerprint(list(DemoData(*other).events())) != fingerprint(made()[0])


def test_records_come_in_the_order_of_their_time() -> None:
    times = [record.event_time_ms for record in made()[0]]
    assert times == sorted(times)


def test_published_counts_what_came() -> None:
    records, published = made()
    assert published.records == len(records)
    ids = Counter((event["source"], event["id"]) for _, event in good())
    assert published.duplicates == sum(ids.values()) - len(ids) > 0
    assert published.events.total() == len(ids)
    types = Counter({(event["source"], event["id"]): event["type"] for _, event in good()}.values())
    assert published.events == types
    assert set(types) == {
        "flight.cancelled",
        "flight.delayed",
        "flight.departed",
        "flight.landed",
        "offer.published",
    }


def test_faults_come_at_their_rates() -> None:
    _, published = made(20_000)
    good_events = published.events.total()
    assert 1.6 < published.duplicates / good_events * 100 < 2.4
    assert 0.03 < published.broken.total() / good_events * 100 < 0.2


def test_every_broken_record_is_broken_as_it_says() -> None:
    records, published = made(20_000)
    found: Counter[str] = Counter()
    for record in records:
        try:
            event = decode_event(raw(record), LIMITS)
        except DecodeError as error:
            found[error.reason] += 1
        else:
            found[Reason.UNKNOWN_USER] += event.user.startswith("stranger")
    assert found == published.broken


@pytest.mark.parametrize("reason", BROKEN)
def test_each_way_to_be_broken(reason: Reason) -> None:
    event = CloudEvent("1", "/x", "t", "ada", rfc3339(0), msgspec.Raw(b'{"a": 1}'))
    record = broken(5, event, reason)
    assert record.event_time_ms == 5
    if reason == Reason.UNKNOWN_USER:
        assert decode_event(raw(record), LIMITS).user == "stranger-ada"
        assert record.key == b"default/stranger-ada"
        return
    with pytest.raises(DecodeError) as caught:
        decode_event(raw(record), LIMITS)
    assert caught.value.reason == reason
    assert record.key == b"default/ada"


def test_a_duplicate_is_its_original_a_little_later() -> None:
    first: dict[bytes, int] = {}
    for record in made()[0]:
        value = record.value or b""
        if value in first:
            assert 1_000 <= record.event_time_ms - first[value] <= 600_000
        first.setdefault(value, record.event_time_ms)


def test_keys_are_the_users_and_headers_the_content_type() -> None:
    for record in made()[0]:
        assert record.headers == HEADERS == (("content-type", b"application/cloudevents+json"),)
    for record, (_, event) in zip(_decodable(), good(), strict=True):
        assert record.key == f"default/{event['subject']}".encode()


def _decodable() -> list[DemoRecord]:
    values = {json.dumps(event, sort_keys=True) for _, event in good()}
    found = []
    for record in made()[0]:
        try:
            text = json.dumps(json.loads(record.value or b""), sort_keys=True)
        except ValueError:
            continue
        if text in values:
            found.append(record)
    return found


def test_events_happen_when_they_say() -> None:
    seen = set()
    for time_ms, event in good():
        if event["id"] not in seen:
            assert ms(event["time"]) == time_ms
            assert event["specversion"] == "1.0"
            assert event["tenant"] == "default"
        seen.add(event["id"])


def test_every_flight_tells_its_whole_story_to_everyone_aboard() -> None:
    flights = {flight.key: flight for flight in read_flights(DAYS)}
    stories = by_flight()
    assert stories.keys() == flights.keys()
    for key, events in stories.items():
        assert 1 <= len({event["subject"] for event in events}) <= 4
        for user in {event["subject"] for event in events}:
            mine = {event["id"]: event for event in events if event["subject"] == user}
            check_story(flights[key], list(mine.values()))


def check_story(flight: Flight, events: list[dict[str, Any]]) -> None:
    kinds = [event["type"].removeprefix("flight.") for event in events]
    if flight.departed_ms is None:
        lead_ms = flight.scheduled_departure_ms - ms(events[0]["time"])
        assert kinds == ["cancelled"]
        assert 60 * MINUTE_MS <= lead_ms <= 12 * 60 * MINUTE_MS
        return
    delays = kinds.count("delayed")
    assert (delays > 0) is (flight.delay_min >= 15)
    assert kinds == ["delayed"] * delays + ["departed"] + ["landed"] * (flight.landed_ms is not None)
    times = {event["type"]: ms(event["time"]) for event in events}
    assert times["flight.departed"] == flight.departed_ms
    assert times.get("flight.landed") == flight.landed_ms
    check_delays(flight, [event["data"] for event in events[:delays]])


def check_delays(flight: Flight, told: list[dict[str, Any]]) -> None:
    assert [data["revision"] for data in told] == list(range(1, len(told) + 1))
    for data in told:
        assert 15 <= data["delay_minutes"] <= flight.delay_min
        new_ms = flight.scheduled_departure_ms + data["delay_minutes"] * MINUTE_MS
        assert ms(data["new_departure"]) == new_ms
    assert not told or told[-1]["delay_minutes"] == flight.delay_min


def test_some_long_delays_are_revised_and_some_are_not() -> None:
    revisions = Counter(
        event["data"]["revision"]
        for events in by_flight().values()
        for event in events
        if event["type"] == "flight.delayed" and event["data"]["delay_minutes"] >= 45
    )
    assert revisions[1] > 20
    assert revisions[2] > 20


@pytest.mark.parametrize(("passengers", "most"), [(1, 1), (499, 1), (500, 2), (2_000, 4), (50_000, 4)])
def test_a_larger_crowd_fills_more_seats(passengers: int, most: int) -> None:
    flights = list(read_flights(DAYS[:1]))
    crowd = Passengers(passengers, seed=1)
    aboard: dict[str, set[str]] = defaultdict(set)
    for _, event in flight_events(flights, crowd, seed=1):
        aboard[event.id.split("/")[1]].add(event.subject)
    sizes = Counter(len(users) for users in aboard.values())
    assert max(sizes) == most
    assert min(sizes) == 1


def test_every_subject_is_a_passenger() -> None:
    users = {user_id(number) for number in range(2_000)}
    assert {event["subject"] for _, event in good()} <= users


def test_offers_come_by_day_and_sometimes_seven_at_once() -> None:
    offers = {event["id"]: event for _, event in good() if event["type"] == "offer.published"}
    days = Counter((event["subject"], event["time"][:10]) for event in offers.values())
    assert {day for _, day in days} == {"2013-02-07", "2013-02-08", "2013-02-09"}
    assert max(days.values()) >= 7
    assert Counter(days.values())[1] > 100
    hours = {datetime.fromisoformat(event["time"]).hour for event in offers.values()}
    assert min(hours) >= 15
    assert max(hours) <= 21


def test_data_are_what_the_templates_were_checked_with() -> None:
    for kind in ("flight_cancelled", "flight_delayed", "flight_departed", "flight_landed"):
        samples = json.loads((CATALOG / "templates" / kind / "sample.json").read_text())
        data = next(e["data"] for _, e in good() if e["type"] == kind.replace("_", "."))
        assert data.keys() == samples[0].keys()
        assert data["flight"].keys() == samples[0]["flight"].keys()
        assert data["flight"]["origin"].keys() == samples[0]["flight"]["origin"].keys()
    report = reported()[2][0]["data"]
    samples = json.loads((CATALOG / "templates/airport_report/sample.json").read_text())
    assert report.keys() == samples[0].keys()
    assert report["airport"].keys() == samples[0]["airport"].keys()
    offer = next(e["data"] for _, e in good() if e["type"] == "offer.published")
    assert offer.keys() == json.loads((CATALOG / "templates/offer/sample.json").read_text())[0].keys()


def test_profiles_come_before_everything_and_are_counted() -> None:
    data = DemoData(DAYS, 300, seed=7)
    profiles = list(data.profiles())
    assert data.published.profiles == len(profiles) == 300
    assert {record.event_time_ms for record in profiles} == {ms("2013-02-06T00:00:00+00:00")}
    assert profiles[0].event_time_ms < made()[0][0].event_time_ms
    for record in profiles:
        change = decode_profile(RawRecord("profiles", 0, 0, 0, record.key, record.value, record.headers))
        assert change.profile is not None
        assert record.key == f"default/{change.user}".encode()


def test_nothing_is_made_before_it_is_asked_for() -> None:
    data = DemoData(DAYS, 2_000, seed=7)
    events = data.events()
    assert data.published == Published()
    next(events)
    assert data.published.records == 1


def test_every_call_begins_anew() -> None:
    data = DemoData(DAYS[:1], 500, seed=7)
    assert list(data.events()) == list(data.events())
    assert list(data.profiles()) == list(data.profiles())
    assert data.published.profiles == 1_000


@pytest.mark.parametrize(
    ("days", "passengers", "text"),
    [
        ([], 10, "no days"),
        ([date(2014, 1, 1)], 10, "is not in 2013"),
        (DAYS, 0, "passengers must be 1"),
        (DAYS, -1, "passengers must be 1"),
    ],
)
def test_bad_arguments_are_refused_at_once(days: list[date], passengers: int, text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        DemoData(days, passengers, seed=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**7), max_size=300), st.integers(0, 2**32))
def test_no_event_is_lost_to_its_faults(times: list[int], seed: int) -> None:
    events = [
        TimedEvent(time, CloudEvent(str(n), "/x", "t", "ada", rfc3339(time), msgspec.Raw(b"{}")))
        for n, time in enumerate(sorted(times))
    ]
    published = Published()
    records = list(with_faults(events, seed, published))
    values = Counter(record.value for record in records)
    originals = {msgspec.json.encode(event) for _, event in events}
    assert originals <= values.keys()
    assert published.events == Counter({"t": len(events)} if events else {})
    assert published.duplicates == sum(values[value] - 1 for value in originals)
    assert published.records == len(records)
    assert [record.event_time_ms for record in records] == sorted(r.event_time_ms for r in records)


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_to_the_second(time_ms: int) -> None:
    assert rfc3339(time_ms) == datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_passengers_of_one_airport_are_subscribed_and_nothing_is_counted() -> None:
    data = DemoData(chosen_days(1), 300, seed=7)
    topic, users, _ = data.subscriptions()
    assert topic.startswith("airport/")
    assert len(users) == len(set(users)) > 10
    assert set(users) <= {passenger.user for passenger in data.passengers}
    assert data.published.records == 0, "its events are counted when they are played"


def reported() -> tuple[DemoData, list[DemoRecord], list[dict[str, Any]]]:
    """Make the events of three days with reports; return the reports apart, and decoded."""
    data = DemoData(DAYS, 2_000, seed=7, reports=True)
    made = list(data.events())
    reports = [one for one in made if b"airport.report" in (one.value or b"")]
    return data, made, [json.loads(one.value or b"") for one in reports]


def test_an_airport_reports_once_a_noon_to_its_topic_and_everything_else_stays_as_it_was() -> None:
    data, records, reports = reported()
    topic, users, airport = data.subscriptions()
    assert [one for one in records if b"airport.report" not in (one.value or b"")] == made()[0]
    assert [one.event_time_ms for one in records] == sorted(one.event_time_ms for one in records)
    assert [one["time"] for one in reports] == [f"{day}T17:00:00Z" for day in DAYS], "noon in New York"
    assert {(one["tocsintopic"], one["subject"]) for one in reports} == {(topic, airport.code)}
    assert data.published.events["airport.report"] == 3
    assert data.published.addressed == 3 * len(users)
    assert {(one.key, one.headers) for one in records if one not in made()[0]} == {
        (f"default/{topic}".encode(), HEADERS)
    }


def test_a_report_tells_what_the_flights_of_the_morning_tell() -> None:
    _, _, reports = reported()
    for day, report in zip(DAYS, reports, strict=True):
        noon_ms = ms(f"{day}T17:00:00+00:00")
        mine = [
            flight
            for flight in read_flights([day])
            if flight.origin.code == report["subject"] and flight.scheduled_departure_ms < noon_ms
        ]
        data = report["data"]
        assert data["flights"] == len(mine) > 50
        assert data["cancelled"] == sum(flight.departed_ms is None for flight in mine)
        assert data["late"] == sum(f.departed_ms is not None and f.delay_min >= 15 for f in mine)
    assert reports[2]["data"]["cancelled"] > reports[2]["data"]["flights"] * 0.9, "the blizzard"
