"""The rules once more, in plain Python, as docs/rules.md states them: whole lists, no packed state, no ids.

It reads the catalog's YAML itself and shares no code with the gate. Only what the histories of
`tests/decision/test_oracle.py` contain is stated: receipts of later steps only, no returned messages, no
failing expression; where something is replaced or cancelled, no limits and no unknown users.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import yaml

from tests.decision.oracle_preferences import REASONS, Choices, Defaults

MINUTE, DAY = 60_000, 86_400_000
_UNITS = {"s": 1_000, "m": MINUTE, "h": 60 * MINUTE, "d": DAY}
_ZONES = {"UTC": 0, "Asia/Tokyo": 9 * 60, "America/Phoenix": -7 * 60}
"""Zones without summer time, in minutes from UTC."""
LEVELS = ("delivered", "opened", "clicked", "read")
PROFILE_WAIT_MS, SAME_MOMENT_MS = 10_000, 1_000


class Word(NamedTuple):
    """One outcome; `due_ms` is the time until which it is held."""

    number: int
    notification: str
    channel: str
    status: str
    reason: str
    at_ms: int
    due_ms: int = 0


@dataclass(eq=False)
class Happened:
    """An event; `number` is its place among all."""

    number: int
    kind: str
    id: str
    time_ms: int
    delay: int
    key: str
    send_at_ms: int | None = None
    expires_ms: int | None = None
    guest: bool = False
    collected: bool = False
    """Whether it stands for a digest that is due, with the place of the first item."""


@dataclass(eq=False)
class Person:
    """A profile: how often each channel reaches somebody, what is off, and the quiet hours."""

    reach: dict[str, int]
    enabled: bool = True
    channels: dict[str, bool] = field(default_factory=dict)
    categories: dict[str, Any] = field(default_factory=dict)
    notifications: dict[str, Any] = field(default_factory=dict)
    snoozed_until_ms: int = 0
    quiet: tuple[int, int] | None = None
    zone: str = "UTC"


@dataclass(eq=False)
class Held:
    """A notification that waits: until when, for which limit, and whether without a slot of its own.

    A later step waits on one channel, and `unless` is the level of receipts that ends it.
    An open digest waits, too: with its items and the latest time to which they move its end.
    """

    event: Happened
    notice: dict[str, Any]
    due_ms: int
    counter: str
    spare: bool
    reason: str = ""
    channel: str = "*"
    unless: str = ""
    items: list[Happened] = field(default_factory=list)
    latest_ms: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """The more important ones are first, then those that are due first."""
        return rank_of(self.notice), self.due_ms


@dataclass
class User:
    """All that is remembered of a user."""

    person: Person | None = None
    seen: list[Happened] = field(default_factory=list)
    keys: list[tuple[str, str, int]] = field(default_factory=list)
    admitted: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[tuple[str, str], int] = field(default_factory=dict)
    """When the calendar period ends in which a counter has counted last."""
    starts: dict[tuple[str, str], int] = field(default_factory=dict)
    """The first that it has counted in this period."""
    held: list[Held] = field(default_factory=list)
    waiting: list[tuple[int, Happened]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


def duration(text: str | None) -> int:
    """Read a duration of the catalog in ms; 0 for none."""
    return int(text[:-1]) * _UNITS[text[-1]] if text else 0


def minute_of(text: str) -> int:
    """Read a time of day."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def rank_of(notice: dict[str, Any]) -> int:
    """Rank a priority; the most important one is 0."""
    return ("critical", "high", "normal", "low").index(notice.get("priority", "normal"))


def period_end(calendar: str, zone: str, at_ms: int) -> int:
    """Find the end of a day or week (from Monday) on a clock without summer time."""
    local = at_ms + _ZONES[zone] * MINUTE
    # The first of January 1970 was a Thursday.
    start, length = (0, DAY) if calendar == "day" else (4 * DAY, 7 * DAY)
    return at_ms + length - (local - start) % length


