"""Decides events that are replayed: which of them are duplicates, and which messages may not be sent twice.

A replayed event is a new record with ids of its own, so its outcomes stand beside those of the first record.
Under the policy `again` it is a duplicate of every other event, but not of its own first record. Each message
names the one that the first record had: if that one was sent, the send ledger keeps this one back. Under the
policy `force` it is a duplicate of nothing but a copy of itself.
"""

from msgspec.structs import replace

from tocsin.decision import dedup
from tocsin.decision.user_state import UserRecord
from tocsin.model.event import Event, Replay
from tocsin.model.ids import message_id, notification_id
from tocsin.model.message import Message


def original(record: UserRecord, event: Event, replay: Replay, window_ms: int, now_ms: int) -> str:
    """Return the origin of what a replayed event duplicates, or an empty string."""
    seen, names = record.seen, record.declared
    copy = dedup.original(seen, _key_of(event, replay), event.time_ms, window_ms, now_ms, names)
    if copy or replay.force:
        return copy
    first = dedup.original(
        seen, dedup.key_of(event.source, event.id), event.time_ms, window_ms, now_ms, names
    )
    return "" if first == str(replay.origin) else first


def remember(
    record: UserRecord, event: Event, replay: Replay, window_ms: int, keep_ms: int, now_ms: int, most: int
) -> bytes:
    """Return what a user's record remembers with a replayed event: the replay, and its first record."""
    seen, key = record.seen, dedup.key_of(event.source, event.id)
    is_known = dedup.original(seen, key, event.time_ms, window_ms, now_ms, record.declared)
    if not is_known:
        first, names = replay.origin, record.naming(replay.origin)
        seen = dedup.remember(seen, key, event.time_ms, keep_ms, now_ms, first, most, names)
    names = record.naming(event.origin)
    return dedup.remember(
        seen, _key_of(event, replay), event.time_ms, keep_ms, now_ms, event.origin, most, names
    )


def _key_of(event: Event, replay: Replay) -> bytes:
    return dedup.key_of(replay.id, f"{len(event.source)}:{event.source}{event.id}")


def is_own_key(replay: Replay | None, first: str) -> bool:
    """Return whether a dedup key of the catalog, remembered with an origin, does not stop a replay."""
    return replay is not None and (replay.force or first == str(replay.origin))


def guarded(message: Message, target: str, event: Event, replay: Replay, *, alone: bool) -> Message:
    """Name the message of the first record that must not have been sent.

    Args:
        message: of the replayed event.
        target: key of its contact point.
        event: the replayed event.
        replay: what makes it a replay.
        alone: whether the message is about this event alone, and no digest.
    """
    if replay.force:
        return replace(message, generation=1)
    if not alone:
        return message
    place = str(replay.origin)
    first = notification_id(event.tenant, event.source, event.id, event.user, message.notification, place)
    return replace(message, unless_sent=message_id(first, message.channel, target))
