"""Engagement: the highest level of receipts of a user's recent notifications, packed.

Only notifications that escalate or stop when they are seen have an entry. An entry is dropped when its time
is over, or earlier when nothing of its notification waits any more. At `most` entries the oldest is dropped:
then receipts still stop what is held, and only a message that queues for a provider is sent all the same.
"""

from struct import Struct
from typing import NamedTuple

from tocsin.decision.dedup import key_of
from tocsin.model.engagement import Level

# key, level and flag, remembered until
_ENTRY = Struct("<8sBq")
_SIZE = _ENTRY.size
_pack = _ENTRY.pack
_STOPS = 8


class Engagement(NamedTuple):
    """What is known of one notification; `stops` tells whether it stops when it is seen."""

    level: Level
    stops: bool


def find(entries: bytes, notification_id: str) -> Engagement | None:
    """Return what is known of a notification; None if it is not tracked."""
    at = _place(entries, notification_id)
    if at < 0:
        return None
    flags = _ENTRY.unpack_from(entries, at)[1]
    return Engagement(Level(flags & ~_STOPS), bool(flags & _STOPS))


def note(
    entries: bytes, notification_id: str, level: Level, *, stops: bool, until_ms: int, most: int
) -> bytes:
    """Raise the level of a notification; start to track it if it is new. A level never falls.

    >>> entries = note(b"", "n1", Level.READ, stops=True, until_ms=9, most=4)
    >>> find(note(entries, "n1", Level.OPENED, stops=True, until_ms=9, most=4), "n1").level.label
    'read'
    """
    key = key_of(notification_id, "")
    at = _place_of(entries, key)
    if at < 0:
        surplus = len(entries) - (most - 1) * _SIZE
        kept = entries[surplus:] if surplus > 0 else entries
        return kept + _pack(key, level | (_STOPS if stops else 0), until_ms)
    key, flags, known_ms = _ENTRY.unpack_from(entries, at)
    highest = max(level, Level(flags & ~_STOPS)) | (_STOPS if stops else 0)
    changed = _pack(key, highest, max(known_ms, until_ms))
    return entries[:at] + changed + entries[at + _SIZE :]


def forget(entries: bytes, notification_id: str) -> bytes:
    """Stop tracking a notification."""
    at = _place(entries, notification_id)
    return entries if at < 0 else entries[:at] + entries[at + _SIZE :]


def pruned(entries: bytes, now_ms: int) -> bytes:
    """Drop entries whose time is over."""
    if not entries:
        return entries
    found = [entries[at : at + _SIZE] for at in range(0, len(entries), _SIZE)]
    return b"".join([entry for entry in found if _ENTRY.unpack(entry)[2] > now_ms])


def _place(entries: bytes, notification_id: str) -> int:
    """Return the place of an entry; -1 if there is none."""
    return _place_of(entries, key_of(notification_id, "")) if entries else -1


def _place_of(entries: bytes, key: bytes) -> int:
    at = entries.find(key)
    while at >= 0 and at % _SIZE:
        at = entries.find(key, at + 1)
    return at
