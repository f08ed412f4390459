"""What the world answers to messages: receipts, and messages that delivery returns. Fixed by message ids.

Answers are made when a run is recorded, from the messages the run itself admits, and stored as its inputs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from tests.golden.wire import Published

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
_RECEIPTS = ("delivered", "opened", "clicked", "read", "unsubscribed")
_REFUSALS = ("bounced", "gone", "opted_out", "complained")
Document = dict[str, Any]


class Answer(NamedTuple):
    """A record to be written at a time."""

    at_ms: int
    topic: str
    key: bytes
    value: bytes


class Shares(NamedTuple):
    """Which share of the messages is answered how, in thousandths."""

    transient: int
    stale: int
    into_night: int
    receipt: int
    refusal: int


class World:
    """Answers messages. Remembers targets, which outcomes name and messages do not."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._targets: dict[str, str] = {}

    def answers(self, records: list[Published]) -> Iterator[Answer]:
        """Answer what was published."""
        for record in records:
            if record.topic == "outcomes":
                outcome = msgspec.json.decode(record.value or b"")
                self._targets.setdefault(outcome.get("message_id", ""), outcome.get("target", ""))
        for record in records:
            if record.topic.startswith("messages."):
                message = msgspec.json.decode(record.value or b"")
                yield from self._answers(record.key or b"", message)

    def _answers(self, key: bytes, message: Document) -> Iterator[Answer]:
        attempt, at_ms = message.get("attempt", 1), message["decided_ms"]
        draw = crc32(f"{message['message_id']}/{attempt}/{at_ms}".encode()) % 1000
        for share, answer in self._choices(key, message, at_ms):
            if draw < share:
                yield answer
                if draw % 4 == 0:
                    yield answer._replace(at_ms=answer.at_ms + 1)  # a copy, as a crash leaves
                return
            draw -= share

    def _choices(self, key: bytes, message: Document, at_ms: int) -> Iterator[tuple[int, Answer]]:
        shares = self._shares
        soon = at_ms + 2 * SECOND
        yield shares.transient, returned(key, message, "transient", soon, soon + 30 * SECOND)
        yield shares.stale, returned(key, message, "stale_profile", soon, soon, again=0)
        yield shares.into_night, returned(key, message, "throttled", soon, soon + 8 * HOUR)
        yield shares.receipt, self._receipt(key, message, _RECEIPTS, at_ms + 5 * MINUTE)
        yield shares.refusal, self._receipt(key, message, _REFUSALS, at_ms + 5 * MINUTE)

    def _receipt(self, key: bytes, message: Document, kinds: tuple[str, ...], at_ms: int) -> Answer:
        number = crc32(message["message_id"].encode())
        kind = kinds[number % len(kinds)]
        target = self._targets.get(message["message_id"], "")
        about = {name: message[name] for name in _ABOUT}
        reason = {"reason": "permanent" if number % 2 else "transient"} if kind == "bounced" else {}
        return receipt(key, at_ms, kind, **about, target=target, **reason)


_ABOUT = ("message_id", "notification_id", "channel", "notification", "category")


def receipt(key: bytes, at_ms: int, kind: str, **fields: object) -> Answer:
    """Make a receipt of a kind."""
    tenant, _, user = key.decode().partition("/")
    document = {"tenant": tenant, "user": user, "kind": kind, "at_ms": at_ms, **fields}
    return Answer(at_ms, "receipts", key, msgspec.json.encode(document))


def returned(key: bytes, message: Document, reason: str, at_ms: int, due_ms: int, again: int = 1) -> Answer:
    """Make the record by which delivery returns a message; `again` is what its attempt grows by."""
    document = {
        "message": message | {"attempt": message.get("attempt", 1) + again},
        "reason": reason,
        "due_ms": due_ms,
        "provider": "smtp",
        "first_failed_ms": at_ms,
    }
    return Answer(at_ms, "retries", key, msgspec.json.encode(document))
