"""Compares two runs user by user, and tells the story of the first user who differs.

Kafka keeps an order within a topic and user only, so that is what is compared. JSON is compared by content,
not by spelling.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import msgspec

from tests.golden.wire import Line, Published, Record

Group = tuple[str, str]
_SHOWN_INPUTS, _SHOWN_LINES = 30, 60
_NEVER_MS = 253_402_300_799_999
_MARKS = ("---", "+++", "@@ ")
_FACTS = (
    "status", "reason", "notification", "channel", "kind", "type", "attempt", "detail", "priority", "due_ms",
    "decided_ms", "at_ms", "message_id", "outcome_id",
)  # fmt: skip


def groups(records: Iterable[Published]) -> dict[Group, list[Published]]:
    """Group records by user and topic."""
    found: defaultdict[Group, list[Published]] = defaultdict(list)
    for record in records:
        found[_name(record.key), record.topic].append(record)
    return dict(found)


def totals(records: Iterable[Published]) -> Counter[tuple[str, ...]]:
    """Count records by topic; outcomes by status and reason."""
    return Counter(_kind(record) for record in records)


def difference(inputs: Sequence[Line], expected: Sequence[Published], got: Sequence[Published]) -> str:
    """Tell how two runs differ: totals, and the story of the first user. Empty if they do not."""
    before, today = groups(expected), groups(got)
    wrong = [
        name for name in sorted(before.keys() | today.keys()) if _differs(before.get(name), today.get(name))
    ]
    if not wrong:
        return ""
    users = sorted({user for user, _ in wrong})
    lines = [f"{len(users)} users differ: {', '.join(users[:10])}{' …' if users[10:] else ''}"]
    lines += _totals(totals(expected), totals(got))
    return "\n".join([*lines, *_story(_first(inputs, users), inputs, before, today)])


def _first(inputs: Sequence[Line], users: list[str]) -> str:
    """Choose the user of whom least was written: the shortest story."""
    wanted = set(users)
    sizes = Counter(_name(line.key) for line in inputs if isinstance(line, Record))
    return min(wanted, key=lambda user: (sizes[user], user))


def _differs(expected: Sequence[Published | None] | None, got: Sequence[Published | None] | None) -> bool:
    if expected == got:
        return False
    return [_content(one) for one in expected or ()] != [_content(one) for one in got or ()]


def _totals(expected: Counter[tuple[str, ...]], got: Counter[tuple[str, ...]]) -> list[str]:
    names = [name for name in sorted(expected | got) if expected[name] != got[name]]
    if not names:
        return ["the totals by topic, status and reason are equal"]
    return ["expected    got"] + [f"{expected[name]:8} {got[name]:6}  {' '.join(name)}" for name in names]


def _story(
    user: str,
    inputs: Sequence[Line],
    before: dict[Group, list[Published]],
    today: dict[Group, list[Published]],
) -> list[str]:
    at_ms = _first_moment(user, before, today)
    lines = ["", f"the story of {user}", f"  input until {_time(at_ms)}:"]
    read = [line for line in inputs if isinstance(line, Record) and _name(line.key) == user]
    read = [line for line in read if line.at_ms <= at_ms]
    lines += [
        f"    {_time(line.at_ms)} {line.topic:9} {_summary(line.value)}" for line in read[-_SHOWN_INPUTS:]
    ]
    for name in sorted(before.keys() | today.keys()):
        expected, got = before.get(name, []), today.get(name, [])
        if name[0] == user and _differs(expected, got):
            lines += [f"  {name[1]} (- expected, + got):"]
            lines += [f"    {line}" for line in _diff(expected, got)[:_SHOWN_LINES]]
    return lines


def _first_moment(
    user: str, before: dict[Group, list[Published]], today: dict[Group, list[Published]]
) -> int:
    """Find the earliest time of a record of this user that differs; the end of time if none has one."""
    found = [_NEVER_MS]
    for name in before.keys() | today.keys():
        if name[0] == user:
            pairs = zip_longest(before.get(name, []), today.get(name, []))
            wrong = next((pair for pair in pairs if _differs([*pair[:1]], [*pair[1:]])), ())
            found += [moment for one in wrong if (moment := _moment(one)) is not None]
    return min(found)


def _moment(record: Published | None) -> int | None:
    document = _document(record.value) if record else None
    if not isinstance(document, dict):
        return None
    return document.get("decided_ms") or document.get("at_ms")


def _diff(expected: list[Published], got: list[Published]) -> list[str]:
    """Give the first record that differs field by field, and the lines around each difference."""
    old, new = ([_told(one) for one in side] for side in (expected, got))
    lines = [line for line in difflib.unified_diff(old, new, n=2, lineterm="") if line[:3] not in _MARKS]
    for one, other in zip(expected, got, strict=False):
        if _content(one) != _content(other):
            return ["the first that differs, by field:", *_fields(one, other), *lines]
    return lines


def _fields(one: Published, other: Published) -> list[str]:
    old, new = _flat(one), _flat(other)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return [f"  {name}: expected {old.get(name)!r}, got {new.get(name)!r}" for name in names]


def _flat(record: Published) -> dict[str, Any]:
    """Name every field of a record; where the value is no JSON object, it is one field."""
    document = _document(record.value)
    fields = document if isinstance(document, dict) else {"value": document}
    named = {f"value.{name}": value for name, value in fields.items()}
    return named | {"partition": record.partition} | {f"header.{name}": data for name, data in record.headers}


def _content(record: Published | None) -> tuple[object, ...]:
    if record is None:
        return ()
    return record.partition, record.key, _document(record.value), sorted(record.headers)


def _document(value: bytes | None) -> Any:
    try:
        return msgspec.json.decode(value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value


def _kind(record: Published) -> tuple[str, ...]:
    if record.topic == "outcomes":
        outcome = msgspec.json.decode(record.value or b"{}")
        return record.topic, outcome.get("status", ""), outcome.get("reason", "")
    if record.topic == "dead":
        return record.topic, dict(record.headers).get("tocsin-reason", b"").decode()
    return (record.topic,)


def _told(record: Published) -> str:
    reason = dict(record.headers).get("tocsin-reason", b"").decode()
    return f"{reason} {_summary(record.value)}".strip()


def _summary(value: bytes | None) -> str:
    """Tell a record in one line by the fields that decide."""
    document = _document(value)
    if not isinstance(document, dict):
        return repr(document)[:120]
    told = [_fact(name, document[name]) for name in _FACTS if document.get(name) not in (None, "", {})]
    return " ".join(told) or repr(document)[:160]


def _fact(name: str, value: Any) -> str:
    is_time = name.endswith("_ms") and isinstance(value, int)
    return f"{name.removesuffix('_ms')}={_time(value).replace(' ', 'T')}" if is_time else f"{name}={value}"


def _name(key: bytes | None) -> str:
    return (key or b"(no key)").decode("utf-8", "backslashreplace")


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(min(at_ms, _NEVER_MS) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
