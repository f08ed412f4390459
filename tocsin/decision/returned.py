"""Returned messages: delivery gives back what failed for now, or was decided on an older profile.

Each goes through the same rules as a new notification, at stage `RETURNED`. It was admitted and counted, so
no limit is asked and no dedup key is looked up; preferences, blocks and quiet hours are those of now.
"""

from tocsin.decision import dedup
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import UserRecord
from tocsin.model.message import Retry


def is_first(record: UserRecord, retry: Retry, now_ms: int, policy: GatePolicy) -> bool:
    """Return whether this admission of the message was not returned before, and remember it.

    A crash may leave a copy of a record, byte for byte: deciding it again would write another final outcome.
    """
    message, window_ms = retry.message, policy.dedup_window_ms
    key = dedup.key_of(message.message_id, f"{message.attempt}/{message.decided_ms}")
    if dedup.original(record.seen, key, message.decided_ms, window_ms, now_ms):
        return False
    record.seen = dedup.remember(
        record.seen,
        key,
        message.decided_ms,
        window_ms,
        now_ms,
        message.origin,
        policy.dedup_max,
        record.naming(message.origin),
    )
    return True
