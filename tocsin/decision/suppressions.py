"""Suppressions: addresses that a receipt without a user blocked for all users of a tenant.

A STOP by SMS names a number and no user, and several users may have it. Users are decided apart, so such a
receipt goes to every key group, and each keeps the address in a record of its own. Before a user is decided,
the suppressions of the user's addresses are taken over into the user's record. From there on they are blocks
like others: the same rules end them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from tocsin.decision import receipts
from tocsin.decision.recipient import inline_contact_points, lent, profile_contact_points
from tocsin.decision.timers import HeldEvent, HeldMessage, decode_payload, event_of
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.errors import DecodeError
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Event
from tocsin.model.ids import target_id
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent

ANY_KEY: Final = "\x01"
"""Key of the record that stands in a key group as soon as it has a suppression. No tenant has such a name."""

Lookup = Callable[[str], int]
"""Key of a contact point -> the time of its suppression, negative once it was lifted, 0 for none."""


class AddressReport(NamedTuple):
    """A receipt without a user, for one key group and one spelling of the address.

    Attributes:
        receipt: as it was read.
        target: key of the contact point.
        is_logged: whether this key group writes the outcome: exactly one does.
    """

    receipt: ReceiptEvent
    target: str
    is_logged: bool


def record_key(tenant: str, target: str) -> str:
    """Return the key of the record of an address. No user's id has a control character."""
    return f"{tenant}/\x01{target}"


def targets_of(receipt: ReceiptEvent) -> list[str]:
    """Return the keys of all spellings of the address of a receipt without a user."""
    named = receipts.address_keys(receipt) if receipt.address else []
    return [receipt.target] if receipt.target else named


def adopt(
    record: UserRecord | None, keys: Iterable[str], lookup: Lookup, most: int
) -> tuple[UserRecord | None, list[str]]:
    """Take the suppressions of contact points over into the user's record.

    The same suppression taken over again changes nothing, and never undoes a later lift.

    Returns:
        The record, and the keys of contact points that are blocked now and were not before.
    """
    new: list[str] = []
    for key in keys:
        at_ms = lookup(key)
        if not at_ms:
            continue
        record = record or UserRecord()
        was_free = record.blocked.get(key, 0) <= 0
        if at_ms < 0:
            receipts.lift(record, key, -at_ms, most)
        elif receipts.block(record, key, at_ms, most) and was_free:
            new.append(key)
    return record, new


def keys_of(record: UserRecord | None, item: object) -> list[str]:
    """Return the keys of the contact points that a decision about an input may use."""
    points = [*(record.contact_points if record else ()), *_points_of(item)]
    return list(dict.fromkeys(point.key for point in (*points, *lent(points)) if point.address))


def keys_of_due(record: UserRecord | None, payload: bytes) -> list[str]:
    """Return the keys of the contact points that a decision about a due timer may use."""
    held = decode_payload(payload) if payload else None
    if isinstance(held, HeldEvent):
        try:
            return keys_of(record, event_of(held))
        except DecodeError:  # the gate dead-letters it
            return []
    return keys_of(record, held.retry if isinstance(held, HeldMessage) else None)


def _points_of(item: object) -> Iterator[ContactPoint]:
    if isinstance(item, Event) and item.recipient is not None:
        yield from inline_contact_points(item.recipient)
    elif isinstance(item, ProfileChange) and item.profile is not None:
        yield from profile_contact_points(item.user, item.profile)
    elif isinstance(item, Retry) and not item.message.profile_version:
        to = item.message.target
        channel = item.message.channel
        yield ContactPoint(channel, target_id(to.address, channel), to.address)
