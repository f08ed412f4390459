"""Turns flights and offers into CloudEvents, in the order of their own time."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tocsin.devkit.draws import Draws
from tocsin.devkit.flights import Airport, Flight
from tocsin.devkit.passengers import TENANT, Passengers, user_id

FLIGHT_SOURCE = "urn:skylark:operations"
OFFER_SOURCE = "urn:skylark:offers"
SITE = "https://skylark.example"
ANNOUNCED_FROM_MIN = 15  # shorter delays are not announced
MAX_LEAD_H = 12  # no news of a flight come earlier before its scheduled departure

_NEW_YORK = ZoneInfo("America/New_York")
_MINUTE_MS = 60_000
_BOOKINGS = 16**6
_REVISED_FROM_MIN = 45  # longer delays are sometimes told in two steps
_MAX_OFFERS_A_DAY = 500
_FIRST_NEWS = 100
_BURST = 7
_BURST_GAP_MIN = 20
_encode = msgspec.json.Encoder().encode
_DEALS = (
    ("MIA", "Miami", 89), ("SJU", "San Juan", 119), ("LAX", "Los Angeles", 149), ("MCO", "Orlando", 79),
    ("SFO", "San Francisco", 159), ("ORD", "Chicago", 69), ("BOS", "Boston", 49), ("HNL", "Honolulu", 349),
)  # fmt: skip


class CloudEvent(msgspec.Struct, frozen=True):
    """Describes a CloudEvent 1.0 in structured JSON mode, with Tocsin's `tenant`."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    data: msgspec.Raw
    tenant: str = TENANT
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


class TopicEvent(CloudEvent, frozen=True):
    """Describes a CloudEvent for all subscribers of a topic; its subject says what it is about."""

    tocsintopic: str = ""


class TimedEvent(NamedTuple):
    """Holds an event and when it happens, in milliseconds since 1970 UTC."""

    time_ms: int
    event: CloudEvent


class FlightFacts(msgspec.Struct, frozen=True):
    """Describes `data.flight` of every flight event; times are RFC 3339 in UTC."""

    id: str
    number: str
    airline: str
    origin: Airport
    destination: Airport
    departs: str
    arrives: str


class _Seat(NamedTuple):
    user: str
    personal: dict[str, str]


class _Trip(NamedTuple):
    """A flight with who is aboard, and `data.flight` of its events."""

    flight: Flight
    seats: list[_Seat]
    facts: msgspec.Raw


class _News(NamedTuple):
    """One thing that happens to a flight; the id makes the order of equal times the same every time.

    `facts` are what this news adds to `data`.
    """

    time_ms: int
    id: str
    type: str
    trip: _Trip
    facts: dict[str, Any]


def flight_events(flights: Iterable[Flight], passengers: Passengers, seed: int) -> Iterator[TimedEvent]:
    """Tell every passenger of each flight what happens to it, in the order of time.

    Args:
        flights: in the order of their scheduled departure.
        passengers: each flight carries one to four of them, more of a larger crowd.
        seed: fixes who flies, and when news come.
    """
    for news in _in_order(flights, passengers, seed):
        facts = {"flight": news.trip.facts, **news.facts}
        time = rfc3339(news.time_ms)
        for seat in news.trip.seats:
            data = msgspec.Raw(_encode(facts | seat.personal))
            event = CloudEvent(f"{news.id}/{seat.user}", FLIGHT_SOURCE, news.type, seat.user, time, data)
            yield TimedEvent(news.time_ms, event)


class Subscribers(NamedTuple):
    """The users who are subscribed to the topic of an airport."""

    topic: str
    users: list[str]
    airport: Airport


def subscribers(flights: Iterable[Flight], passengers: Passengers, seed: int) -> Subscribers:
    """Return passengers who leave one airport first, as subscribers of a topic that names it."""
    trips = [news.trip for news in islice(_in_order(flights, passengers, seed), _FIRST_NEWS)]
    origin = trips[0].flight.origin
    users = {seat.user: None for trip in trips if trip.flight.origin == origin for seat in trip.seats}
    return Subscribers(f"airport/{origin.code}", list(users), origin)


