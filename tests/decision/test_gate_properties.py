"""Laws of the gate under random lives of two users: conservation, determinism, permission, limits."""

from collections import defaultdict
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import HOUR, MINUTE, NOON, World, profile
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import expire
from tocsin.model import ids
from tocsin.model.event import Recipient
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Device, Preferences, Profile
from tocsin.model.statuses import FINAL, Status

KINDS = [
    "flight.cancelled",
    "flight.delayed",
    "flight.landed",
    "offer.x",
    "once",
    "drip",
    "few",
    "later",
    "daytime",
    "gathered",
    "unheard.of",
]


class Deed(NamedTuple):
    """One thing that happens, `pause` ms after the one before."""

    pause: int
    user: str
    what: str
    how: dict[str, Any]


switches = st.booleans()
channel_switches = st.dictionaries(st.sampled_from(["email", "sms", "push", "inapp"]), switches, max_size=2)
all_preferences = st.builds(
    Preferences,
    enabled=st.sampled_from([True, True, True, False]),
    channels=channel_switches,
    categories=st.dictionaries(
        st.sampled_from(["updates", "offers"]), switches | channel_switches, max_size=1
    ),
)
profiles = st.builds(
    Profile,
    email=st.sampled_from(["a@mail.example", "a@mail.example", "b@mail.example", ""]),
    phone=st.sampled_from(["", "+12125550100"]),
    timezone=st.sampled_from(["", "America/New_York", "Asia/Tokyo"]),
    devices=st.sampled_from([(), (Device("ios", token="t1"),), (Device("ios", token="t1"), Device("web"))]),
    preferences=all_preferences,
    version=st.integers(0, 3),
)
DATA = [
    {"delay": 72, "flight": "UA 1", "key": "k"},
    {"delay": 72, "flight": "UA 1", "key": "k"},
    {"delay": 20, "flight": "UA 1", "key": "l"},
    {},
]
RETRY = st.fixed_dictionaries({"due_in": st.sampled_from([0, MINUTE, HOUR]), "stale": st.booleans()})


def events(kinds: list[str], event_ids: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.sampled_from(kinds),
            "event_id": st.sampled_from(event_ids),
            "late": st.sampled_from([0, 0, 0, 1_000, 2 * HOUR, 30 * HOUR]),
            "data": st.sampled_from(DATA),
            "send_in": st.sampled_from([None, None, HOUR]),
            "guest": st.sampled_from([False, False, False, True]),
        }
    )


def lives(
    kinds: list[str] = KINDS,
    *,
    others: tuple[str, ...] = ("profile", "erase", "retry", "gone"),
    pauses: tuple[int, ...] = (0, 1, 20_000, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR),
    event_ids: tuple[str, ...] = ("", "", "", "a", "b"),
    users: tuple[str, ...] = ("ann", "ann", "bob"),
) -> st.SearchStrategy[list[Deed]]:
    """Lives in which half of what happens are events, the rest evenly spread over `others`."""
    how = {
        "event": events(kinds, list(event_ids)),
        "profile": st.fixed_dictionaries({"wanted": profiles}),
        "erase": st.just({}),
        "retry": RETRY,
        "gone": st.just({"address": "t1"}),
    }
    pause, user = st.sampled_from(pauses), st.sampled_from(users)
    names = ("event",) * max(1, len(others)) + others
    deeds = {what: st.builds(Deed, pause, user, st.just(what), how[what]) for what in names}
    deed = st.sampled_from(names).flatmap(deeds.__getitem__)
    # Short lives find little: windows, holds and retries need a past.
    return st.lists(deed, min_size=12, max_size=30)


tenants = st.sampled_from(["default", "quiet"])


def live(world: World, life: list[Deed], *, sweep: bool = False) -> None:
    """Let everything happen, then let a week pass, so that nothing is left held."""
    at = 0
    for user in ("ann", "bob"):
        world.profile(profile(), user=user)
    for deed in life:
        at += deed.pause
        world.advance(at)
        if sweep:
            swept(world, at)
        happen(world, deed, at)
    world.advance(at + 7 * 24 * HOUR)


