"""A small world around a gate: records (as bytes, as the store keeps them), timers, and what came out."""

from pathlib import Path

import msgspec

from tocsin.catalog.loader import Catalog, load
from tocsin.decision.effects import Decision
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.delivery import records
from tocsin.delivery.records import ProviderCall
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Asked, Event, Origin, Recipient, Replay
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Device, Preferences, Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

CAPS = load(Path(__file__).parent / "catalogs" / "caps")
"""A catalog with limits of every kind."""
SMALL = Path(__file__).parent / "catalogs" / "small"
CATALOG = load(SMALL)
RULES = load(SMALL.parent / "rules")
"""A catalog that meets every rule."""
NOON = 1_700_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
DATA = {"flight": "UA 1545", "delay": 72, "key": "k"}


def profile(**changes: object) -> Profile:
    whole = Profile(
        email="ann@mail.example",
        phone="+12125550100",
        locale="en",
        timezone="UTC",
        devices=(Device("ios", token="token-1"),),
        version=1,
    )
    return msgspec.structs.replace(whole, **changes)


def with_preferences(**switches: object) -> Profile:
    return profile(preferences=msgspec.convert(switches, Preferences))


class World:
    """One gate, its users and timers. Time moves by `at` (ms after noon) and fires what is due before."""

    def __init__(
        self, tenant: str = "quiet", *, catalog: Catalog = CATALOG, policy: GatePolicy | None = None
    ) -> None:
        self.gate = Gate(catalog, policy or GatePolicy())
        self.tenant = tenant
        self.codec = RecordCodec()
        self.records: dict[str, bytes] = {}
        self.timers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.kept: dict[tuple[str, str], list[bytes]] = {}
        self.messages: list[Message] = []
        self.outcomes: list[Outcome] = []
        self.notes: list[int] = []
        self.steps: list[Decision] = []
        self._offset = 0

    def record(self, user: str = "ann") -> UserRecord | None:
        data = self.records.get(user)
        return None if data is None else self.codec.decode(data)

    def event(
        self,
        kind: str,
        *,
        at: int = 0,
        user: str = "ann",
        event_id: str = "",
        time: int | None = None,
        data: object = DATA,
        recipient: Recipient | None = None,
        send_at: int | None = None,
        expires: int | None = None,
        bulk: bool = False,
        origin: Origin | None = None,
        replay: Replay | None = None,
        asked: Asked | None = None,
    ) -> Decision:
        """Decide an event at `at`; its own time is the same unless given."""
        self.advance(at)
        self._offset += 1
        event = Event(
            tenant=self.tenant,
            id=event_id or f"e{self._offset}",
            source="/test",
            type=kind,
            user=user,
            time_ms=NOON + (at if time is None else time),
            data=msgspec.Raw(msgspec.json.encode(data)),
            origin=origin or Origin("events", 3, self._offset),
            received_ms=NOON + at,
            recipient=recipient,
            send_at_ms=None if send_at is None else NOON + send_at,
            expires_ms=None if expires is None else NOON + expires,
            bulk=bulk,
            replay=replay,
            asked=asked,
        )
        return self.apply(user, self.gate.on_event(self.record(user), event, NOON + at, rewritten(event)))

    def profile(self, wanted: Profile | None, *, at: int = 0, user: str = "ann") -> Decision:
        self.advance(at)
        step = self.gate.on_profile(self.record(user), self.tenant, user, wanted, NOON + at)
        return self.apply(user, step)

    def erase(self, *, at: int = 0, user: str = "ann") -> Decision:
        """Erase a user by a record of Kafka, whose time stays for a while."""
        self.advance(at)
        step = self.gate.on_profile(self.record(user), self.tenant, user, None, NOON + at, NOON + at)
        return self.apply(user, step)

    def receipt(self, kind: str, *, at: int = 0, user: str = "ann", **fields: object) -> Decision:
        self.advance(at)
        known = {"tenant": self.tenant, "user": user, "kind": kind, "at_ms": NOON + at} | fields
        receipt = msgspec.convert(known, ReceiptEvent)
        raw = RawRecord("receipts", 3, 9, NOON + at, None, msgspec.json.encode(receipt), ())
        return self.apply(user, self.gate.on_receipt(self.record(user), receipt, NOON + at, raw))

    def failed(self, message: Message, *, at: int = 0) -> Decision:
        """Report, as delivery does, that a message was not sent."""
        call = ProviderCall(NOON + at)
        for _, value, _ in records.failed(message, Reason.REJECTED, call):
            self.receipt(at=at, **msgspec.json.decode(value))
        return self.steps[-1]

    def retry(
        self, message: Message, *, at: int = 0, due: int = 0, reason: str = "transient", attempt: int = 2
    ) -> Decision:
        self.advance(at)
        retry = Retry(
            message=msgspec.structs.replace(message, attempt=attempt), reason=reason, due_ms=NOON + due
        )
        return self.apply(message.user, self.gate.on_retry(self.record(message.user), retry, NOON + at))

    def advance(self, at: int) -> None:
        """Fire timers due by `at`, each at its own time."""
        while self.timers:
            (user, timer_id), (due_ms, payload) = min(
                self.timers.items(), key=lambda item: (item[1][0], item[0])
            )
            if due_ms > NOON + at:
                return
            del self.timers[user, timer_id]
            record = self.record(user)
            kept = self.kept.pop((user, timer_id), [])
            step = self.gate.on_timer(record, self.tenant, user, timer_id, payload, due_ms, kept)
            self.apply(user, step)

    def apply(self, user: str, step: Decision) -> Decision:
        """Do what a key group does with a step; a record that is not to be written must not have changed."""
        if step.touched:
            self.records.pop(user, None)
            if step.record is not None:
                self.records[user] = self.codec.encode(step.record)
        else:
            assert step.record == self.record(user)
        for cancelled in step.cancelled_timers:
            assert self.timers.pop((user, cancelled.timer_id))[0] == cancelled.due_ms
            self.kept.pop((user, cancelled.timer_id), None)
        for moved in step.moved_timers:
            due_ms, payload = self.timers[user, moved.timer_id]
            assert due_ms == moved.due_ms
            self.timers[user, moved.timer_id] = (moved.new_ms, payload)
        for timer in step.set_timers:
            self.timers[user, timer.timer_id] = (timer.due_ms, timer.payload)
        for kept in step.kept:
            beside = self.kept.setdefault((user, kept.timer_id), [])
            assert (user, kept.timer_id) in self.timers
            assert kept.number == len(beside)
            beside.append(kept.payload)
        self.messages += step.messages
        self.outcomes += step.outcomes
        if step.profile_version is not None:
            self.notes.append(step.profile_version)
        self.steps.append(step)
        return step


def said(step: Decision) -> list[tuple[str, str, str]]:
    """Words of a step as (status, reason, channel)."""
    return [(word.status, word.reason, word.channel) for word in step.outcomes]


def sent(step: Decision) -> list[str]:
    """Channels a step sends to."""
    return [message.channel for message in step.messages]
