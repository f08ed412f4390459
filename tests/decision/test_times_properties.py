"""Laws of times in random lives, over changes of the clock: no wrong hour, nothing lost, one of each key."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile
from tests.decision.test_schedule import TIMES, written
from tocsin.decision.effects import Decision
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Preferences
from tocsin.model.statuses import FINAL, Status
from tocsin.model.zones import zone as zone_of

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
STARTS = tuple(
    int(datetime.fromisoformat(text).timestamp() * 1000) - NOON
    for text in ("2023-10-28T12:00Z", "2023-11-04T20:00Z", "2024-03-10T00:00Z", "2024-03-30T21:00Z")
)
KINDS = ("news", "news", "slow", "reminder", "turns", "alarm", "evening")


class Deed(NamedTuple):
    """One thing that happens, `pause` ms after the one before."""

    pause: int
    what: str
    kind: str
    room: str
    hours: float
    zone: str


deeds = st.builds(
    Deed,
    st.sampled_from([1, MINUTE, 20 * MINUTE, 2 * HOUR, 7 * HOUR]),
    st.sampled_from(["event"] * 6 + ["cancel", "profile", "snooze", "retry"]),
    st.sampled_from(KINDS),
    st.sampled_from("ab"),
    st.sampled_from([-0.1, 0.1, 1, 9]),
    st.sampled_from(ZONES),
)
lives = st.lists(deeds, min_size=8, max_size=25)


class Watched(World):
    """A world that checks at each step what is held, and remembers the zone of each moment."""

    zone = "UTC"
    snoozed_ms = 0

    def apply(self, user: str, step: Decision) -> Decision:
        found = super().apply(user, step)
        for message in step.messages:
            self._check(message.channel, message.priority, message.decided_ms, message.expires_ms)
        record = self.record(user)
        held: dict[tuple[bytes, str], set[str]] = defaultdict(set)
        for ref in record.holds.values() if record else ():
            if ref.collapse_key and not ref.message_id:
                held[ref.collapse_key, ref.channel].add(ref.notification_id)
        assert all(len(ids) == 1 for ids in held.values()), "of one key one is held"
        return found

    def _check(self, channel: str, priority: str, at_ms: int, expires_ms: int) -> None:
        local = datetime.fromtimestamp(at_ms / 1000, zone_of(self.zone))
        hour, critical = local.hour + local.minute / 60, priority == "critical"
        assert not expires_ms or at_ms <= expires_ms
        if channel == "sms" and not (critical and self.tenant == "nights"):
            assert 8 <= hour < 21
        if self.tenant == "nights" and not critical:
            assert 7 <= hour < 22
            # It drops what comes in a snooze, but what it let pass before may be sent again.
            assert at_ms >= self.snoozed_ms
        elif not critical:
            assert at_ms >= self.snoozed_ms


def live(tenant: str, start: int, life: list[Deed]) -> Watched:
    world, at = Watched(tenant, catalog=TIMES), start
    world.profile(profile(), at=at)
    for number, deed in enumerate(life):
        at += deed.pause
        world.advance(at)
        happen(world, deed, at, number + 2)
    world.advance(at + 10 * DAY)
    return world


def happen(world: Watched, deed: Deed, at: int, version: int) -> None:
    if deed.what == "event":
        data = {"room": deed.room, "meeting": deed.room, "key": deed.room}
        world.event(deed.kind, at=at, data={**data, "starts": written(at + int(deed.hours * HOUR))})
    elif deed.what == "cancel":
        world.event("tocsin.cancel", at=at, data={"cancel_key": deed.room})
    elif deed.what == "retry":
        handed = {one.message_id for one in world.messages if one.attempt > 1}
        handed |= {one.message_id for one in world.outcomes if one.attempt > 1}
        if world.messages and world.messages[-1].message_id not in handed:
            world.retry(world.messages[-1], at=at, due=at + int(deed.hours * HOUR))
    else:
        change_profile(world, deed, at, version)


def change_profile(world: Watched, deed: Deed, at: int, version: int) -> None:
    world.advance(at)
    if deed.what == "snooze":
        world.snoozed_ms = (NOON + at) // 1_000 * 1_000 + 3 * HOUR
    else:
        world.zone = deed.zone
    until = datetime.fromtimestamp(world.snoozed_ms / 1000, UTC) if world.snoozed_ms else None
    wanted = profile(timezone=world.zone, version=version, preferences=Preferences(snoozed_until=until))
    world.profile(wanted, at=at)


def subject(one: Outcome) -> tuple[str, str, str]:
    return (one.notification_id or one.origin, one.channel, one.target)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["texts", "nights"]), st.sampled_from(STARTS), lives)
def test_nothing_leaves_in_the_wrong_hour_and_nothing_is_lost(
    tenant: str, start: int, life: list[Deed]
) -> None:
    world = live(tenant, start, life)
    assert world.timers == {}
    finals: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in world.outcomes:
        if one.status in FINAL:
            finals[subject(one)].add(one.outcome_id)
    assert all(len(ids) == 1 for ids in finals.values())
    said = {one.origin for one in world.outcomes if one.status != Status.HELD}
    assert {one.origin for one in world.outcomes} == said
    decided = {(one.notification_id, one.channel) for one in world.outcomes if one.status != Status.HELD}
    decided |= {(notification_id, "*") for notification_id, _ in decided}
    held = {(one.notification_id, one.channel) for one in world.outcomes if one.status == Status.HELD}
    assert held <= decided
    events = sum(deed.what in ("event", "cancel") for deed in life)
    assert len({one.origin for one in world.outcomes if one.origin.startswith("events/")}) == events


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["texts", "nights"]), st.sampled_from(STARTS), lives)
def test_the_same_life_gives_the_same_bytes(tenant: str, start: int, life: list[Deed]) -> None:
    first, second = live(tenant, start, life), live(tenant, start, life)
    assert msgspec.json.encode(first.outcomes) == msgspec.json.encode(second.outcomes)
    assert msgspec.json.encode(first.messages) == msgspec.json.encode(second.messages)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(STARTS), st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 90)), min_size=2))
def test_of_what_one_night_holds_exactly_one_of_each_key_is_sent(
    start: int, news: list[tuple[str, int]]
) -> None:
    """Events of one night, minutes apart; the newest of each room is the one that is sent."""
    world = World("nights", catalog=TIMES)
    midnight = (NOON + start) // DAY * DAY - NOON
    world.profile(profile(), at=midnight)
    newest, at = dict[str, Any](), midnight
    for room, pause in news[:12]:
        at += pause * 1_000
        newest[room] = world.event("news", at=at, data={"room": room}).outcomes[-1].notification_id
    world.advance(at + DAY)
    assert {one.notification_id for one in world.messages} == set(newest.values())
    merged = [one for one in world.outcomes if one.status == Status.MERGED]
    assert len(merged) == len(news[:12]) - len(newest)