def happen(world: World, deed: Deed, at: int) -> None:
    if deed.what == "event":
        how = dict(deed.how)
        late, send_in, guest = how.pop("late"), how.pop("send_in"), how.pop("guest")
        how["recipient"] = Recipient(email="guest@mail.example") if guest else None
        how["send_at"] = None if send_in is None else at + send_in
        world.event(how.pop("kind"), at=at, user=deed.user, time=at - late, **how)
    elif deed.what == "profile":
        world.profile(deed.how["wanted"], at=at, user=deed.user)
    elif deed.what == "erase":
        world.profile(None, at=at, user=deed.user)
    elif deed.what == "gone":
        world.receipt("gone", at=at, user=deed.user, target=ids.target_id(deed.how["address"]))
    else:
        retry_last(world, deed, at)


def retry_last(world: World, deed: Deed, at: int) -> None:
    """Hand the newest message of a user back, as delivery would: only what was sent, once an attempt."""
    mine = [message for message in world.messages if message.user == deed.user and message.attempt == 1]
    handed = {word.message_id for word in world.outcomes if word.attempt > 1}
    if mine and mine[-1].message_id not in handed:
        reason = "stale_profile" if deed.how["stale"] else "transient"
        world.retry(mine[-1], at=at, due=at + deed.how["due_in"], reason=reason)


def swept(world: World, at: int) -> None:
    """Sweep every record, as the store does now and then."""
    for user in list(world.records):
        record = world.record(user)
        assert record is not None
        if expire(record, NOON + at):
            world.records[user] = world.codec.encode(record)
            if record.is_empty():
                del world.records[user]


@settings(max_examples=150, deadline=None)
@given(tenants, lives(event_ids=("", "", "a", "b")), st.sampled_from([1, 128]))
def test_one_final_word_for_each_notification_channel_and_target(
    tenant: str, life: list[Deed], remembered: int
) -> None:
    """Law 1. A message's word is delivery's, so an admitted message counts as having it to come."""
    world = World(tenant, policy=GatePolicy(dedup_max=remembered))
    live(world, life)
    assert world.timers == {}
    finals: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    opened: set[tuple[str, str, str]] = set()
    for word in world.outcomes:
        if word.status in FINAL:
            finals[subject(word)].add(word.outcome_id)
        elif word.status == Status.HELD and not word.message_id and word.notification_id:
            opened.add(subject(word))
    assert all(len(words) == 1 for words in finals.values())
    decided = {word.notification_id for word in world.outcomes if word.status != Status.HELD}
    assert {nid for nid, _, _ in opened} <= decided
    origins = {word.origin for word in world.outcomes if word.status != Status.HELD}
    assert {word.origin for word in world.outcomes} == origins
    # Outcomes of equal ids count as one everywhere downstream; still every event has one of its own.
    first = {word.outcome_id: word.origin for word in reversed(world.outcomes)}
    decided_events = {origin for origin in first.values() if origin.startswith("events/")}
    assert len(decided_events) == sum(deed.what == "event" for deed in life)


def subject(word: Outcome) -> tuple[str, str, str]:
    return (word.notification_id or word.origin, word.channel, word.target)


@settings(max_examples=100, deadline=None)
@given(tenants, lives())
def test_every_message_has_an_admitted_word_and_the_other_way_round(tenant: str, life: list[Deed]) -> None:
    world = World(tenant)
    live(world, life)
    admitted = [word.message_id for word in world.outcomes if word.status == Status.ADMITTED]
    first = [message.message_id for message in world.messages if message.attempt == 1]
    assert set(admitted) == set(first)
    assert {message.message_id for message in world.messages} <= set(admitted)


@settings(max_examples=40, deadline=None)
@given(tenants, lives())
def test_the_same_life_gives_the_same_steps(tenant: str, life: list[Deed]) -> None:
    """Law 2, byte for byte."""
    first, second = World(tenant), World(tenant)
    live(first, life)
    live(second, life)
    assert msgspec.json.encode(first.messages) == msgspec.json.encode(second.messages)
    assert msgspec.json.encode(first.outcomes) == msgspec.json.encode(second.outcomes)
    assert (first.records, first.timers, first.notes) == (second.records, second.timers, second.notes)


@settings(max_examples=40, deadline=None)
@given(tenants, lives(event_ids=("a", "b"), users=("ann",)))
def test_sweeping_never_changes_a_decision(tenant: str, life: list[Deed]) -> None:
    plain, clean = World(tenant), World(tenant)
    live(plain, life)
    live(clean, life, sweep=True)
    assert plain.messages == clean.messages
    assert plain.outcomes == clean.outcomes


