"""Limits under random lives in which sends fail: exact windows, no place lost, nobody starves."""

from collections import defaultdict
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import CAPS, DAY, HOUR, MINUTE, NOON, World, profile
from tocsin.catalog.caps import Cap
from tocsin.decision import limits
from tocsin.decision.effects import Decision
from tocsin.decision.periods import period
from tocsin.model.message import Message
from tocsin.model.profile import Device, Preferences, Profile
from tocsin.model.statuses import Status

ZONE = "Europe/Berlin"
KINDS = ("drip", "weekly", "texts", "daily", "mixed", "rush")


class Deed(NamedTuple):
    """One thing that happens, `pause` ms after the one before; `choice` picks what it is about."""

    pause: int
    what: str
    choice: int


deeds = st.builds(
    Deed,
    st.sampled_from([0, 1, MINUTE, 4 * MINUTE, 10 * MINUTE, HOUR, 9 * HOUR, 3 * DAY]),
    st.sampled_from([*KINDS, "drip", "fail", "fail", "fail", "copy", "return", "switch"]),
    st.integers(0, 30),
)  # fmt: skip


class Counted(World):
    """A world that keeps a plain list of what was counted when, and what of it has failed."""

    def __init__(self, tenant: str) -> None:
        super().__init__(tenant, catalog=CAPS)
        self.at = 0
        self.taken: dict[str, dict[str, int]] = defaultdict(dict)
        self.left: dict[str, set[str]] = defaultdict(set)
        self.failures: list[Message] = []

    def apply(self, user: str, step: Decision) -> Decision:
        """Note what a step counts: a notification once, and each of its channels once."""
        now = step.messages[0].decided_ms if step.messages else 0
        for message in step.messages:
            if message.attempt == 1:
                nid = message.notification_id
                self.left[nid].add(message.message_id)
                self.taken[f"channel:{message.channel}"].setdefault(nid, now)
                self.taken[f"notification:{message.notification}"].setdefault(nid, now)
        for outcome in step.outcomes:
            if outcome.status == Status.HELD and outcome.channel != "*" and outcome.attempt == 0:
                nid = outcome.notification_id
                self.left[nid].add(f"{nid}/{outcome.channel}")
                self.taken[f"notification:{outcome.notification}"].setdefault(nid, outcome.at_ms)
            elif outcome.channel != "*" and not outcome.message_id and outcome.status != Status.HELD:
                self.left[outcome.notification_id].discard(f"{outcome.notification_id}/{outcome.channel}")
        for message in step.messages:
            self.left[message.notification_id].discard(f"{message.notification_id}/{message.channel}")
        return super().apply(user, step)

    def sent(self, counter: str) -> dict[str, int]:
        """Times of what was counted and has not failed as a whole."""
        channel = counter.removeprefix("channel:") if counter.startswith("channel:") else ""
        return {
            nid: time
            for nid, time in self.taken[counter].items()
            if (self._live(nid, channel) if channel else self.left[nid])
        }

    def _live(self, nid: str, channel: str) -> bool:
        mine = {one.message_id for one in self.messages if one.channel == channel}
        return bool(mine & self.left[nid])

    def happen(self, deed: Deed) -> None:
        self.at += deed.pause
        self.advance(self.at)
        alive = [one for one in self.messages if one.message_id in self.left[one.notification_id]]
        alive = [one for one in alive if one.attempt == 1]
        if deed.what in KINDS:
            self.event(deed.what, at=self.at)
        elif deed.what == "switch":
            off = {KINDS[deed.choice % 6]: False} if deed.choice % 2 else {}
            self.profile(known(off), at=self.at)
        elif deed.what == "copy" and self.failures:
            self.failed(self.failures[deed.choice % len(self.failures)], at=self.at)
        elif deed.what in ("fail", "return") and alive:
            self._end(alive[deed.choice % len(alive)], returned=deed.what == "return")
        self.advance(self.at)

    def _end(self, message: Message, *, returned: bool) -> None:
        """Let a message fail, or return when it is switched off, which ends it in the gate."""
        self.left[message.notification_id].discard(message.message_id)
        if returned:
            self.profile(known({message.notification: False}), at=self.at)
            self.retry(message, at=self.at)
            self.profile(known({}), at=self.at)
        else:
            self.failures.append(message)
            self.failed(message, at=self.at)


def known(off: dict[str, bool]) -> Profile:
    devices = (Device("ios", token="t1"), Device("android", token="t2"))
    return profile(devices=devices, timezone=ZONE, preferences=Preferences(notifications={**off}))


OWNERS = {"drip": "email", "weekly": "email", "texts": "sms", "daily": "email"}
"""Notifications with a limit of their own, and a channel of each."""


def own_caps() -> list[tuple[str, Cap]]:
    found = [(CAPS.notification("calm", name), channel) for name, channel in OWNERS.items()]
    return [
        (one.name, cap)
        for one, channel in found
        if one is not None
        for cap in (*one.caps, *(cap for use in one.channels if use.name == channel for cap in use.caps))
    ]


def window(cap: Cap, at_ms: int) -> tuple[int, int]:
    return period(cap.period, ZONE, at_ms) if cap.period else (at_ms, at_ms + cap.window_ms)


@settings(max_examples=60, deadline=None)
@given(st.lists(deeds, min_size=15, max_size=50))
def test_limits_are_exact_whatever_fails(life: list[Deed]) -> None:
    world = Counted("calm")
    world.profile(known({}))
    for deed in life:
        world.happen(deed)
        record = world.record()
        assert record is not None
        for _, cap in own_caps():
            scope = cap.counter.removeprefix(f"{cap.period}:")
            times = world.sent(scope).values()
            now = NOON + world.at
            if cap.counter in record.counts:
                # Exactly what was sent is counted, no more and no less.
                inside = [time for time in times if window(cap, time)[1] > now]
                assert limits.window(record.counts, cap, now).number == len(inside)
            else:
                assert not [time for time in times if window(cap, time)[1] > now]
            # Who waits for a limit waits because it is full.
            waits = [ref for ref in record.holds.values() if ref.counter == cap.counter and not ref.spare]
            assert not waits or limits.room_at(record.counts, cap, now)
    names = {one.notification_id: one.notification for one in world.outcomes}
    for name, cap in own_caps():
        # Others are counted, too, and do not meet this limit.
        sent = world.sent(cap.counter.removeprefix(f"{cap.period}:"))
        live = [time for nid, time in sent.items() if names[nid] == name]
        for start, end in (window(cap, time) for time in live):
            assert sum(start <= time < end for time in live) <= cap.max
    world.advance(world.at + 400 * DAY)
    assert world.timers == {}, "nothing waits for ever"
