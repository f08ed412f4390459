"""Messages that a cancel event calls back: they were admitted, and still queue for a provider.

A newer profile version makes the send ledger return what queues. A user's record remembers for a while what
cancel events have named, so that the gate drops these messages and sends the user's other ones again.
"""

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
) -> None:
    """Remember what a cancel event has named.

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
    names, keep_ms = record.naming(origin), policy.engaged_ms
    record.cancelled = dedup.remember(
        record.cancelled, key, now_ms, keep_ms, now_ms, origin, policy.engaged_max, names
    )


def cancelled_by(record: UserRecord, message: Message) -> str:
    """Return the origin of the event that has cancelled a message since it was admitted; empty for none."""
    keys = [_of_id(message.notification_id)]
    if message.cancel_key:
        key = cancel_id(message.cancel_key)
        keys += [_of_key(key, ""), _of_key(key, message.notification)]
    for key in keys:
        for at_ms, origin in dedup.found(record.cancelled, key, record.declared):
            if (message.decided_ms, message.origin.offset) < (at_ms, int(origin.rpartition("/")[2])):
                return origin
    return ""


def _of_id(notification_id: str) -> bytes:
    return dedup.key_of("notification", notification_id)


def _of_key(cancel_key: bytes, notification: str) -> bytes:
    return dedup.key_of(cancel_key.hex(), notification)
