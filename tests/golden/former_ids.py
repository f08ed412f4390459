"""Gives outcomes and messages the ids of 0.1.0, whose notification ids did not hold the origin of the event.

An id is replaced only if it is today's hash of what its record names, so a wrong id stays a difference. Ids
that came with a record that was read, such as those of a returned message, are no such hashes and stay.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from tests.golden.wire import Published

_Document = dict[str, Any]


def digest(*fields: str) -> str:
    """Hash fields as ids are hashed."""
    spelled = "".join(f"{len(field)}:{field}" for field in fields)
    return blake2b(spelled.encode(), digest_size=16).hexdigest()


def with_former_ids(records: Iterable[Published]) -> list[Published]:
    """Rename notifications, messages and outcomes."""
    found = list(records)
    documents = [_document(one) for one in found]
    former: dict[str, str] = {}
    for document in documents:
        former |= _names(document)
    return [
        one._replace(value=msgspec.json.encode(_renamed(document, former))) if document else one
        for one, document in zip(found, documents, strict=True)
    ]


def _document(one: Published) -> _Document:
    if one.topic != "outcomes" and not one.topic.startswith("messages."):
        return {}
    document: _Document = msgspec.json.decode(one.value or b"{}")
    return document


def _names(document: _Document) -> dict[str, str]:
    """Map the ids of one outcome to the former ones, if they hash what it names."""
    if not document.get("event_source") or "outcome_id" not in document:
        return {}
    about = ("tenant", "event_source", "event_id", "user", "notification")
    fields = [document.get(name, "") for name in about]
    today, former = digest("n", *fields, document["origin"]), digest("n", *fields, "")
    if document.get("notification_id") != today:
        return {}
    channel = document.get("channel", "*")
    targets = {"", document.get("target", "")}
    messages = {_message(today, channel, each): _message(former, channel, each) for each in targets}
    return {today: former} | messages


def _message(notification: str, channel: str, target: str) -> str:
    return digest("m", notification, channel, target, "0")


def _renamed(document: _Document, former: dict[str, str]) -> _Document:
    names = ("notification_id", "message_id")
    changed = document | {
        name: former.get(document[name], document[name]) for name in names if name in document
    }
    status, attempt = document.get("status", ""), str(document.get("attempt", 0))
    whole = document.get("notification_id", "")
    for today in (whole, document.get("message_id"), _message(whole, document.get("channel", "*"), "")):
        if today in former and document.get("outcome_id") == digest("o", today, status, attempt):
            changed["outcome_id"] = digest("o", former[today], status, attempt)
    return changed