def airport_reports(flights: Iterable[Flight], to: Subscribers) -> Iterator[TimedEvent]:
    """Tell subscribers at each noon what became of the flights that were to leave their airport by then.

    Args:
        flights: in the order of their scheduled departure.
        to: the airport, and the topic of those who want to know.
    """
    zone = ZoneInfo(to.airport.timezone)
    leaving = (flight for flight in flights if flight.origin == to.airport)
    for day, of_day in groupby(leaving, lambda flight: _local(flight, zone).date()):
        noon_ms = int(datetime(day.year, day.month, day.day, 12, tzinfo=zone).timestamp() * 1000)
        morning = [flight for flight in of_day if flight.scheduled_departure_ms < noon_ms]
        yield TimedEvent(noon_ms, _report(day, noon_ms, morning, to))


def offer_events(days: Iterable[date], passengers: Passengers, seed: int) -> Iterator[TimedEvent]:
    """Publish offers now and then: to one passenger in twenty a day, at most 500, in the order of time.

    One in twenty of those gets seven in a day, so that the limit on marketing has something to do.
    """
    for day in days:
        count = min(_MAX_OFFERS_A_DAY, -(-len(passengers) // 20))
        offers = [offer for turn in range(count) for offer in _offers(day, turn, passengers, seed)]
        yield from sorted(offers, key=_order)


def rfc3339(time_ms: int) -> str:
    """Write a moment as events do.

    >>> rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat()[:19] + "Z"


def _order(timed: TimedEvent) -> tuple[int, str]:
    return timed.time_ms, timed.event.id


def _in_order(flights: Iterable[Flight], passengers: Passengers, seed: int) -> Iterator[_News]:
    waiting: list[_News] = []
    for flight in flights:
        settled_ms = flight.scheduled_departure_ms - MAX_LEAD_H * 60 * _MINUTE_MS
        while waiting and waiting[0].time_ms < settled_ms:
            yield heapq.heappop(waiting)
        draws = Draws(seed, "flight", flight.key)
        trip = _Trip(flight, _seats(draws, passengers), msgspec.Raw(_encode(_flight_facts(flight))))
        for news in _news(trip, draws):
            heapq.heappush(waiting, news)
    while waiting:
        yield heapq.heappop(waiting)


def _news(trip: _Trip, draws: Draws) -> Iterator[_News]:
    flight = trip.flight
    if flight.departed_ms is None:
        lead_ms = draws.between(60, MAX_LEAD_H * 60) * _MINUTE_MS
        yield _of(trip, "cancelled", flight.scheduled_departure_ms - lead_ms, {})
        return
    if flight.delay_min >= ANNOUNCED_FROM_MIN:
        yield from _announcements(trip, draws)
    departed = {"departed": rfc3339(flight.departed_ms), "delay_minutes": flight.delay_min}
    yield _of(trip, "departed", flight.departed_ms, departed)
    if flight.landed_ms is not None:
        late_min = (flight.landed_ms - flight.scheduled_arrival_ms) // _MINUTE_MS
        landed = {"landed": rfc3339(flight.landed_ms), "delay_minutes": late_min}
        yield _of(trip, "landed", flight.landed_ms, landed)


def _local(flight: Flight, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(flight.scheduled_departure_ms / 1000, zone)


def _report(day: date, noon_ms: int, flights: Sequence[Flight], to: Subscribers) -> TopicEvent:
    code = to.airport.code
    facts = {
        "airport": to.airport,
        "day": day.isoformat(),
        "flights": len(flights),
        "late": sum(not flight.cancelled and flight.delay_min >= ANNOUNCED_FROM_MIN for flight in flights),
        "cancelled": sum(flight.cancelled for flight in flights),
        "url": f"{SITE}/airports/{code}",
    }
    data, name, time = msgspec.Raw(_encode(facts)), f"{code}/{day}/noon", rfc3339(noon_ms)
    return TopicEvent(name, FLIGHT_SOURCE, "airport.report", code, time, data, tocsintopic=to.topic)


def _announcements(trip: _Trip, draws: Draws) -> Iterator[_News]:
    """Announce a delay before the scheduled departure; a long one is sometimes told in two steps."""
    scheduled_ms, delay_min = trip.flight.scheduled_departure_ms, trip.flight.delay_min
    announced_ms = scheduled_ms - draws.between(20, 150) * _MINUTE_MS
    if delay_min < _REVISED_FROM_MIN or draws.chance(50):
        yield _delayed(trip, announced_ms, 1, delay_min)
        return
    guess_min = max(ANNOUNCED_FROM_MIN, delay_min * draws.between(40, 80) // 500 * 5)
    yield _delayed(trip, announced_ms, 1, guess_min)
    yield _delayed(trip, scheduled_ms + delay_min // 3 * _MINUTE_MS, 2, delay_min)


def _delayed(trip: _Trip, time_ms: int, revision: int, delay_min: int) -> _News:
    facts = {
        "delay_minutes": delay_min,
        "new_departure": rfc3339(trip.flight.scheduled_departure_ms + delay_min * _MINUTE_MS),
        "new_arrival": rfc3339(trip.flight.scheduled_arrival_ms + delay_min * _MINUTE_MS),
        "revision": revision,
    }
    return _of(trip, "delayed", time_ms, facts)


def _of(trip: _Trip, what: str, time_ms: int, facts: dict[str, Any]) -> _News:
    event_id = f"{trip.flight.key}/{what}{facts.get('revision', '')}"
    return _News(time_ms, event_id, f"flight.{what}", trip, facts)


def _seats(draws: Draws, passengers: Passengers) -> list[_Seat]:
    """Draw who is aboard, nobody twice."""
    crowd = len(passengers)
    count = draws.between(1, min(4, 1 + crowd // 500))
    bookings = {draws.below(crowd): f"{draws.below(_BOOKINGS):06X}" for _ in range(count)}
    return [
        _Seat(user_id(number), _personal(passengers.first_name(number), booking))
        for number, booking in bookings.items()
    ]


def _personal(first_name: str, booking: str) -> dict[str, str]:
    return {"first_name": first_name, "booking": booking, "url": f"{SITE}/trips/{booking}"}


def _flight_facts(flight: Flight) -> FlightFacts:
    return FlightFacts(
        id=flight.key,
        number=f"{flight.carrier} {flight.number}",
        airline=flight.airline,
        origin=flight.origin,
        destination=flight.destination,
        departs=rfc3339(flight.scheduled_departure_ms),
        arrives=rfc3339(flight.scheduled_arrival_ms),
    )


def _offers(day: date, turn: int, passengers: Passengers, seed: int) -> Iterator[TimedEvent]:
    """Make the offers of one pick of a day: one, or seven in a row."""
    draws = Draws(seed, "offer", day.isoformat(), turn)
    number = draws.below(len(passengers))
    morning = datetime(day.year, day.month, day.day, 10, tzinfo=_NEW_YORK)
    start_ms = int(morning.timestamp() * 1000) + draws.below(240) * _MINUTE_MS
    book_by = (day + timedelta(days=draws.between(3, 14))).isoformat()
    first_deal = draws.below(len(_DEALS))
    for step in range(_BURST if draws.chance(5) else 1):
        code, city, price = _DEALS[(first_deal + step) % len(_DEALS)]
        data = {
            "first_name": passengers.first_name(number),
            "destination": code,
            "city": city,
            "price": price + draws.below(60),
            "currency": "USD",
            "book_by": book_by,
            "url": f"{SITE}/offers/{code.lower()}",
        }
        time_ms = start_ms + step * _BURST_GAP_MIN * _MINUTE_MS
        event_id, user = f"{day}/offer-{turn}-{step}", user_id(number)
        raw = msgspec.Raw(_encode(data))
        yield TimedEvent(
            time_ms, CloudEvent(event_id, OFFER_SOURCE, "offer.published", user, rfc3339(time_ms), raw)
        )
