"""Receipts without a user: an address is blocked for all users of the tenant, in every partition, for good.

One shard with the real decode step, gate and store; what it forwards to itself is read again.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sources.partitioner import partition_of
from tests.golden.driver import Machine
from tests.golden.wire import Epoch, Published, Record, Restart, Settings
from tocsin.decision.suppressions import record_key
from tocsin.model import topics
from tocsin.model.ids import target_id
from tocsin.model.outcome import Outcome

NOON_MS = 1_780_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
PARTITIONS = 4
USERS = tuple(f"user-{number}" for number in range(12))
SETTINGS = Settings(catalog="rules", stream_clock=False, partitions=PARTITIONS)
EMAIL, PHONE, TOKEN = "Shared@mail.example", "+12125550100", "token-shared"


class Shard:
    """One shard over all partitions; time is given with each record."""

    def __init__(self, folder: Path, settings: Settings = SETTINGS) -> None:
        self._machine = Machine(folder, settings, wall_ms=NOON_MS)
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._written = 0

    def write(self, topic: str, key: bytes, value: object, at: int, *, partition: int | None = None) -> None:
        """Write a record and let its epoch be published, and all that comes of it."""
        place = partition_of(key, PARTITIONS) if partition is None else partition
        self._play(topic, place, at, key, None if value is None else msgspec.json.encode(value), ())
        while self._epoch(at):
            continue
        self._epoch(at)  # publishes what the timers of the last one gave

    def profile(self, user: str, at: int = 0, **fields: Any) -> None:
        """Write a profile."""
        self.write(topics.PROFILES, f"lab/{user}".encode(), {"timezone": "UTC"} | fields, at)

    def receipt(self, at: int, kind: str = "opted_out", **fields: Any) -> None:
        """Write a receipt without a user, on the first partition."""
        about = {"tenant": "lab", "kind": kind, "at_ms": NOON_MS + at} | fields
        self.write(topics.RECEIPTS, b"webhook", about, at, partition=0)

    def event(self, user: str, at: int, *, tenant: str = "lab", **fields: Any) -> set[tuple[str, str]]:
        """Write an event; return channel and reason of each outcome that it had by then."""
        name = f"{user}-{at}"
        event = {"specversion": "1.0", "id": name, "source": "/s", "type": "alarm", "data": {}}
        self.write(
            topics.EVENTS,
            f"{tenant}/{user}".encode(),
            event | {"tenant": tenant, "subject": user} | fields,
            at,
        )
        return {(one.channel, one.reason or one.status) for one in self.outcomes() if one.event_id == name}

    def crash(self) -> None:
        """Die after an epoch is stored and before it is published, and start again."""
        self._machine.play(Restart())

    def published(self) -> list[Published]:
        """Return everything that was published."""
        return self._machine.published

    def outcomes(self) -> list[Outcome]:
        """Return all outcomes that were published."""
        found = [one.value or b"" for one in self._machine.published if one.topic == topics.OUTCOMES]
        return [msgspec.json.decode(value, type=Outcome) for value in found]

    def dead(self) -> list[bytes]:
        """Return the errors of all dead letters."""
        return [
            dict(one.headers)["tocsin-error"] for one in self._machine.published if one.topic == topics.DEAD
        ]

    def _epoch(self, at: int) -> bool:
        self._machine.play(Epoch(NOON_MS + at))
        new = self._machine.published[self._written :]
        self._written += len(new)
        forwarded = [one for one in new if one.topic in topics.GATE_INPUTS]
        for one in forwarded:
            self._play(one.topic, one.partition, at, one.key, one.value, one.headers)
        return bool(forwarded)

    def _play(self, topic: str, partition: int, at: int, *rest: object) -> None:
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        self._machine.play(Record(topic, partition, offset, NOON_MS + at, *rest))  # type: ignore[arg-type]  # key, value, headers


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    made = Shard(tmp_path / "shard")
    for user in USERS:
        made.profile(user, email=EMAIL, phone=PHONE)
    return made


def reasons(shard: Shard, at: int, channel: str, users: tuple[str, ...] = USERS) -> set[str]:
    """Return what an event becomes on a channel, for all users."""
    return {reason for user in users for each, reason in shard.event(user, at) if each == channel}


def test_a_stop_that_names_a_number_reaches_every_user_who_has_it(shard: Shard) -> None:
    assert reasons(shard, MINUTE, "sms") == {"admitted"}
    shard.receipt(2 * MINUTE, channel="sms", address="12125550100")
    assert reasons(shard, HOUR, "sms") == {"target_blocked"}
    assert reasons(shard, 2 * HOUR, "email") == {"admitted"}
    logged = [one for one in shard.outcomes() if one.status == "unsubscribed"]
    assert [(one.tenant, one.user, one.channel) for one in logged] == [("lab", "", "sms")]
    assert shard.dead() == []


def test_it_is_logged_once_without_the_address_and_a_copy_has_its_id(shard: Shard) -> None:
    for _ in range(2):
        shard.receipt(MINUTE, "complained", channel="email", address=EMAIL)
    shard.receipt(MINUTE, "complained", channel="email", address="another@mail.example")
    logged = [one.outcome_id for one in shard.outcomes() if one.status == "complained"]
    assert len(logged) == 3
    assert len(set(logged)) == 2
    assert "mail.example" not in repr(shard.outcomes())


def test_it_survives_a_crash_and_later_users_meet_it(shard: Shard) -> None:
    shard.receipt(MINUTE, channel="sms", address=PHONE)
    shard.crash()
    assert reasons(shard, HOUR, "sms") == {"target_blocked"}
    shard.profile("late", at=2 * HOUR, phone=PHONE)
    shard.crash()
    assert reasons(shard, 3 * HOUR, "sms", ("late",)) == {"target_blocked"}


def test_another_tenant_s_users_are_not_concerned(shard: Shard) -> None:
    shard.receipt(MINUTE, channel="email", address=EMAIL)
    shard.write(topics.PROFILES, b"free/ada", {"email": EMAIL}, 0)
    assert ("email", "admitted") in shard.event("ada", HOUR, tenant="free")


def test_an_inline_recipient_is_held_against_it(shard: Shard) -> None:
    guest: dict[str, Any] = {"recipient": {"email": "guest@mail.example"}}
    assert ("email", "admitted") in shard.event("guest", MINUTE, **guest)
    shard.receipt(2 * MINUTE, "complained", channel="email", address="guest@mail.example")
    assert ("email", "target_blocked") in shard.event("guest", HOUR, **guest)


def test_what_was_held_meets_it_when_due(shard: Shard) -> None:
    guest: dict[str, Any] = {
        "recipient": {"email": "guest@mail.example"},
        "tocsinsendat": "2026-05-29T00:00:00Z",
    }
    assert shard.event("guest", MINUTE, **guest) == {("*", "scheduled")}
    assert shard.event(USERS[0], MINUTE, tocsinsendat="2026-05-29T00:00:00Z") == {("*", "scheduled")}
    shard.receipt(HOUR, channel="email", address="guest@mail.example")
    shard.receipt(HOUR, channel="email", address=EMAIL)
    shard.event("nobody", 2 * DAY)
    due = {(one.user, one.reason) for one in shard.outcomes() if one.channel == "email" and one.user}
    assert due == {("guest", "target_blocked"), (USERS[0], "target_blocked")}


def test_a_start_by_number_lifts_it_for_all(shard: Shard) -> None:
    shard.receipt(MINUTE, channel="sms", address=PHONE)
    assert reasons(shard, HOUR, "sms") == {"target_blocked"}
    shard.crash()
    shard.receipt(2 * HOUR, "resubscribed", channel="sms", address=PHONE)
    shard.receipt(3 * HOUR, channel="sms", address=PHONE, at_ms=NOON_MS + MINUTE, receipt_id="late copy")
    assert reasons(shard, 4 * HOUR, "sms") == {"admitted"}


def test_a_user_who_names_it_again_is_reached_and_the_others_are_not(shard: Shard) -> None:
    shard.receipt(MINUTE, channel="sms", address=PHONE)
    shard.profile(USERS[0], at=HOUR, email=EMAIL, version=2)
    shard.profile(USERS[0], at=2 * HOUR, email=EMAIL, phone=PHONE, version=3)
    assert reasons(shard, 3 * HOUR, "sms", USERS[:1]) == {"admitted"}
    assert reasons(shard, 4 * HOUR, "sms", USERS[1:]) == {"target_blocked"}


def test_a_device_that_moves_to_another_user_leaves_the_first(shard: Shard) -> None:
    """Who registers a token need not know who had it: a receipt says that older registrations are gone."""

    def device(registered_at: str) -> dict[str, Any]:
        return {"devices": [{"platform": "ios", "token": TOKEN, "registered_at": registered_at}]}

    shard.profile("before", **device("2026-01-01T00:00:00Z"))
    shard.profile("after", **device("2026-05-01T00:00:00Z"))
    for user in ("before", "after"):
        assert ("push", "admitted") in shard.event(user, MINUTE), "Tocsin alone cannot tell whose it is"
    moved_ms = 1_777_593_599_999  # just before 2026-05-01
    shard.receipt(2 * MINUTE, "gone", channel="push", address=TOKEN, at_ms=moved_ms)
    assert ("push", "target_blocked") in shard.event("before", HOUR)
    assert ("push", "admitted") in shard.event("after", HOUR)


def test_an_unknown_kind_is_dead_once(shard: Shard) -> None:
    shard.receipt(MINUTE, "vanished", channel="sms", address=PHONE)
    (error,) = shard.dead()
    assert error.startswith(b"unknown kind of receipt: send one of")
    assert reasons(shard, HOUR, "sms") == {"admitted"}


def test_without_user_and_address_it_is_refused_with_the_cure(shard: Shard) -> None:
    shard.receipt(MINUTE, channel="sms")
    assert shard.dead() == [b"user: empty; send the user, a mark, or an address"]


def test_no_user_can_have_the_key_of_an_address(shard: Shard) -> None:
    key = record_key("lab", target_id(PHONE)).encode()
    shard.write(topics.PROFILES, key, {"email": EMAIL}, MINUTE)
    assert [error.partition(b":")[0] for error in shard.dead()] == [b"user"]
