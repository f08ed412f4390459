"""What kinds of events `bench.decide` publishes, with the catalog that gives them their ends.

`honest` is what a shop's day looks like to the gate: a third is admitted to two channels, a third is
suppressed by an opt-out or a limit, a tenth are duplicates, and the rest is admitted to one channel or
matches nothing.
`FULL` is a catalog for the same events that uses all words.
`alike` are those of the same events that end in the same way with both catalogs: orders, their duplicates,
and what nothing listens to.
`limited` is one kind of event, of which each user may get one a minute. `admitted` has no limits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.fleet import ZONE, Record, write_catalog
from tocsin.model import topics

_ORDER = """
welcome:
  on: {type: order.shipped}
  category: orders
  priority: normal
  channels: [push, email]
  template: welcome
"""
DAY = Path(__file__).parent / "peers" / "catalogs" / "day"
"""The catalog of `honest`."""
_OF_A_DAY = (DAY / "notifications" / "day.yaml").read_text()
FULL = (Path(__file__).parent / "catalogs" / "full.yaml").read_text()
# One event in thirty each. Everybody turned `news` off; nothing listens to `cart.viewed`.
_TURN = (
    *(["order.shipped"] * 10),
    *(["news.written"] * 5),
    *(["price.changed"] * 5),
    *(["order.packed"] * 4),
    *(["cart.viewed"] * 3),
)
_ALIKE = tuple(kind for kind in _TURN if kind in ("order.shipped", "cart.viewed"))
_DUPLICATES = 3
_WATCHERS = 20  # one user in so many watches prices, and so meets the limit again and again
_DECISIONS = "tocsin_decisions_total|"
_STRIDE = 7_919  # a prime: neighbours in the topic are different users


class Mix(NamedTuple):
    """A kind of load.

    Attributes:
        notifications: the catalog's notifications, as YAML.
        limits: whether the tenant's limits hold.
        events: makes records for so many users, so many of them.
    """

    notifications: str
    limits: bool
    events: Callable[[int, int], Iterator[Record]]


def orders(users: int, count: int) -> Iterator[Record]:
    """Make shipped orders of user after user."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for number in range(count):
        yield _record("order.shipped", number, f"u{number * _STRIDE % users}", now)


def a_shop_s_day(users: int, count: int, turn: Sequence[str] = _TURN) -> Iterator[Record]:
    """Make events of all kinds; a duplicate repeats an order of the same turn, byte by byte."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for number in range(count):
        at = number % (len(turn) + _DUPLICATES)
        if at >= len(turn):
            number, at = number - at + at - len(turn), 0
        pool = max(1, users // _WATCHERS) if turn[at] == "price.changed" else users
        yield _record(turn[at], number, f"u{number * _STRIDE % pool}", now)


def ending_alike(users: int, count: int) -> Iterator[Record]:
    """Make the events of a shop's day that the plain and the full catalog end in the same way."""
    return a_shop_s_day(users, count, _ALIKE)


def _record(kind: str, number: int, user: str, now: str) -> Record:
    event = (
        f'{{"specversion":"1.0","id":"{number}","source":"/shop/orders","type":"{kind}",'
        f'"subject":"{user}","time":"{now}",'
        f'"data":{{"order":"A-{number}","items":3,"total":49.9,"carrier":"UPS"}}}}'
    )
    return topics.EVENTS, f"default/{user}".encode(), event.encode()


MIXES = {
    "honest": Mix(_OF_A_DAY, limits=False, events=a_shop_s_day),
    "alike": Mix(_OF_A_DAY, limits=False, events=ending_alike),
    "limited": Mix(_ORDER, limits=True, events=orders),
    "admitted": Mix(_ORDER, limits=False, events=orders),
}


def write_mix_catalog(folder: Path, mix: str, *, full: bool = False) -> Path:
    """Write the catalog of a mix, or the full one for the honest mix."""
    nobody = {"email": ["none"], "push": ["none"], "inapp": ["none"]}
    notifications = FULL if full else MIXES[mix].notifications
    catalog = write_catalog(folder, notifications, "offer", nobody, limits=MIXES[mix].limits)
    if full:
        file = folder / "tenants" / "default.yaml"
        tenant = full_tenant(yaml.safe_load(file.read_text()), datetime.now(ZONE))
        file.write_text(yaml.safe_dump(tenant))
    return catalog


def full_tenant(tenant: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Give a tenant limits, quiet hours and windows of channels; `now` is outside of the quiet hours."""
    hours = {name: f"{now + timedelta(hours=add):%H:%M}" for name, add in (("start", 6), ("end", 14))}
    open_hours = {"start": hours["end"], "end": hours["start"]}
    return {
        **tenant,
        "quiet_hours": hours,
        "windows": {"email": open_hours, "sms": open_hours},
        "limits": [
            {"max": 1000, "per": "1d", "scope": "user", "overflow": "hold"},
            {"max": 5000, "calendar": "month", "scope": "category"},
            {"max": 2000, "calendar": "week", "scope": "channel", "channel": "email", "overflow": "hold"},
        ],
    }


def written(metrics: Mapping[str, float], events: float) -> dict[str, float]:
    """Give how many outcomes, and how many records for Kafka, an event led to.

    Each admitted outcome is of one message. So the records are the outcomes, and one more for each of these.

    Args:
        metrics: as for `shares`.
        events: how many were decided.
    """
    decided = {name: value for name, value in metrics.items() if name.startswith(_DECISIONS)}
    outcomes = sum(decided.values())
    messages = sum(value for name, value in decided.items() if name.endswith("|admitted"))
    return {
        "outcomes_per_event": round(outcomes / events, 3),
        "records_per_event": round((outcomes + messages) / events, 3),
    }


def shares(metrics: Mapping[str, float], events: float) -> dict[str, float]:
    """Give the share of events that ended in each way, by what the shards counted.

    Args:
        metrics: `tocsin_decisions_total|<channel>|<reason>|<status>` -> how often; labels stand by name.
        events: how many were decided.
    """
    counts: dict[str, float] = {}
    for name, value in metrics.items():
        if name.startswith(_DECISIONS):
            channel, reason, status = name.split("|")[1:]
            end = f"{status} {channel if status == 'admitted' else reason}"
            counts[end] = counts.get(end, 0.0) + value
    two = min(counts.get("admitted push", 0.0), counts.get("admitted email", 0.0))
    one = sum(value for end, value in counts.items() if end.startswith("admitted ")) - 2 * two
    others = {end: value for end, value in counts.items() if not end.startswith("admitted ")}
    ends = {"admitted to two channels": two, "admitted to one": one, **others}
    return {end: round(value / events, 3) for end, value in ends.items() if value}
