"""What each topic holds: the record, who writes it, its key and its headers."""

from collections.abc import Mapping
from typing import NamedTuple

from tocsin.formats.forwarded import MOVED_HEADER, ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.formats.profile_corrections import CORRECTED_HEADER
from tocsin.model import topics

EVENT = "event"


class TopicRecord(NamedTuple):
    """One topic's contract; `payload` names a schema, empty for bytes as they came."""

    payload: str
    key: str
    written_by: str
    read_by: str


_USER_KEY = "tenant/user"
_RECEIPT_KEY = "tenant/user; any with a mark, or without a user"
_GATE, _DELIVER, _TRACK, _REPORTS = "decide", "deliver", "track", "reports"
_EVENT = TopicRecord(
    EVENT,
    "tenant/user; another key costs one forwarding to the user's partition; tenant/topic for a topic",
    f"producers, {_GATE}",
    _GATE,
)
PAYLOADS: Mapping[str, TopicRecord] = {
    topics.EVENTS: _EVENT,
    topics.BULK: _EVENT,
    topics.PROFILES: TopicRecord("profile", _USER_KEY, f"producers, {_GATE}", _GATE),
    topics.SUBSCRIPTIONS: TopicRecord(
        "subscription", "tenant/topic/user; in the topic `%2F` for `/`, `%25` for `%`", "producers", _GATE
    ),
    topics.RECEIPTS: TopicRecord("receipt", _RECEIPT_KEY, f"producers, {_DELIVER}", _GATE),
    topics.RETRIES: TopicRecord("retry", _USER_KEY, _DELIVER, _GATE),
    **{name: TopicRecord("message", _USER_KEY, _GATE, _DELIVER) for name in topics.MESSAGES},
    topics.OUTCOMES: TopicRecord(
        "outcome",
        "tenant/user; of an undecodable record its own",
        f"{_GATE}, {_DELIVER}",
        f"{_TRACK}, {_REPORTS}",
    ),
    topics.DEAD: TopicRecord(
        "", "as it was read", f"{_GATE}, {_DELIVER}, {_TRACK}", f"{_TRACK}; people, who replay"
    ),
    topics.AUDIT: TopicRecord(
        "audit", "tenant/user; of what is about no user, any", f"{_GATE}, {_REPORTS}, commands", _TRACK
    ),
}
DEAD_HEADERS: Mapping[str, str] = {
    "tocsin-topic": "topic the record was read from, without the prefix",
    "tocsin-partition": "its partition, decimal",
    "tocsin-offset": "its offset, decimal; -1 for a record that could not be written (stage `publish`)",
    "tocsin-stage": "where it ended: decode, gate, deliver, track or publish",
    "tocsin-reason": "why: one word of the vocabulary",
    "tocsin-error": "a sentence with field and cure, without addresses",
    "tocsin-attempts": "how often delivery was tried, decimal",
    "tocsin-first-ms": "when it was first handled, ms since 1970 UTC",
    "tocsin-last-ms": "when it was last handled, ms since 1970 UTC",
}
FORWARD_HEADERS: Mapping[str, str] = {
    ORIGIN_HEADER: "Tocsin's own, on a record it forwarded to its user's partition: where it was first read",
    RECEIVED_HEADER: "beside it: Kafka's time there, ms since 1970 UTC",
    MOVED_HEADER: "Tocsin's own, on the tombstone that a forwarded profile leaves: the partition it moved to",
    CORRECTED_HEADER: "Tocsin's own, on a profile that receipts have corrected: a hash of the owner's text",
}


def topics_table() -> str:
    """Build the table of topics of `docs/contracts.md`."""
    rows = ["| topic | what | record | key | written by | read by |", "|---|---|---|---|---|---|"]
    for name in topics.ALL:
        one = PAYLOADS[name]
        record = f"[{one.payload}](contracts/{one.payload}.schema.json)" if one.payload else "original bytes"
        cells = (
            f"`{name}`",
            topics.purpose(name),
            record,
            one.key,
            one.written_by,
            one.read_by or "nobody yet",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
