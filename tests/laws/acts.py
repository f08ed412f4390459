"""What the laws are tried on: the flights of the demo in acts, and marks that say when an act is decided.

Kafka fixes no order between topics, so the acts do: an act's profiles are all decided before its events, and
its events before the next act's profiles. A *mark* is an event of an unknown user, one in every key group:
it is held there for its profile, after everything written before it. The profiles of an act's marks close
the profiles of the next act.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, islice
from operator import itemgetter
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from sources.partitioner import key_group_of, partition_of
from tocsin.devkit.demo_data import DemoData, DemoRecord, with_faults
from tocsin.devkit.demo_events import flight_events, offer_events
from tocsin.devkit.flights import chosen_days, read_flights
from tocsin.devkit.passengers import TENANT, Passenger
from tocsin.formats.codec import encode, profile_key
from tocsin.model.profile import Preferences, Profile, QuietHours

PARTITIONS, KEY_GROUPS = 4, 8


class Act(NamedTuple):
    """Profiles and then events, which end with the marks of `users`; `greeted` are the last act's marks."""

    profile_records: Sequence[DemoRecord]
    event_records: Sequence[DemoRecord]
    users: frozenset[str]
    greeted: frozenset[str] = frozenset()

    def profiles(self) -> Iterator[DemoRecord]:
        yield from self.profile_records

    def events(self) -> Iterator[DemoRecord]:
        yield from self.event_records


def act(
    number: int, profiles: Iterable[DemoRecord], events: Sequence[DemoRecord], before: Act | None = None
) -> Act:
    """Close profiles and events with marks, which stand in time where the last event does."""
    return _closed(number, profiles, events, max(record.event_time_ms for record in events), before)


def _closed(
    number: int,
    profiles: Iterable[DemoRecord],
    events: Iterable[DemoRecord],
    at_ms: int,
    before: Act | None,
) -> Act:
    greeted = before.users if before else frozenset()
    known = [
        DemoRecord(0, profile_key(TENANT, user), encode(Profile(version=1)), ()) for user in sorted(greeted)
    ]
    marks = [_mark(user, at_ms) for user in _one_a_key_group(f"mark-{number}")]
    return Act([*profiles, *known], [*events, *marks], _users_of(marks), greeted)


def _users_of(marks: Iterable[DemoRecord]) -> frozenset[str]:
    return frozenset(mark.key.decode().partition("/")[2] for mark in marks)


def two_acts(data: DemoData, cut: datetime) -> list[Act]:
    """Events until a moment, then other preferences of every third passenger, then the rest."""
    events, cut_ms = list(data.events()), int(cut.timestamp() * 1000)
    first = act(0, data.profiles(), [event for event in events if event.event_time_ms < cut_ms])
    late = [event for event in events if event.event_time_ms >= cut_ms]
    return [first, act(1, changes(data), late, first)]


def paced(one: Act, seconds: float) -> Act:
    """Spread the events of an act evenly; what they say of their time stays."""
    gap_ms = seconds * 1000 / len(one.event_records)
    spread = [
        event._replace(event_time_ms=round(number * gap_ms)) for number, event in enumerate(one.event_records)
    ]
    return one._replace(event_records=spread)


def a_year(passengers: int, every: int, seed: int) -> Act:
    """Each so-many-th flight of 2013 and all offers, for a few passengers whose preferences never change."""
    data = DemoData(days := chosen_days(365), passengers, seed)
    flights = flight_events(islice(read_flights(days), 0, None, every), data.passengers, seed)
    offers = offer_events(days, data.passengers, seed)
    events = with_faults(heapq.merge(flights, offers, key=itemgetter(0)), seed, data.published)
    return act(0, data.profiles(), list(events))


PROBE = "mark-probe-"
"""How the users of probes begin: what was said of them is no decision of the input."""


def probe(before: Act, number: int) -> Act:
    """Nothing but marks at the time of the last event: before each of them, timers fire that are due."""
    at_ms = before.event_records[-1].event_time_ms
    marks = [_mark(user, at_ms) for user in _one_a_key_group(f"{PROBE}{number}")]
    return Act([], marks, _users_of(marks))


def epilogue(before: Act, hours: int) -> Act:
    """Nothing but marks, so much later: what attempts to send left waiting is decided again by then."""
    last_ms = before.event_records[-1].event_time_ms
    return _closed(2, [], [], last_ms + hours * 3_600_000, before)


def changes(data: DemoData) -> Iterator[DemoRecord]:
    """Change the preferences of every third passenger; every fifteenth is erased."""
    for number, passenger in enumerate(data.passengers):
        if number % 3 == 0:
            value = None if number % 15 == 0 else encode(_changed(passenger, number))
            yield DemoRecord(0, profile_key(TENANT, passenger.user), value, ())


def _changed(passenger: Passenger, number: int) -> Profile:
    wishes = (
        Preferences(enabled=False),
        Preferences(categories={"flight_updates": {"push": False}, "offers": True}),
        Preferences(snoozed_until=datetime(2013, 2, 9, 12, tzinfo=UTC)),
        Preferences(),
    )
    return replace(
        passenger.profile,
        version=2,
        preferences=wishes[number // 3 % len(wishes)],
        quiet_hours=QuietHours("20:00", "09:30") if number % 2 else None,
    )


def _one_a_key_group(prefix: str) -> Iterator[str]:
    missing = {(partition, group) for partition in range(PARTITIONS) for group in range(KEY_GROUPS)}
    for number in count():
        if not missing:
            return
        key = profile_key(TENANT, user := f"{prefix}-{number}")
        place = partition_of(key, PARTITIONS), key_group_of(key, KEY_GROUPS)
        if place in missing:
            missing.remove(place)
            yield user


def _mark(user: str, at_ms: int) -> DemoRecord:
    event = {
        "specversion": "1.0",
        "id": user,
        "source": "urn:laws",
        "type": "flight.cancelled",
        "subject": user,
        "time": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(),
        "tenant": TENANT,
        "data": {"flight": {"id": user}},
    }
    return DemoRecord(at_ms, profile_key(TENANT, user), msgspec.json.encode(event), ())
