"""Duplicates: recent keys of one user, packed, with the origin of each.

Two events are duplicates if their keys are equal and their event times lie less than the window apart, on
either side. When they arrive does not matter: a key is kept for the window and the greatest delay that an
event may have, counted from its event's time or its arrival, whichever is later. After that, no event comes
that could duplicate
An entry has the number of its origin's topic. Declared topics are numbered by the user's record, which keeps
their names, so that a name stays readable whatever is declared later.
"""

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct

from tocsin.model import topics
from tocsin.model.event import Origin

# key, event time, remembered until, origin topic, partition, offset
_ENTRY = Struct("<8sqqBHq")
_SIZE = _ENTRY.size
_pack = _ENTRY.pack
# Where an entry says until when it is remembered.
_until_of = Struct("<q").unpack_from
_UNTIL_AT = 16
# A copy of an empty hasher costs a third less than a new one.
_fresh = blake2b(digest_size=8).copy
# Entries hold places in this tuple, so it stays as it is.
_TOPICS = (*topics.GATE_INPUTS, *topics.MESSAGES, topics.OUTCOMES, topics.DEAD, topics.AUDIT)
_TOPIC_NUMBER = {name: number for number, name in enumerate(_TOPICS)}
OWN_TOPICS = frozenset(_TOPICS)
"""Topics that have a number of their own: entries of an origin in them need no name."""
_FIRST_DECLARED = 128
_UNNAMED = 255
DECLARED_MAX = 100
"""Names of declared topics that a user's record keeps; origins in others are remembered without a name."""


def key_of(first: str, second: str) -> bytes:
    """Hash two fields to eight bytes; ("a", "bc") and ("ab", "c") differ."""
    hasher = _fresh()
    text = f"{len(first)}:{first}{second}"
    try:
        hasher.update(text.encode())
    except UnicodeEncodeError:
        hasher.update(text.encode("utf-8", "surrogatepass"))
    return hasher.digest()


def original(
    seen: bytes, key: bytes, time_ms: int, window_ms: int, now_ms: int, declared: tuple[str, ...] = ()
) -> str:
    """Origin (`topic/partition/offset`) of what this duplicates, or an empty string.

    `declared` names the declared topics that the entries number.
    """
    at = seen.find(key)
    while at >= 0:
        if at % _SIZE == 0:
            _, time, until, topic, partition, offset = _ENTRY.unpack_from(seen, at)
            if until > now_ms and abs(time - time_ms) < window_ms:
                return f"{_topic_name(topic, declared)}/{partition}/{offset}"
        at = seen.find(key, at + 1)
    return ""


def remember(
    seen: bytes,
    key: bytes,
    time_ms: int,
    keep_ms: int,
    now_ms: int,
    origin: Origin,
    most: int,
    declared: tuple[str, ...] = (),
) -> bytes:
    """Add a key; drops what has expired at the front and, beyond `most`, the oldest.

    `declared` names the declared topics that the entries number; the origin's is among them if there is room.
    """
    until = (time_ms if time_ms > now_ms else now_ms) + keep_ms
    topic = _TOPIC_NUMBER.get(origin.topic)
    if topic is None:
        topic = _topic_number(origin.topic, declared)
    entry = _pack(key, time_ms, until, topic, origin.partition, origin.offset)
    size, start = len(seen), 0
    while start < size and _until_of(seen, start + _UNTIL_AT)[0] <= now_ms:
        start += _SIZE
    if size - start >= most * _SIZE:
        start = size - (most - 1) * _SIZE
    return seen[start:] + entry if start else seen + entry


def remember_key(
    keys: bytes,
    key: bytes,
    time_ms: int,
    keep_ms: int,
    now_ms: int,
    origin: Origin,
    most: int,
    declared: tuple[str, ...] = (),
) -> bytes:
    """Add a key of the catalog. Beyond `most`, an eighth goes: what expires first, and what has expired."""
    if len(keys) >= most * _SIZE:
        keys = _longest(pruned(keys, now_ms), most - 1 - most // 8)
    return remember(keys, key, time_ms, keep_ms, now_ms, origin, most, declared)


def _longest(keys: bytes, most: int) -> bytes:
    """Keep the entries that expire last, in their order."""
    if len(keys) <= most * _SIZE:
        return keys
    entries = [keys[at : at + _SIZE] for at in range(0, len(keys), _SIZE)]
    first = sorted(range(len(entries)), key=lambda at: _ENTRY.unpack(entries[at])[2])
    gone = set(first[: len(entries) - most])
    return b"".join([entry for at, entry in enumerate(entries) if at not in gone])


def _topic_name(number: int, declared: tuple[str, ...]) -> str:
    if number < _FIRST_DECLARED:
        return _TOPICS[number]
    at = number - _FIRST_DECLARED
    return declared[at] if at < len(declared) else topics.declared("?")


def _topic_number(name: str, declared: tuple[str, ...]) -> int:
    found = _TOPIC_NUMBER.get(name)
    if found is not None:
        return found
    return _FIRST_DECLARED + declared.index(name) if name in declared else _UNNAMED


def forget(seen: bytes, key: bytes, origin: Origin, declared: tuple[str, ...] = ()) -> bytes:
    """Remove the entry of one record, so that its event may come again."""
    whose = (_topic_number(origin.topic, declared), origin.partition, origin.offset)
    for at in range(0, len(seen), _SIZE):
        if seen.startswith(key, at) and _ENTRY.unpack_from(seen, at)[3:] == whose:
            return seen[:at] + seen[at + _SIZE :]
    return seen


def found(seen: bytes, key: bytes, declared: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """List the time and the origin of each entry of a key."""
    for known, time_ms, _, topic, partition, offset in _ENTRY.iter_unpack(seen):
        if known == key:
            yield time_ms, f"{_topic_name(topic, declared)}/{partition}/{offset}"


def last_time(seen: bytes) -> int:
    """Return the time of the entry that was added last; there must be one."""
    time_ms: int = _ENTRY.unpack_from(seen, len(seen) - _SIZE)[1]
    return time_ms


def has_origin(seen: bytes, origin: str, declared: tuple[str, ...] = ()) -> bool:
    """Return whether a record (`topic/partition/offset`) is among those that are remembered."""
    topic, _, place = origin.partition("/")
    partition, _, offset = place.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        return False
    whose = (_topic_number(topic, declared), int(partition), int(offset))
    return any(entry[3:] == whose for entry in _ENTRY.iter_unpack(seen))


def forget_origin(seen: bytes, origin: Origin, declared: tuple[str, ...] = ()) -> bytes:
    """Remove the entries of one record, whatever their keys."""
    whose = (_topic_number(origin.topic, declared), origin.partition, origin.offset)
    entries = [seen[at : at + _SIZE] for at in range(0, len(seen), _SIZE)]
    return b"".join([entry for entry in entries if _ENTRY.unpack(entry)[3:] != whose])


def pruned(seen: bytes, now_ms: int) -> bytes:
    """Drop what no later event can duplicate."""
    if not seen:
        return seen
    entries = [seen[at : at + _SIZE] for at in range(0, len(seen), _SIZE)]
    return b"".join([entry for entry in entries if _ENTRY.unpack(entry)[2] > now_ms])
