"""Where things stand in the base: `partition | key_group | kind | …`, so that a partition is one range.

| key | value |
|---|---|
| partition, key group, `r`, user | record |
| partition, key group, `h`, timer identity | due, payload |
| partition, key group, `t`, due, timer identity | (empty) |
| partition, key group, `s` | timers held, floor |
| `ff ff`, `meta` | identity and applied epoch |

The key group with the number `ROWS_GROUP` belongs to no users. There a step keeps rows of its own.

Numbers are big-endian, so byte order is due order. Each value starts with a version byte. The `h` and `t`
rows of a timer are written and deleted together; the `h` row says where its `t` row stands. What is kept
beside a timer has an `h` row only, which is never due.
"""

from typing import NamedTuple

from tocsin.errors import StateError

VERSION = b"\x01"
META = b"\xff\xffmeta"
DUE_BYTES = 8
ROWS_GROUP = 256
"""Number of the key group that keeps a partition's rows; those of users have smaller numbers."""
_DUE_END = len(VERSION) + DUE_BYTES
_LENGTH_BYTES = 4
_LATEST_MS = 1 << 62
NEVER = b"\xff" * DUE_BYTES
"""Due bytes of what is kept beside a timer; no timer has them."""
_RECORD, _HELD, _TIMER, _STATUS, _AFTER_TIMERS = b"r", b"h", b"t", b"s", b"u"


class GroupKeys(NamedTuple):
    """Key prefixes of one key group."""

    record: bytes
    held: bytes
    timer: bytes
    status: bytes
    after_records: bytes
    after_timers: bytes


def group_keys(key: str) -> GroupKeys:
    """Build the prefixes of key group `"<partition>.<key_group>"`."""
    partition, key_group = parse_key_group(key)
    prefix = partition.to_bytes(2, "big") + key_group.to_bytes(2, "big")
    return GroupKeys(
        record=prefix + _RECORD,
        held=prefix + _HELD,
        timer=prefix + _TIMER,
        status=prefix + _STATUS,
        after_records=prefix + _STATUS,
        after_timers=prefix + _AFTER_TIMERS,
    )


def rows_key(partition: int) -> str:
    """Name the key group that keeps a partition's rows.

    >>> rows_key(3)
    '3.256'
    """
    return f"{partition}.{ROWS_GROUP}"


def parse_key_group(key: str) -> tuple[int, int]:
    """Split `"<partition>.<key_group>"`."""
    partition, _, key_group = key.partition(".")
    return int(partition), int(key_group)


def timer_identity(user: str, timer_id: str) -> bytes:
    """Name a timer: its user's length, user, timer id."""
    name = user.encode()
    return len(name).to_bytes(_LENGTH_BYTES, "big") + name + timer_id.encode()


def split_identity(identity: bytes) -> tuple[str, str]:
    """Undo `timer_identity`."""
    end = _LENGTH_BYTES + int.from_bytes(identity[:_LENGTH_BYTES], "big")
    return identity[_LENGTH_BYTES:end].decode(), identity[end:].decode()


def due_bytes(due_ms: int) -> bytes:
    """Encode a due time; what is out of range counts as the nearest that is in."""
    if not 0 <= due_ms <= _LATEST_MS:
        due_ms = 0 if due_ms < 0 else _LATEST_MS
    return due_ms.to_bytes(DUE_BYTES, "big")


def held_value(due_ms: int, payload: bytes) -> bytes:
    """Build the value of an `h` row."""
    return VERSION + due_bytes(due_ms) + payload


def kept_value(payload: bytes) -> bytes:
    """Build the value of an `h` row that is never due."""
    return VERSION + NEVER + payload


def kept_identity(user: str, timer_id: str, number: int) -> bytes:
    """Name one of the things that are kept beside a timer. No timer id has this form."""
    return timer_identity(user, f"{timer_id}#{number}")


def due_of(held: bytes) -> bytes:
    """Read the due bytes of an `h` row; raises `StateError` as `opened` does."""
    return held[1:_DUE_END] if held[:1] == VERSION else opened(held)[:DUE_BYTES]


def opened(value: bytes) -> bytes:
    """Strip the version byte, or raise `StateError` if the value is of a newer release."""
    if value[:1] != VERSION:
        version = value[:1].hex() or "none"
        msg = f"a value of version {version} stands in the base: run the release that wrote it"
        raise StateError(msg)
    return value[1:]
