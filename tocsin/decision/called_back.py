"""Messages that a cancel event calls back: they were admitted, and still queue for a provider.

The send ledger returns what queues: to a user with a profile by a newer version of it, to an inline recipient
by the time of the cancel event. A user's record remembers for a while what cancel events have named, so that
the gate drops these messages and sends the user's other ones again.

Times tell what was admitted before a cancel event and what after it. In one millisecond they follow the order
of the gate: what is admitted behind a cancel event is decided a millisecond later than it, and so on.
"""

from msgspec.structs import replace

from tocsin.decision import dedup
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import cancel_id
from tocsin.decision.user_state import UserRecord
from tocsin.model.event import Origin
from tocsin.model.message import Message


def remember(
    record: UserRecord,
    notification_id: str,
    cancel_key: bytes,
    notification: str,
    origin: Origin,
    now_ms: int,
    policy: GatePolicy,
) -> int:
    """Remember what a cancel event has named, and return the time: it calls back what was admitted by then.

    Args:
        record: of the user.
        notification_id: names one notification; empty for none.
        cancel_key: the hash of the key that it names.
        notification: the name to which the key is limited; empty for none.
        origin: of the cancel event.
        now_ms: the time of the decision.
        policy: how long, and how many.
    """
    key = _of_id(notification_id) if notification_id else _of_key(cancel_key, notification)
    names, keep_ms, at_ms = record.naming(origin), policy.engaged_ms, _after(record, now_ms)
    record.cancelled = dedup.remember(
        record.cancelled, key, at_ms, keep_ms, now_ms, origin, policy.engaged_max, names
    )
    return at_ms


def behind(record: UserRecord, message: Message) -> Message:
    """Return a message that is admitted now, decided after all cancel events so far."""
    decided_ms = _after(record, message.decided_ms)
    if decided_ms == message.decided_ms:
        return message
    slots = None if message.slots is None else message.slots.at(message.decided_ms)
    return replace(message, decided_ms=decided_ms, slots=slots)


def _after(record: UserRecord, now_ms: int) -> int:
    return max(now_ms, dedup.last_time(record.cancelled) + 1) if record.cancelled else now_ms


def cancelled_by(record: UserRecord, message: Message) -> str:
    """Return the origin of the event that has cancelled a message since it was admitted; empty for none."""
    keys = [_of_id(message.notification_id)]
    if message.cancel_key:
        key = cancel_id(message.cancel_key)
        keys += [_of_key(key, ""), _of_key(key, message.notification)]
    for key in keys:
        for at_ms, origin in dedup.found(record.cancelled, key, record.declared):
            if message.decided_ms <= at_ms:
                return origin
    return ""


def _of_id(notification_id: str) -> bytes:
    return dedup.key_of("notification", notification_id)


def _of_key(cancel_key: bytes, notification: str) -> bytes:
    return dedup.key_of(cancel_key.hex(), notification)
