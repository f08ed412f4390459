"""Failures: what was counted in the limits of one user and not sent, packed."""

from struct import Struct
from typing import NamedTuple

from tocsin.decision.dedup import key_of

# notification, channel, message, messages of the channel, remembered until
_ENTRY = Struct("<8s8s8sHq")
_SIZE = _ENTRY.size
TARGETS_MAX = 0xFFFF
LATEST_MS = 1 << 60


class Failure(NamedTuple):
    """One message, or one channel that was held. Ids are hashes; its channel has `targets` messages."""

    notification: bytes
    channel: bytes
    message: bytes
    targets: int
    until_ms: int


def failure(notification: str, channel: str, message: str, targets: int, until_ms: int) -> Failure:
    """Build the entry of a message; an empty message means the channel as a whole."""
    keys = (key_of("notification", notification), key_of("channel", channel), key_of("message", message))
    return Failure(*keys, min(max(targets, 1), TARGETS_MAX), min(until_ms, LATEST_MS))


def same_notification(failed: bytes, one: Failure) -> list[Failure]:
    """List what is remembered of the notification of a failure."""
    entries = map(Failure._make, _ENTRY.iter_unpack(failed))
    return [entry for entry in entries if entry.notification == one.notification]


def remember(failed: bytes, one: Failure, now_ms: int, most: int) -> bytes:
    """Add a failure; drops what no window counts any more and, beyond `most`, the oldest."""
    return (pruned(failed, now_ms) + _ENTRY.pack(*one))[-most * _SIZE :]


def pruned(failed: bytes, now_ms: int) -> bytes:
    """Drop the failures that no window counts any more."""
    entries = [failed[at : at + _SIZE] for at in range(0, len(failed), _SIZE)]
    return b"".join([entry for entry in entries if _ENTRY.unpack(entry)[4] > now_ms])
