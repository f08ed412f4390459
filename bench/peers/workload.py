"""The decision job that every peer does: its events, profiles, rules, and the number of right decisions.

Standard library only, because the Quix peer imports it in an environment of its own. Rules, in this order:

1. An event whose source and id were seen for that user within 24 h of event time is a duplicate.
2. A category that the user turned off admits nothing.
3. Channels that the user turned off are left out; where none is left nothing is admitted.
4. Social and marketing: one a user in any minute. Marketing: five a user in any 24 h.

Each admitted event gives one record a channel.
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

ROUTES = {
    "order.shipped": ("transactional", ("push", "email")),
    "social.follow": ("social", ("push", "inapp")),
    "promo.offer": ("marketing", ("email", "push")),
}
TENANT = "shop"
EVENTS_PER_S = 20_000
DAY_MS, MINUTE_MS = 86_400_000, 60_000
MARKETING_A_DAY = 5
_DUPLICATES = 0.05
_REMEMBERED = 5_000


class Written(NamedTuple):
    """A record as it goes to Kafka."""

    user: str
    at_ms: int
    value: bytes


def profiles(users: int, seed: int = 7) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make the profile of each user: a tenth without e-mail or push, three tenths without marketing."""
    draw = random.Random(seed)
    for number in range(users):
        user = f"u{number:07d}"
        yield (
            user,
            {
                "tenant": TENANT,
                "user_id": user,
                "email": f"{user}@example.com",
                "phone": f"+1415{number:07d}",
                "locale": draw.choice(["en", "de", "es"]),
                "timezone": draw.choice(["UTC", "Europe/Berlin", "America/New_York"]),
                "devices": [{"platform": "ios", "token": f"{number:064x}"}],
                "preferences": {
                    "channels": {"email": draw.random() > 0.1, "push": draw.random() > 0.1, "inapp": True},
                    "categories": {
                        "marketing": draw.random() > 0.3,
                        "social": draw.random() > 0.1,
                        "transactional": True,
                    },
                },
            },
        )


def events(count: int, users: int, start_ms: int, seed: int = 11) -> Iterator[Written]:
    """Make events at an even rate of event time; one in twenty repeats an earlier one byte by byte."""
    draw = random.Random(seed)
    recent: list[tuple[str, bytes]] = []
    for number in range(count):
        at_ms = start_ms + number * 1000 // EVENTS_PER_S
        if recent and draw.random() < _DUPLICATES:
            user, value = recent[int(draw.random() * len(recent))]
            yield Written(user, at_ms, value)
            continue
        user = f"u{int(draw.random() * users):07d}"
        value = _event(number, user, _kind(draw.random()), at_ms)
        if len(recent) < _REMEMBERED:
            recent.append((user, value))
        else:
            recent[int(draw.random() * _REMEMBERED)] = (user, value)
        yield Written(user, at_ms, value)


def _event(number: int, user: str, kind: str, at_ms: int) -> bytes:
    return (
        f'{{"specversion":"1.0","id":"{number:026d}","source":"/shop","type":"{kind}","subject":"{user}",'
        f'"tenant":"{TENANT}","time":"{_rfc3339(at_ms)}","datacontenttype":"application/json",'
        f'"data":{{"order_id":"{number}","name":"Alice","eta":"tomorrow","carrier":"UPS",'
        f'"url":"https://shop.example/t/{number}"}}}}'
    ).encode()


def _kind(drawn: float) -> str:
    """Seven in ten are orders, two follow somebody, one is an offer."""
    if drawn < 0.7:
        return "order.shipped"
    return "social.follow" if drawn < 0.9 else "promo.offer"


@lru_cache(maxsize=4)
def _rfc3339(at_ms: int) -> str:
    text = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class User:
    """What the rules remember of a user."""

    __slots__ = ("last_ms", "marketing_ms", "preferences", "seen_ms")

    def __init__(self, preferences: Mapping[str, Any]) -> None:
        self.preferences = preferences
        self.seen_ms: dict[str, int] = {}
        self.marketing_ms: list[int] = []
        self.last_ms = -(10**18)


class Decision(NamedTuple):
    """The channels of an event, or the reason why there are none."""

    channels: tuple[str, ...]
    reason: str = ""


def decide(user: User, event: Mapping[str, Any]) -> Decision:
    """Apply the rules to an event and note it with its user."""
    now_ms = int(dt.datetime.fromisoformat(event["time"]).timestamp() * 1000)
    category, routed = ROUTES[event["type"]]
    identity = event["source"] + event["id"]
    seen_ms = user.seen_ms.get(identity)
    if seen_ms is not None and now_ms - seen_ms < DAY_MS:
        return Decision((), "duplicate")
    user.seen_ms[identity] = now_ms
    if not user.preferences["categories"].get(category, True):
        return Decision((), "category_off")
    channels = tuple(name for name in routed if user.preferences["channels"].get(name, True))
    if not channels:
        return Decision((), "channel_off")
    if category != "transactional" and not _has_room(user, category, now_ms):
        return Decision((), "limit")
    return Decision(channels)


def _has_room(user: User, category: str, now_ms: int) -> bool:
    """Whether the limits admit one more; if so it is counted."""
    if now_ms - user.last_ms < MINUTE_MS:
        return False
    if category == "marketing":
        user.marketing_ms = [at_ms for at_ms in user.marketing_ms if now_ms - at_ms < DAY_MS]
        if len(user.marketing_ms) >= MARKETING_A_DAY:
            return False
        user.marketing_ms.append(now_ms)
    user.last_ms = now_ms
    return True


def expected(users: int, written: Iterable[Written]) -> Counter[str]:
    """Count the right decisions: records by channel, and events without any by reason."""
    known = {name: User(profile["preferences"]) for name, profile in profiles(users)}
    counts: Counter[str] = Counter()
    for record in written:
        decision = decide(known[record.user], json.loads(record.value))
        counts.update(decision.channels or (decision.reason,))
    return counts


def records(counts: Mapping[str, int]) -> int:
    """Give the number of records that a peer must write."""
    return sum(counts[channel] for channel in ("push", "email", "inapp"))
