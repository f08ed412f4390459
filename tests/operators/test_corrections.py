"""Receipts correct the owner's profiles: once, whole, without a loop, and never over a newer profile.

One shard with the real decode step, gate and store; what it writes to the topic of profiles is read again.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sources.partitioner import key_group_of, partition_of
from tests.decision.gate_world import SMALL
from tests.golden.wire import Published, Settings
from tests.operators.test_suppressions import DAY, HOUR, MINUTE, NOON_MS, PARTITIONS, SECOND, Shard
from tocsin.model import topics
from tocsin.model.ids import target_id

LATER: Final = Settings(
    catalog=str(SMALL.parent / "later"), stream_clock=False, partitions=PARTITIONS, key_groups=4
)
EMAIL, PHONE, TOKEN = "ann@mail.example", "+12125550100", "token-of-ann"
OWNED: Final = {
    "email": EMAIL,
    "phone": PHONE,
    "timezone": "UTC",
    "devices": [{"platform": "ios", "token": TOKEN}],
    "loyalty": {"tier": "gold", "points": 12345678901234567890123},
    "version": 3,
}
KEY: Final = b"lab/ann"


class Owned(Shard):
    """A shard whose tenant asks for corrections; Ann's profile has a field that Tocsin does not know."""

    def __init__(self, folder: Path, settings: Settings = LATER, *, known: bool = True) -> None:
        super().__init__(folder, settings)
        if known:
            self.own(0)

    def own(self, at: int, **changes: object) -> None:
        """Let the owner write Ann's profile."""
        self.write(topics.PROFILES, KEY, OWNED | changes, at)

    def report(self, kind: str, at: int, **fields: Any) -> None:
        """Report a receipt of Ann."""
        about = {"tenant": "lab", "user": "ann", "kind": kind, "at_ms": NOON_MS + at} | fields
        self.write(topics.RECEIPTS, KEY, about, at)

    def together(self, at: int, *records: tuple[str, object]) -> None:
        """Let records be read in one epoch, before anything that comes of them is read."""
        place = partition_of(KEY, PARTITIONS)
        for topic, value in records:
            text = None if value is None else msgspec.json.encode(value)
            self._play(topic, place, at, KEY, text, ())
        while self._epoch(at):
            continue

    def written(self) -> list[Published]:
        """Return the records that Tocsin wrote to the topic of profiles."""
        return [one for one in self._machine.published if one.topic == topics.PROFILES]

    def notes(self) -> int:
        """Count the notes of a newer profile version for the send ledger."""
        return sum(one.topic == "versions" for one in self._machine.published)

    def read(self, at: int, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
        """Read a record of Ann's profile from the topic."""
        self._play(topics.PROFILES, partition_of(KEY, PARTITIONS), at, KEY, value, headers)
        while self._epoch(at):
            continue

    def kept_text(self) -> bytes | None:
        """Return what the store keeps of the text of Ann's profile."""
        group = f"{partition_of(KEY, PARTITIONS)}.{key_group_of(KEY, LATER.key_groups)}"
        return self._machine.kept(group, KEY.decode(), "text")

    def corrections(self) -> list[dict[str, Any] | None]:
        """Return the profiles that Tocsin wrote."""
        found = self.written()
        assert {one.key for one in found} <= {KEY}
        assert all([name for name, _ in one.headers] == ["tocsin-corrected"] for one in found)
        return [None if one.value is None else json.loads(one.value) for one in found]


@pytest.fixture
def ann(tmp_path: Path) -> Owned:
    return Owned(tmp_path / "shard")


def entry(address: str, channel: str, reason: str, at: int = MINUTE) -> dict[str, str]:
    moment = datetime.fromtimestamp((NOON_MS + at) / 1000, UTC)
    return {"address": address, "channel": channel, "reason": reason, "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("opted_out", {"address": PHONE}, entry(PHONE, "sms", "recipient_opted_out")),
        ("complained", {"target": target_id(EMAIL)}, entry(EMAIL, "email", "complained")),
        ("bounced", {"address": EMAIL, "reason": "Permanent"}, entry(EMAIL, "email", "Permanent")),
        ("gone", {"channel": "push"}, entry(TOKEN, "push", "recipient_gone")),
    ],
)
def test_a_block_is_listed_in_the_whole_profile(
    ann: Owned, kind: str, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    ann.report(kind, MINUTE, **fields)
    assert ann.corrections() == [OWNED | {"suppressed": [expected]}]
    assert (expected["channel"], "target_blocked") in ann.event("ann", HOUR)
    assert ann.dead() == []


def test_a_soft_bounce_and_a_doubled_receipt_correct_nothing(ann: Owned) -> None:
    ann.report("bounced", SECOND, address=EMAIL, reason="transient")
    for at in (MINUTE, MINUTE, HOUR):
        ann.report("opted_out", at, address=PHONE)
    assert len(ann.corrections()) == 1


def test_a_lift_takes_the_entry_out(ann: Owned) -> None:
    ann.report("complained", MINUTE, address=EMAIL)
    ann.report("opted_out", 2 * MINUTE, address=PHONE)
    ann.report("unblocked", HOUR, address=EMAIL)
    last = ann.corrections()[-1]
    assert last is not None
    assert [one["address"] for one in last["suppressed"]] == [PHONE]
    assert ("email", "admitted") in ann.event("ann", 2 * HOUR)


@pytest.mark.parametrize(
    ("category", "preferences"),
    [("updates", {"categories": {"updates": False}}), ("", {"enabled": False})],
)
def test_unsubscribing_switches_off_until_the_owner_says_otherwise(
    ann: Owned, category: str, preferences: dict[str, Any]
) -> None:
    ann.report("unsubscribed", MINUTE, category=category)
    assert ann.corrections() == [OWNED | {"preferences": preferences}]
    assert {reason for _, reason in ann.event("ann", HOUR)} == {"category_off" if category else "opted_out"}
    ann.own(2 * HOUR, locale="de")
    assert ("push", "admitted") not in ann.event("ann", 2 * HOUR + SECOND), "the same version is not later"
    ann.own(2 * HOUR + MINUTE, version=4)
    assert ("push", "admitted") in ann.event("ann", 2 * HOUR + 2 * MINUTE)
    assert len(ann.corrections()) == 1, "the owner's word is not corrected"


def test_what_queues_returns_when_its_user_unsubscribes(ann: Owned) -> None:
    before = ann.notes()
    ann.report("unsubscribed", MINUTE, category="updates")
    ann.report("unsubscribed", HOUR, category="updates")
    assert ann.notes() == before + 1


def test_an_owner_who_does_not_know_the_list_lifts_nothing(ann: Owned) -> None:
    ann.report("opted_out", MINUTE, address=PHONE)
    ann.own(HOUR, locale="de", version=4)
    assert ("sms", "target_blocked") in ann.event("ann", 2 * HOUR)


def test_a_correction_that_is_late_does_not_replace_a_newer_profile(ann: Owned) -> None:
    stop = {"tenant": "lab", "user": "ann", "kind": "opted_out", "address": PHONE, "at_ms": NOON_MS + MINUTE}
    newer = OWNED | {"loyalty": {"tier": "silver"}, "version": 4}
    ann.together(MINUTE, (topics.RECEIPTS, stop), (topics.PROFILES, newer))
    listed = [entry(PHONE, "sms", "recipient_opted_out")]
    assert ann.corrections() == [OWNED | {"suppressed": listed}, newer | {"suppressed": listed}]
    assert ("sms", "target_blocked") in ann.event("ann", HOUR)
    assert len(ann.corrections()) == 2, "no loop"


def test_a_correction_behind_an_erasure_is_erased(ann: Owned) -> None:
    stop = {"tenant": "lab", "user": "ann", "kind": "opted_out", "address": PHONE}
    ann.together(MINUTE, (topics.RECEIPTS, stop), (topics.PROFILES, None))
    assert ann.corrections()[1:] == [None]
    assert ann.event("ann", HOUR) == {("*", "awaiting_profile")}


def test_the_tombstone_of_a_correction_does_not_erase_who_came_back(ann: Owned) -> None:
    stop = {"tenant": "lab", "user": "ann", "kind": "opted_out", "address": PHONE}
    ann.together(MINUTE, (topics.RECEIPTS, stop), (topics.PROFILES, None))
    ann.own(HOUR, version=9)
    ann.read(HOUR, None, ann.written()[-1].headers)
    assert ann.corrections()[-1] == OWNED | {"version": 9}
    assert ("email", "admitted") in ann.event("ann", 2 * HOUR)


def test_an_erasure_forgets_the_text(ann: Owned) -> None:
    """It has all addresses: nothing of it may stay in the store."""
    assert EMAIL.encode() in (ann.kept_text() or b"")
    ann.write(topics.PROFILES, KEY, None, MINUTE)
    assert ann.kept_text() is None
    ann.report("opted_out", HOUR, address=PHONE)
    assert ann.corrections() == []


def test_a_crash_neither_loses_nor_doubles_a_correction(ann: Owned) -> None:
    ann.report("opted_out", MINUTE, address=PHONE)
    ann.crash()
    ann.report("opted_out", MINUTE, address=PHONE)
    ann.report("complained", HOUR, address=EMAIL)
    ann.crash()
    ann.report("unsubscribed", 2 * HOUR, category="updates")
    found = ann.corrections()
    assert [len((one or {}).get("suppressed", [])) for one in found] == [1, 2, 2]
    assert found[-1] is not None
    assert found[-1]["preferences"] == {"categories": {"updates": False}}


def test_who_lost_the_state_reads_the_blocks_from_the_topic(ann: Owned, tmp_path: Path) -> None:
    ann.report("opted_out", MINUTE, address=PHONE)
    (corrected,) = ann.written()
    fresh = Owned(tmp_path / "fresh", known=False)
    fresh.read(HOUR, corrected.value, corrected.headers)
    assert fresh.event("ann", 2 * HOUR) >= {("sms", "target_blocked"), ("email", "admitted")}


def test_a_receipt_without_a_user_corrects_at_the_user_s_next_decision(ann: Owned) -> None:
    ann.receipt(MINUTE, address=PHONE)
    assert ann.corrections() == []
    for at in (HOUR, 2 * HOUR):
        assert ("sms", "target_blocked") in ann.event("ann", at)
    (only,) = ann.corrections()
    assert only is not None
    assert [(one["address"], one["reason"]) for one in only["suppressed"]] == [(PHONE, "suppressed")]


def test_nothing_is_corrected_unless_the_tenant_asks_for_it(tmp_path: Path) -> None:
    plain = Owned(tmp_path / "plain", Settings(catalog="rules", stream_clock=False, partitions=PARTITIONS))
    plain.report("opted_out", MINUTE, address=PHONE)
    plain.report("unsubscribed", MINUTE, category="updates")
    assert plain.corrections() == []
    assert plain.event("ann", DAY)