class Oracle:
    """Decides the histories of one tenant."""

    def __init__(self, folder: Path, tenant: str) -> None:
        notices = yaml.safe_load((folder / "notifications" / "all.yaml").read_text())
        # YAML 1.1 reads a bare `on` as true.
        self.notices = [
            {"name": name, "on": notice.pop(True, None) or notice.pop("on"), **notice}
            for name, notice in notices.items()
        ]
        self.tenant = yaml.safe_load((folder / "tenants" / f"{tenant}.yaml").read_text())
        self.users: defaultdict[str, User] = defaultdict(User)

    # What happens

    def advance(self, at_ms: int) -> None:
        """Decide all that is due by a time, each at its own."""
        for user in self.users.values():
            while due := sorted(_due(user), key=lambda one: one[0])[:1]:
                if due[0][0] > at_ms:
                    break
                self._fire(user, *due[0])

    def event(self, name: str, event: Happened, at_ms: int) -> None:
        """Decide an event."""
        user = self.users[name]
        if any(one.id == event.id and abs(one.time_ms - event.time_ms) < DAY for one in user.seen):
            _say(user, event, "", "suppressed", "duplicate", at_ms)
            return
        user.seen.append(event)
        if event.kind == "tocsin.cancel":
            _cancel(user, event, at_ms)
        elif not any(_asks_for(notice, event.kind) for notice in self.notices):
            _say(user, event, "", "suppressed", "no_match", at_ms)
        elif user.person is None and not event.guest:
            user.waiting.append((at_ms + PROFILE_WAIT_MS, event))
            _say(user, event, "", "held", "awaiting_profile", at_ms, due_ms=at_ms + PROFILE_WAIT_MS)
        else:
            self._decide_all(user, event, at_ms)

    def profile(self, name: str, person: Person, at_ms: int) -> None:
        """Take a profile over, and decide what waited for it."""
        user = self.users[name]
        before, user.person = user.person, person
        moved = before is None or (before.zone, before.quiet) != (person.zone, person.quiet)
        if moved or (before and person.snoozed_until_ms < before.snoozed_until_ms):
            self._follow_hours(user, person, at_ms)
        if moved:
            self._follow_clock(user, before or Person({}), person, at_ms)
        waited, user.waiting = user.waiting, []
        for _, event in waited:
            self._decide_all(user, event, at_ms)

    def _follow_hours(self, user: User, person: Person, at_ms: int) -> None:
        """Let what quiet hours or a snooze hold be due when those of the new profile end, in order."""
        left = sorted(
            (one for one in user.held if one.reason in ("quiet_hours", "send_window", "snoozed")),
            key=lambda one: one.due_ms,
        )
        while left:
            held = left[0]
            first = [use if isinstance(use, str) else use["channel"] for use in held.notice["channels"]]
            channels = first if held.channel == "*" else [held.channel]
            ends_ms, _ = self._until(person, held.notice, channels, at_ms)
            due_ms = _behind(user, ends_ms, left)
            is_there = due_ms <= held.due_ms < ends_ms + SAME_MOMENT_MS
            if not is_there and due_ms <= _expiry(held.event, held.notice):
                held.due_ms = due_ms
            del left[0]

    def _follow_clock(self, user: User, before: Person, person: Person, at_ms: int) -> None:
        """Let what waits for a time of its user's day be due then in the new zone, if that is earlier."""
        earlier_ms = (_ZONES[person.zone] - _ZONES[before.zone]) * MINUTE
        waits = [one for one in user.held if one.reason == "scheduled" and "at" in one.notice]
        for held in sorted(waits, key=lambda one: one.due_ms):
            wanted_ms = max(at_ms, held.due_ms - held.due_ms % SAME_MOMENT_MS - earlier_ms)
            held.due_ms = min(held.due_ms, _behind(user, wanted_ms, [held]))
        for digest in (one for one in user.held if one.items and "at" in one.notice["digest"]):
            last_ms = min(item.expires_ms or 1 << 62 for item in digest.items)
            digest.due_ms = min(max(at_ms, digest.due_ms - earlier_ms), last_ms)

    def erase(self, name: str, at_ms: int) -> None:
        """Forget a user; what is held ends."""
        user = self.users[name]
        for _, event in user.waiting:
            _say(user, event, "", "suppressed", "erased", at_ms)
        for held in user.held:
            _say(user, held.event, held.notice["name"], "suppressed", "erased", at_ms, held.channel)
        self.users[name] = User(words=user.words)

    def receipt(self, name: str, number: int, notification: str, kind: str, at_ms: int) -> None:
        """Take a receipt of a notification of an event: later steps of its level and below end."""
        user = self.users[name]
        for held in list(user.held):
            about = (held.event.number, held.notice["name"]) == (number, notification)
            if about and held.unless and LEVELS.index(kind) >= LEVELS.index(held.unless):
                user.held.remove(held)
                _say(user, held.event, notification, "cancelled", "answered", at_ms, held.channel)

    def _fire(self, user: User, due_ms: int, what: Held | Happened) -> None:
        if isinstance(what, Happened):
            user.waiting.remove((due_ms, what))
            user.seen.remove(what)
            _say(user, what, "", "dead", "unknown_user", due_ms)
            return
        user.held.remove(what)
        if what.channel != "*":
            self._step(user, what, due_ms)
            return
        words = len(user.words)
        event = _whole(what.items, due_ms) if what.items else what.event
        self._decide(user, event, what.notice, due_ms, waited_for=what.counter)
        taken = any(word.status == "admitted" for word in user.words[words:])
        again = any(one.event is what.event and one.counter == what.counter for one in user.held[-1:])
        if what.counter and not what.spare and not taken and not again:
            _pass_on(user, what.counter, due_ms)

    def _decide_all(self, user: User, event: Happened, at_ms: int) -> None:
        notices = [
            one for one in self.notices if _asks_for(one, event.kind) and _holds(one["on"].get("when"), event)
        ]
        if not notices:
            _say(user, event, "", "suppressed", "no_match", at_ms)
        for notice in notices:
            taken = False
            if dedup := notice.get("dedup"):
                taken = any(
                    one[:2] == (notice["name"], event.key)
                    and abs(one[2] - event.time_ms) < duration(dedup["window"])
                    for one in user.keys
                )
                if not taken:
                    user.keys.append((notice["name"], event.key, event.time_ms))
            if taken:
                _say(user, event, notice["name"], "suppressed", "duplicate_key", at_ms)
            else:
                if "cancel_key" in notice:
                    _reschedule(user, event, notice, at_ms)
                self._decide(user, event, notice, at_ms)

    # The rules in their order

    def _decide(
        self, user: User, event: Happened, notice: dict[str, Any], at_ms: int, waited_for: str = ""
    ) -> None:
        person = user.person or Person({"email": 1}, quiet=None)
        name, critical = notice["name"], notice.get("priority") == "critical"
        delay_ms = duration(notice.get("delay"))
        not_before_ms = max(event.send_at_ms or 0, event.time_ms + delay_ms if delay_ms else 0)
        if clock := notice.get("at"):
            not_before_ms = max(not_before_ms, _next_clock(minute_of(clock), person.zone, event.time_ms))
        if at_ms > _expiry(event, notice):
            _say(user, event, name, "expired", "too_late", at_ms)
            _untake(user, event, notice)
        elif not_before_ms > at_ms and not event.collected:
            self._hold(user, event, notice, not_before_ms, "scheduled", at_ms)
        elif reason := "" if self._required(notice) else self._refusal(person, notice, at_ms):
            _say(user, event, name, "suppressed", reason, at_ms)
        elif "digest" in notice and not event.collected:
            self._collect(user, event, notice, person.zone, at_ms)
        elif not critical and self._limited(user, person.zone, event, notice, at_ms, waited_for):
            pass
        elif not critical and not self._required(notice) and person.snoozed_until_ms > at_ms:
            self._hold(user, event, notice, *self._until(person, notice, _first(notice, event), at_ms), at_ms)
        elif self._is_closed(person, notice, "", at_ms):
            if not self._has_time(person, notice, ""):
                _say(user, event, name, "suppressed", "send_window", at_ms)
            else:
                until = self._until(person, notice, _first(notice, event), at_ms)
                self._hold(user, event, notice, *until, at_ms)
        else:
            self._route(user, person, event, notice, at_ms)

    def _step(self, user: User, step: Held, at_ms: int) -> None:
        """Decide a later step that is due: on its channel, by the same rules, but for limits of the whole."""
        person = user.person or Person({"email": 1}, quiet=None)
        event, notice, channel = step.event, step.notice, step.channel
        critical = notice.get("priority") == "critical"
        if at_ms > _expiry(event, notice):
            _say(user, event, notice["name"], "expired", "too_late", at_ms, channel)
        elif reason := "" if self._required(notice) else self._refusal(person, notice, at_ms):
            _say(user, event, notice["name"], "suppressed", reason, at_ms, channel)
        elif not critical and not self._required(notice) and person.snoozed_until_ms > at_ms:
            self._hold(user, event, notice, *self._until(person, notice, [channel], at_ms), at_ms, step=step)
        elif self._is_closed(person, notice, "", at_ms):
            if not self._has_time(person, notice, ""):
                _say(user, event, notice["name"], "suppressed", "send_window", at_ms, channel)
            else:
                until = self._until(person, notice, [channel], at_ms)
                self._hold(user, event, notice, *until, at_ms, step=step)
        else:
            self._send(user, person, event, notice, [channel], at_ms)

    def _collect(self, user: User, event: Happened, notice: dict[str, Any], zone: str, at_ms: int) -> None:
        """Add an item to the open digest of its notification and key, or open one."""
        terms, last_ms = notice["digest"], event.expires_ms or 1 << 62
        key = event.key if "key" in terms else ""
        found = next((one for one in user.held if _is_open(one, notice, key, at_ms)), None)
        slides = "slide" in terms
        due_ms, latest_ms = found.due_ms if found else 0, found.latest_ms if found else 0
        if found is None:
            latest_ms = at_ms + duration(terms["at_most"]) if slides else _next(terms["at"], zone, at_ms)
            due_ms = 0 if slides else latest_ms
        if slides:
            latest_ms = min(latest_ms, last_ms)
            due_ms = min(max(due_ms, min(at_ms + duration(terms["slide"]), latest_ms)), last_ms)
        if due_ms > last_ms:
            _say(user, event, notice["name"], "expired", "too_late", at_ms)
            return
        if len(found.items if found else ()) + 1 == terms.get("count"):
            due_ms = at_ms
        if found is None:
            found = Held(event, notice, due_ms, "", False)
            user.held.append(found)
            _say(user, event, notice["name"], "held", "digest", at_ms, due_ms=due_ms)
        found.items.append(event)
        found.due_ms, found.latest_ms = due_ms, latest_ms
        _say(user, event, notice["name"], "merged", "", at_ms)

    def _required(self, notice: dict[str, Any]) -> bool:
        return bool(self._category(notice).get("required"))

    def _category(self, notice: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.tenant["categories"][notice["category"]]
        return found

    def _refusal(self, person: Person, notice: dict[str, Any], at_ms: int) -> str:
        if not person.enabled:
            return "opted_out"
        chosen = Choices(person, notice)
        if chosen.says("notification") is False:
            return "notification_off"
        if chosen.says("category") is False:
            return "category_off"
        return Defaults(self.tenant["preferences"], chosen).refusal_of_all(_channels(notice))

    def _limited(
        self, user: User, zone: str, event: Happened, notice: dict[str, Any], at_ms: int, waited_for: str
    ) -> bool:
        """Say that a limit is reached, or hold for it; whether one is."""
        full = [each for each in self._limits(notice) if "channel" not in each and _full(user, each, at_ms)]
        if any(each.get("overflow") != "hold" for each in full):
            _say(user, event, notice["name"], "suppressed", "limit", at_ms)
        elif full:
            slots = [
                (self._slot(user, each, zone, notice, at_ms, waited_for), each["counter"]) for each in full
            ]
            first_ms = max(self._slot(user, each, zone, notice, at_ms, each["counter"]) for each in full)
            slot_ms, counter = max(slots)
            new = counter != waited_for
            lesser = _giving_way(user, counter, notice, slot_ms) if new else []
            held = self._hold(user, event, notice, slot_ms, "limit_hold", at_ms, counter, first_ms, lesser)
            if held and not held.spare:
                self._make_way(
                    user, lesser, next(one for one in full if one["counter"] == counter), zone, at_ms
                )
        return bool(full)

    def _limits(self, notice: dict[str, Any]) -> Iterator[dict[str, Any]]:
        marketing = self._category(notice).get("marketing")
        for limit in (*self.tenant["limits"], *notice.get("limits", ())):
            scope = limit.get("scope", "notification")
            if scope == "marketing" and not marketing:
                continue
            about = {"notification": notice["name"], "category": notice["category"]}
            about["channel"] = limit.get("channel", "")
            yield {**limit, "counter": f"{scope}:{about[scope]}" if scope in about else scope}

    def _until(
        self, person: Person, notice: dict[str, Any], channels: Sequence[str], at_ms: int
    ) -> tuple[int, str]:
        """Walk minute by minute to where nothing holds one of the channels; the reason is what ends last.

        Channels that reach nobody, or have no time, do not count; without a channel only the whole does.
        """
        passes = notice.get("priority") == "critical" or self._required(notice)
        from_ms = at_ms if passes else max(at_ms, person.snoozed_until_ms)
        reached = [one for one in channels if person.reach.get(one)]
        if not all(self._window(notice, one) for one in reached):
            reached = []
        asked = [one for one in reached if self._has_time(person, notice, one)] or [""]
        found = [self._walk(person, notice, one, from_ms) for one in asked]
        return min(found, key=lambda one: one[0])

    def _walk(self, person: Person, notice: dict[str, Any], channel: str, from_ms: int) -> tuple[int, str]:
        until_ms, reason = from_ms, "snoozed"
        while self._has_time(person, notice, channel) and (
            closed := self._is_closed(person, notice, channel, until_ms)
        ):
            until_ms, reason = (until_ms // MINUTE + 1) * MINUTE, closed
        return until_ms, reason

    def _is_closed(self, person: Person, notice: dict[str, Any], channel: str, at_ms: int) -> str:
        """Say why nothing may leave now: the quiet hours, or else a window; empty if it may."""
        minute = (at_ms // MINUTE + _ZONES[person.zone]) % (24 * 60)
        if notice.get("priority") != "critical" and _inside(*self._quiet(person), minute):
            return "quiet_hours"
        windows = [notice.get("send_window"), self._window(notice, channel)]
        spans = [(minute_of(one["start"]), minute_of(one["end"])) for one in windows if one]
        return "" if all(_inside(*span, minute) for span in spans) else "send_window"

    def _quiet(self, person: Person) -> tuple[int, int]:
        hours = self.tenant["quiet_hours"]
        return person.quiet or (minute_of(hours["start"]), minute_of(hours["end"]))

    def _window(self, notice: dict[str, Any], channel: str) -> dict[str, str] | None:
        """Return the window of a channel, unless the notification passes it."""
        window: dict[str, str] | None = self.tenant.get("windows", {}).get(channel)
        passes = window and notice.get("priority") == "critical" and window.get("critical") == "passes"
        return None if passes else window

    def _has_time(self, person: Person, notice: dict[str, Any], channel: str) -> bool:
        """Ask every minute of the day whether the quiet hours and all windows let it pass."""
        quiet = self._quiet(person)
        wanted = [notice.get("send_window"), self.tenant.get("windows", {}).get(channel)]
        windows = [(minute_of(one["start"]), minute_of(one["end"])) for one in wanted if one]
        critical = notice.get("priority") == "critical"
        return any(
            all(_inside(*window, minute) for window in windows) and (critical or not _inside(*quiet, minute))
            for minute in range(24 * 60)
        )

    def _hold(
        self,
        user: User,
        event: Happened,
        notice: dict[str, Any],
        due_ms: int,
        reason: str,
        at_ms: int,
        counter: str = "",
        first_ms: int = 0,
        lesser: Sequence[Held] = (),
        step: Held | None = None,
    ) -> Held | None:
        channel, unless = (step.channel, step.unless) if step else ("*", "")
        older = _older(user, event, notice, [channel] if step else None)
        due_ms = lesser[0].due_ms if lesser else _behind(user, due_ms, older)
        last_ms = _expiry(event, notice)
        spare = due_ms > last_ms
        if spare and not (counter and first_ms <= last_ms):
            _say(user, event, notice["name"], "expired", "too_late", at_ms, channel)
            if step is None:
                _untake(user, event, notice)
            return None
        due_ms = min(due_ms, last_ms)
        _merge(user, older, at_ms)
        user.held.append(Held(event, notice, due_ms, counter, spare, reason, channel, unless))
        _say(user, event, notice["name"], "held", reason, at_ms, channel, due_ms)
        return user.held[-1]

    def _slot(
        self,
        user: User,
        limit: dict[str, Any],
        zone: str,
        notice: dict[str, Any],
        at_ms: int,
        waited_for: str = "",
        but: Held | None = None,
    ) -> int:
        """Find the first slot that is free: behind all as important that wait, or the very first."""
        counter, most = limit["counter"], limit["max"]
        times = user.admitted[counter]
        queue = [one for one in user.held if one.counter == counter and not one.spare and one is not but]
        ahead = [one.due_ms for one in queue if rank_of(one.notice) <= rank_of(notice)]
        ahead = [] if waited_for == counter else ahead
        if "per" in limit:
            return int(sorted([*times, *ahead])[-most] + duration(limit["per"]))
        start_ms = user.ends[counter, limit["calendar"]]
        while True:
            end_ms = period_end(limit["calendar"], zone, start_ms)
            if sum(start_ms <= time < end_ms for time in ahead) < most:
                return start_ms
            start_ms = end_ms

    def _make_way(self, user: User, lesser: list[Held], limit: dict[str, Any], zone: str, at_ms: int) -> None:
        """Let each that is less important take the place of the next; the last finds a new one."""
        for at, one in enumerate(lesser):
            after = lesser[at + 1] if one is not lesser[-1] else None
            last_ms = _expiry(one.event, one.notice)
            if after is None:
                slot_ms = self._slot(user, limit, zone, one.notice, at_ms, but=one)
                slot_ms = _behind(user, slot_ms)
            else:
                slot_ms = after.due_ms
            one.due_ms, one.spare = min(slot_ms, last_ms), slot_ms > last_ms
            if one.spare:
                return

    def _route(self, user: User, person: Person, event: Happened, notice: dict[str, Any], at_ms: int) -> None:
        name = notice["name"]
        first = _first(notice, event)
        if not first:
            _say(user, event, name, "suppressed", "no_match", at_ms)
            return
        first, later = _planned(notice, first)
        reached, started_ms = self._send(user, person, event, notice, first, at_ms), at_ms
        while later and not reached:
            after_ms = later[0][0]
            now = [channel for after, channel, _ in later if after == after_ms]
            later, started_ms = later[len(now) :], at_ms - after_ms
            reached = self._send(user, person, event, notice, now, at_ms)
        if not reached:
            return
        for after_ms, channel, unless in later:
            step = Held(event, notice, 0, "", False, "", channel, unless)
            self._hold(user, event, notice, started_ms + after_ms, "escalation", at_ms, step=step)
        counters = [f"notification:{name}", f"category:{notice['category']}"]
        counters += ["marketing"] * bool(self._category(notice).get("marketing"))
        for counter in counters + ["user"] * (notice.get("priority") != "critical"):
            _count(user, counter, person.zone, at_ms)

    def _send(
        self,
        user: User,
        person: Person,
        event: Happened,
        notice: dict[str, Any],
        channels: list[str],
        at_ms: int,
    ) -> bool:
        """Admit on each channel that may be used; whether there is any."""
        name, reached, sent = notice["name"], False, list[str]()
        for channel in channels:
            reason = self._channel_refusal(user, person, notice, channel, at_ms)
            if not reason and person.reach.get(channel) and self._is_shut(person, notice, channel, at_ms):
                if not self._has_time(person, notice, channel):
                    _say(user, event, name, "suppressed", "send_window", at_ms, channel)
                    continue
                part = Held(event, notice, 0, "", False, "", channel)
                until = self._until(person, notice, [channel], at_ms)
                held = self._hold(user, event, notice, *until, at_ms, step=part)
                reached |= held is not None
                continue
            for _ in range(person.reach.get(channel, 0) if not reason else 0):
                _say(user, event, name, "admitted", "", at_ms, channel)
            if reason or not person.reach.get(channel):
                _say(user, event, name, "suppressed", reason or "no_channel", at_ms, channel)
            else:
                reached = True
                sent.append(channel)
                _count(user, f"channel:{channel}", person.zone, at_ms)
        if reached:
            _merge(user, _older(user, event, notice, sent), at_ms)
        return reached

    def _is_shut(self, person: Person, notice: dict[str, Any], channel: str, at_ms: int) -> bool:
        """Ask whether the hours of a channel are over, whatever else holds it."""
        window = self._window(notice, channel)
        minute = (at_ms // MINUTE + _ZONES[person.zone]) % (24 * 60)
        return window is not None and not _inside(
            minute_of(window["start"]), minute_of(window["end"]), minute
        )

    def _channel_refusal(
        self, user: User, person: Person, notice: dict[str, Any], channel: str, at_ms: int
    ) -> str:
        if not self._required(notice):
            chosen = Choices(person, notice)
            for level in ("notification x channel", "category x channel", "channel"):
                if chosen.says(level, channel) is False:
                    return REASONS[level]
            if reason := Defaults(self.tenant["preferences"], chosen).refusal(channel):
                return reason
        if notice.get("priority") == "critical":
            return ""
        limits = [one for one in self._limits(notice) if one.get("channel") == channel]
        return "limit" if any(_full(user, one, at_ms) for one in limits) else ""


def _first(notice: dict[str, Any], event: Happened) -> list[str]:
    """List the channels of a notification whose conditions hold."""
    uses = [use if isinstance(use, dict) else {"channel": use} for use in notice["channels"]]
    return [use["channel"] for use in uses if _holds(use.get("when"), event)]


def _channels(notice: dict[str, Any]) -> list[str]:
    own = [use["channel"] if isinstance(use, dict) else use for use in notice["channels"]]
    return own + [channel for step in notice.get("escalate", ()) for channel in step["channels"]]


def _planned(notice: dict[str, Any], first: list[str]) -> tuple[list[str], list[tuple[int, str, str]]]:
    """Return the channels that go out at once, and the later ones with time and the level that ends them."""
    if sequence := notice.get("sequence"):
        every_ms = duration(sequence["every"])
        return first[:1], [(at * every_ms, first[at], sequence["until"]) for at in range(1, len(first))]
    steps = notice.get("escalate", ())
    return first, [(duration(one["after"]), each, one["unless"]) for one in steps for each in one["channels"]]


def _older(user: User, event: Happened, notice: dict[str, Any], channels: Sequence[str] | None) -> list[Held]:
    """List what is held of others with the collapse key: on these channels or as a whole, or on any."""
    return [
        one
        for one in user.held
        if "collapse_key" in notice
        and one.notice is notice
        and one.event.key == event.key
        and one.event.number != event.number
        and (channels is None or one.channel in ("*", *channels))
    ]


def _merge(user: User, older: Sequence[Held], at_ms: int) -> None:
    for one in older:
        user.held.remove(one)
        _say(user, one.event, one.notice["name"], "merged", "collapsed", at_ms, one.channel)


def _reschedule(user: User, event: Happened, notice: dict[str, Any], at_ms: int) -> None:
    """End what is held of the same notification with the cancel key, whatever becomes of the newer one."""
    for one in list(user.held):
        if one.notice is notice and one.event.key == event.key and one.event.number != event.number:
            user.held.remove(one)
            _say(user, one.event, notice["name"], "cancelled", "rescheduled", at_ms, one.channel)


def _cancel(user: User, event: Happened, at_ms: int) -> None:
    """End all that is held under the key of a cancel event, of whatever name; then comes its own outcome."""
    ended = [one for one in user.held if "cancel_key" in one.notice and one.event.key == event.key]
    for one in ended:
        user.held.remove(one)
        _say(user, one.event, one.notice["name"], "cancelled", "cancelled_by_event", at_ms, one.channel)
    _say(user, event, "", "suppressed", "cancel_applied" if ended else "nothing_to_cancel", at_ms)


def _untake(user: User, event: Happened, notice: dict[str, Any]) -> None:
    """Give the dedup key of an expired notification back: nobody was told."""
    key = notice["name"], event.key, event.time_ms
    if "dedup" in notice and key in user.keys:
        user.keys.remove(key)


def _is_open(held: Held, notice: dict[str, Any], key: str, at_ms: int) -> bool:
    if not held.items or held.notice is not notice or held.due_ms <= at_ms:
        return False
    return "key" not in notice["digest"] or held.items[0].key == key


def _whole(items: list[Happened], due_ms: int) -> Happened:
    """Make one event of a digest: its conditions hold where they held for some item."""
    first = items[0]
    delay = max(item.delay for item in items)
    return Happened(
        first.number, first.kind, first.id, due_ms, delay, first.key, guest=first.guest, collected=True
    )


def _next(at: str, zone: str, after_ms: int) -> int:
    """Walk to the next moment at which the clock shows a time of day."""
    minute = after_ms // MINUTE + 1
    while (minute + _ZONES[zone]) % (24 * 60) != minute_of(at):
        minute += 1
    return minute * MINUTE


def _due(user: User) -> Iterator[tuple[int, Held | Happened]]:
    yield from ((held.due_ms, held) for held in user.held)
    yield from user.waiting


def _say(
    user: User,
    event: Happened,
    notification: str,
    status: str,
    reason: str,
    at_ms: int,
    channel: str = "*",
    due_ms: int = 0,
) -> None:
    user.words.append(Word(event.number, notification, channel, status, reason, at_ms, due_ms))


def _asks_for(notice: dict[str, Any], kind: str) -> bool:
    wanted = notice["on"]["type"]
    return re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), kind) is not None


def _holds(condition: str | None, event: Happened) -> bool:
    """Evaluate a condition of the form `data.delay >= 15`."""
    names = {"data": SimpleNamespace(delay=event.delay)}
    return condition is None or bool(eval(condition, {}, names))


def _expiry(event: Happened, notice: dict[str, Any]) -> int:
    lasts_ms = duration(notice.get("expires"))
    ends = [event.time_ms + lasts_ms] if lasts_ms else []
    ends += [event.expires_ms] if event.expires_ms else []
    return min(ends, default=1 << 62)


def _count(user: User, counter: str, zone: str, at_ms: int) -> None:
    """Count one; a calendar period that is open stays so where the user has moved."""
    user.admitted[counter].append(at_ms)
    for calendar in ("day", "week"):
        if user.ends.get((counter, calendar), 0) <= at_ms:
            user.ends[counter, calendar] = period_end(calendar, zone, at_ms)
            user.starts[counter, calendar] = at_ms


def _full(user: User, limit: dict[str, Any], at_ms: int) -> bool:
    times = user.admitted[limit["counter"]]
    most: int = limit["max"]
    if "per" in limit:
        return sum(time > at_ms - duration(limit["per"]) for time in times) >= most
    place = limit["counter"], limit["calendar"]
    return user.ends.get(place, 0) > at_ms and sum(time >= user.starts[place] for time in times) >= most


def _giving_way(user: User, counter: str, notice: dict[str, Any], slot_ms: int) -> list[Held]:
    """List what waits for a limit, is less important, and not spare, in its order."""
    lesser = [one for one in user.held if one.counter == counter and rank_of(one.notice) > rank_of(notice)]
    return sorted(
        (one for one in lesser if not one.spare and one.due_ms >= slot_ms), key=lambda one: one.place
    )


def _behind(user: User, due_ms: int, but: Sequence[Held] = ()) -> int:
    same = [
        one.due_ms
        for one in user.held
        if not one.items and one not in but and due_ms <= one.due_ms < due_ms + SAME_MOMENT_MS
    ]
    return max(same) + 1 if same else due_ms


def _pass_on(user: User, counter: str, free_ms: int) -> None:
    """Give a slot that was not taken to the next in the queue, and so on up to a spare one."""
    for held in sorted((one for one in user.held if one.counter == counter), key=lambda one: one.place):
        if held.due_ms <= free_ms:
            continue
        held.due_ms, free_ms = free_ms, held.due_ms
        if held.spare:
            held.spare = False
            return


def _next_clock(minute: int, zone: str, from_ms: int) -> int:
    """Walk to the first full minute from a time on that is a minute of the day."""
    at = -(-from_ms // MINUTE)
    while (at + _ZONES[zone]) % (24 * 60) != minute:
        at += 1
    return at * MINUTE


def _inside(start_min: int, end_min: int, minute: int) -> bool:
    if start_min <= end_min:
        return start_min <= minute < end_min
    return minute >= start_min or minute < end_min
