"""Makes the demo's input: profiles and CloudEvents as Kafka records, duplicates and broken ones among them.

A pure function of days, passengers and seed: the same arguments give the same bytes.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from tocsin.devkit.demo_events import (
    CloudEvent,
    Subscribers,
    TimedEvent,
    airport_reports,
    flight_events,
    offer_events,
    subscribers,
)
from tocsin.devkit.draws import Draws
from tocsin.devkit.flights import checked_days, read_flights
from tocsin.devkit.passengers import TENANT, Passengers
from tocsin.formats.cloudevents import STRUCTURED
from tocsin.formats.codec import encode, profile_key
from tocsin.model.statuses import Reason

HEADERS = (("content-type", STRUCTURED.encode()),)
DUPLICATES_PERCENT = 2.0
BROKEN_PERCENT = 0.1
BROKEN = (Reason.BAD_JSON, Reason.BAD_UTF8, Reason.BAD_FIELD, Reason.NO_SUBJECT, Reason.UNKNOWN_USER)
MAX_REPEAT_S = 600  # a duplicate comes at most so much later than its original

_CRC_MASK = 0xFFFFFFFF
_encode = msgspec.json.Encoder().encode


class DemoRecord(NamedTuple):
    """Holds one Kafka record and when it is due, in milliseconds since 1970 UTC of the data's own time.

    A profile's value None erases the user.
    """

    event_time_ms: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Published:
    """Counts what has been handed out: good events by type, duplicates, broken records by the reason due.

    `addressed` counts the events that Tocsin writes itself: one for each subscriber of a topic event.
    """

    profiles: int = 0
    events: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    addressed: int = 0

    @property
    def records(self) -> int:
        """Count the records of the events topic."""
        return self.events.total() + self.duplicates + self.broken.total()


class DemoData:
    """Makes the profiles and events of some days, some passengers and a seed.

    Args:
        days: of 2013, as `tocsin.devkit.flights.chosen_days` gives them.
        passengers: how many; more of them also put more into each flight, up to four.
        seed: fixes everything that is made up.
        push_service: the address of a push service, where some passengers have a browser; empty for none.
        reports: whether the airport of `subscriptions` reports to its subscribers at each noon.

    Raises:
        SettingsError: a day outside of 2013, none at all, or no passengers.
    """

    def __init__(
        self,
        days: Sequence[date],
        passengers: int,
        seed: int,
        push_service: str = "",
        *,
        reports: bool = False,
    ) -> None:
        self.passengers = Passengers(passengers, seed, push_service)
        self.published = Published()
        self._days = checked_days(days)
        self._seed = seed
        self._reports = reports

    def profiles(self) -> Iterator[DemoRecord]:
        """Make the records of the profiles topic, all due a day before the first flight."""
        eve = datetime.combine(self._days[0], datetime.min.time(), UTC) - timedelta(days=1)
        due_ms = int(eve.timestamp() * 1000)
        for passenger in self.passengers:
            self.published.profiles += 1
            yield DemoRecord(due_ms, profile_key(TENANT, passenger.user), encode(passenger.profile), ())

    def subscriptions(self) -> Subscribers:
        """Return the topic of an airport with its subscribers, who leave from there."""
        return subscribers(read_flights(self._days), self.passengers, self._seed)

    def events(self) -> Iterator[DemoRecord]:
        """Make the records of the events topic in the order of their time; `published` counts along.

        Each call begins anew, and counts on.
        """
        flights = flight_events(read_flights(self._days), self.passengers, self._seed)
        offers = offer_events(self._days, self.passengers, self._seed)
        events = with_faults(heapq.merge(flights, offers, key=itemgetter(0)), self._seed, self.published)
        return heapq.merge(events, self._topic_events(), key=itemgetter(0)) if self._reports else events

    def _topic_events(self) -> Iterator[DemoRecord]:
        to = self.subscriptions()
        for time_ms, event in airport_reports(read_flights(self._days), to):
            self.published.events[event.type] += 1
            self.published.addressed += len(to.users)
            yield DemoRecord(time_ms, f"{TENANT}/{to.topic}".encode(), _encode(event), HEADERS)


def with_faults(events: Iterable[TimedEvent], seed: int, published: Published) -> Iterator[DemoRecord]:
    """Turn events into records, repeat some 2 % a little later, and follow some 0.1 % by a broken one.

    No event is lost by this: a broken record is one more, with an id of its own.
    """
    repeats: list[DemoRecord] = []
    for time_ms, event in events:
        while repeats and repeats[0].event_time_ms <= time_ms:
            published.duplicates += 1
            yield heapq.heappop(repeats)
        record = DemoRecord(time_ms, profile_key(TENANT, event.subject), _encode(event), HEADERS)
        published.events[event.type] += 1
        yield record
        repeat_s, reason = _faults(event, seed)
        if repeat_s:
            heapq.heappush(repeats, record._replace(event_time_ms=time_ms + repeat_s * 1000))
        if reason:
            published.broken[reason] += 1
            yield broken(time_ms, event, reason)
    published.duplicates += len(repeats)
    yield from sorted(repeats)


def _faults(event: CloudEvent, seed: int) -> tuple[int, Reason]:
    """Draw how much later an event comes again (0: never), and how a broken one beside it is broken."""
    share = crc32(event.id.encode(), seed & _CRC_MASK) / _CRC_MASK * 100
    if share < DUPLICATES_PERCENT:
        return Draws(seed, "repeat", event.id).between(1, MAX_REPEAT_S), Reason.NONE
    if share < DUPLICATES_PERCENT + BROKEN_PERCENT:
        return 0, Draws(seed, "broken", event.id).pick(BROKEN)
    return 0, Reason.NONE


def broken(time_ms: int, event: CloudEvent, reason: Reason) -> DemoRecord:
    """Make the record that ends as a dead letter for this reason, beside the event it is like."""
    fields: dict[str, Any] = msgspec.structs.asdict(event) | {"id": f"{event.id}/broken"}
    match reason:
        case Reason.BAD_FIELD:
            fields["id"] = 17
        case Reason.NO_SUBJECT:
            del fields["subject"]
        case Reason.UNKNOWN_USER:
            fields["subject"] = f"stranger-{event.subject}"
    value = msgspec.json.encode(fields)
    if reason == Reason.BAD_JSON:
        value = value[: len(value) // 2]
    if reason == Reason.BAD_UTF8:
        value = value.replace(b'"subject":"', b'"subject":"\xff', 1)
    user = fields.get("subject", event.subject)
    return DemoRecord(time_ms, profile_key(event.tenant, user), value, HEADERS)