@settings(max_examples=100, deadline=None)
@given(
    lives(["flight.landed", "offer.x"], others=(), pauses=(1, 58_000, 59_999, MINUTE, HOUR), users=("ann",))
)
def test_limits_hold_in_every_rolling_window(life: list[Deed]) -> None:
    """The default limits of a tenant, over everything that two users were admitted."""
    world = World("default")
    live(world, life)
    admitted = {
        word.notification_id: word
        for word in world.outcomes
        if word.status == Status.ADMITTED and word.priority != "critical"
    }.values()
    for user in ("ann", "bob"):
        times = [word.at_ms for word in admitted if word.user == user]
        assert crowd(times, MINUTE) <= 1
        offers = [word.at_ms for word in admitted if word.user == user and word.category == "offers"]
        assert crowd(offers, 24 * HOUR) <= 5


def crowd(times: list[int], window_ms: int) -> int:
    """Most admissions in any window."""
    return max((sum(start <= time < start + window_ms for time in times) for start in times), default=0)


@settings(max_examples=100, deadline=None)
@given(lives(["drip"], others=(), pauses=(1, MINUTE, 5 * MINUTE, 599_999, 10 * MINUTE), users=("ann",)))
def test_a_hold_limit_is_kept_too(life: list[Deed]) -> None:
    world = World("quiet")
    live(world, life)
    for user in ("ann", "bob"):
        drips = {
            word.notification_id: word.at_ms
            for word in world.outcomes
            if word.user == user and word.notification == "drip" and word.status == Status.ADMITTED
        }
        assert crowd(list(drips.values()), 10 * MINUTE) <= 2


class Loyal(World):
    """A world that checks each message against the profile of the very moment it leaves."""

    wished: dict[str, Profile | None]

    def profile(self, wanted: Profile | None, *, at: int = 0, user: str = "ann") -> Any:
        self.advance(at)
        self.wished = {**getattr(self, "wished", {}), user: wanted}
        return super().profile(wanted, at=at, user=user)

    def apply(self, user: str, step: Any) -> Any:
        for message in step.messages:
            self.check(message.category, message.channel, getattr(self, "wished", {}).get(message.user))
        return super().apply(user, step)

    def check(self, category: str, channel: str, wanted: Profile | None) -> None:
        if wanted is None or category == "alerts":
            return
        preferences = wanted.preferences
        assert preferences.enabled
        assert preferences.channels.get(channel, True)
        switch = preferences.categories.get(category, True)
        assert switch if isinstance(switch, bool) else switch.get(channel, True)


@settings(max_examples=100, deadline=None)
@given(
    tenants,
    lives(
        ["flight.cancelled", "few", "offer.x", "later"],
        others=("profile", "retry"),
        pauses=(1, MINUTE, HOUR),
        users=("ann",),
    ),
)
def test_an_opt_out_always_wins_unless_required(tenant: str, life: list[Deed]) -> None:
    """Law 3, held things and retries included."""
    live(Loyal(tenant), life)


@settings(max_examples=100, deadline=None)
@given(
    lives(
        ["few", "once", "flight.delayed"],
        others=("profile",),
        pauses=(0, MINUTE, 6 * HOUR, 11 * HOUR),
        event_ids=("a", "b", "", ""),
        users=("ann",),
    ),
    st.booleans(),
)
def test_duplicates_are_never_admitted_within_the_window(life: list[Deed], keyed: bool) -> None:
    """No erasures here: who is erased is forgotten, and his events with him."""
    world = World("quiet")
    live(world, life, sweep=True)
    admitted: dict[tuple[str, str, str], set[tuple[int, str]]] = defaultdict(set)
    for word in world.outcomes:
        if word.status == Status.ADMITTED:
            key = (word.user, word.notification, word.event_id if not keyed else "")
            admitted[key].add((word.event_time_ms, word.origin))
    for (_, notification, _), found in admitted.items():
        if not keyed:
            assert crowd([time for time, _ in found], 24 * HOUR) <= 1
        elif notification == "once":
            # Two keys in play: at most one admission each in any hour of event time.
            assert crowd([time for time, _ in found], HOUR) <= 2


@settings(max_examples=40, deadline=None)
@given(lives())
def test_a_record_stays_small_whatever_happens(life: list[Deed]) -> None:
    world = World("quiet", policy=GatePolicy(dedup_max=4, holds_max=2, waiting_max=2, blocked_max=2))
    live(world, life)
    assert all(len(data) < 1_500 for data in world.records.values())
    for step in world.steps:
        if step.record is not None:
            assert len(step.record.seen) <= 4 * 35
            assert len(step.record.holds) <= 2
            assert len(step.record.waiting) <= 2
